// Changes: buttons (keys j and k) for the next and the previous file, and marks for files that were
// viewed. The marks are kept in this browser.
import { keptValue } from '../kit/kept_value.js';

const STORE = 'viewed';
/** The marks of the oldest files are dropped. */
const MARKS_MAX = 2000;

/**
 * Returns the marked files by the ids of their versions, oldest first.
 * @returns {string[]}
 */
function readMarks() {
  try {
    const marks = JSON.parse(keptValue(STORE) ?? '[]');
    return Array.isArray(marks) ? marks.filter((mark) => typeof mark === 'string') : [];
  } catch {
    return []; // Another program wrote the value.
  }
}

/**
 * @param {string} key
 * @param {boolean} viewed
 */
function mark(key, viewed) {
  const marks = readMarks().filter((marked) => marked !== key);
  if (viewed) marks.push(key);
  keptValue(STORE, JSON.stringify(marks.slice(-MARKS_MAX)));
}

/**
 * Adds the box "Viewed" to a file. A viewed file is closed, with a mark in its head.
 * @param {HTMLDetailsElement} file
 * @param {Set<string>} marks
 */
function addBox(file, marks) {
  const [links, key] = [file.querySelector('.links'), file.dataset.versions ?? ''];
  const note = file.querySelector('[data-viewed]');
  if (!links || !(note instanceof HTMLElement) || key.length < 2) return;
  const label = document.createElement('label');
  label.className = 'viewed';
  const box = document.createElement('input');
  box.type = 'checkbox';
  box.checked = marks.has(key);
  label.append(box, 'Viewed');
  const show = () => {
    note.hidden = !box.checked;
    if (box.checked) file.open = false;
  };
  box.addEventListener('change', () => {
    mark(key, box.checked);
    show();
    if (box.checked) file.querySelector('summary')?.focus();
  });
  show();
  links.append(label);
}

/**
 * Returns the index of the file at the top of the window; -1 above the first file.
 * @param {HTMLDetailsElement[]} files
 */
function current(files) {
  const focused = files.findIndex((file) => file.querySelector('summary') === document.activeElement);
  if (focused >= 0) return focused;
  return files.findLastIndex((file) => file.getBoundingClientRect().top < 80);
}

const VIEW_STORE = 'diff-view';
const VIEW_WORDS = { one: 'One column', two: 'Two columns' };

/**
 * Lets the link of the two columns switch them at once, and keeps the choice. An address with
 * `view` comes first.
 * @param {Element} place
 */
function splitLink(place) {
  const link = place.querySelector('a[data-split]');
  if (!link) return;
  /** @param {boolean} isSplit */
  const show = (isSplit) => {
    place.classList.toggle('split', isSplit);
    link.textContent = isSplit ? VIEW_WORDS.one : VIEW_WORDS.two;
  };
  if (keptValue(VIEW_STORE) === 'split') show(true);
  link.addEventListener('click', (event) => {
    event.preventDefault();
    const isSplit = !place.classList.contains('split');
    show(isSplit);
    keptValue(VIEW_STORE, isSplit ? 'split' : 'one');
  });
}

/** @param {Document} root */
export function changes(root) {
  const place = root.querySelector('[data-changes]');
  if (!place) return;
  splitLink(place);
  const files = /** @type {HTMLDetailsElement[]} */ ([...place.querySelectorAll('details.diff-file')]);
  const marks = new Set(readMarks());
  for (const file of files) addBox(file, marks);
  for (const button of place.querySelectorAll('button[data-step]')) {
    if (!(button instanceof HTMLButtonElement)) continue;
    button.hidden = false;
    button.addEventListener('click', () => {
      const next = files[Math.max(current(files) + Number(button.dataset.step), 0)];
      next?.scrollIntoView();
      next?.querySelector('summary')?.focus({ preventScroll: true });
    });
  }
}
