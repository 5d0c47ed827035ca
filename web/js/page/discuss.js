// Discuss these lines: a link that opens the channel of the project with the chosen lines. The
// block of code names the channel (`data-chat`); the page has no link without it.
import { fileAt } from '../kit/file_at.js';
import { lineFragment, parseRange } from '../kit/range.js';
import { blobLink } from './changed_file.js';

/** @typedef {import('../kit/range.js').LineRange} LineRange */

/**
 * Returns the address of a message about lines; empty if the file has no permalink.
 * @param {string} chat the id of the channel
 * @param {string} pathname of the permalink: `/owner/project/repo/-/blob/OID/path`
 * @param {LineRange} range
 */
export function discussHref(chat, pathname, range) {
  const file = fileAt(pathname);
  if (!file || !/^\d+$/.test(chat)) return '';
  return `/chat/${chat}?code=${encodeURIComponent(`${file.repository}@${file.oid}:${file.path}${lineFragment(range)}`)}`;
}

/**
 * Returns a bar for chosen lines, without a permalink to copy.
 * @param {Document} root
 */
function makeBar(root) {
  const bar = root.createElement('div');
  bar.className = 'line-bar';
  bar.setAttribute('data-line-bar', '');
  bar.hidden = true;
  bar.appendChild(root.createElement('span')).setAttribute('data-line-name', '');
  const close = bar.appendChild(root.createElement('button'));
  close.type = 'button';
  close.className = 'plain';
  close.textContent = 'Close';
  close.setAttribute('data-line-close', '');
  return bar;
}

/**
 * Adds the link "Discuss" to a bar, before its last button.
 * @param {Element} bar
 */
function addLink(bar) {
  const link = bar.ownerDocument.createElement('a');
  link.className = 'button';
  link.textContent = 'Discuss';
  link.rel = 'nofollow';
  bar.insertBefore(link, bar.lastElementChild);
  return link;
}

/**
 * Prepares the bar of a file. Returns the function that sets the lines of its link. A blame has no
 * bar of its own: it gets one.
 * @param {Document} root
 * @param {HTMLElement} code
 * @returns {(range: LineRange | null) => void}
 */
export function discussLines(root, code) {
  const permalink = root.querySelector('a[data-key="y"]');
  const { chat } = code.dataset;
  if (!chat || !(permalink instanceof HTMLAnchorElement)) return () => {};
  let bar = root.querySelector('[data-line-bar]');
  if (!bar) {
    bar = makeBar(root);
    (code.closest('.scroll') ?? code).after(bar);
  }
  const link = addLink(bar);
  return (range) => {
    const href = range ? discussHref(chat, permalink.pathname, range) : '';
    link.hidden = href === '';
    if (href) link.href = href;
  };
}

/**
 * Lets the user choose lines of changed files: by their numbers, or in the field of the bar.
 * @param {Document} root
 */
export function discussChanges(root) {
  const place = root.querySelector('[data-changes][data-chat]');
  if (!(place instanceof HTMLElement)) return;
  const chat = place.dataset.chat ?? '';
  const bar = makeBar(root);
  const field = root.createElement('input');
  field.setAttribute('aria-label', 'Lines of the new file');
  field.placeholder = 'Lines, such as 3-9';
  field.autocomplete = 'off';
  bar.insertBefore(field, bar.lastElementChild);
  const link = addLink(bar);
  link.hidden = true;
  place.append(bar);
  /** @type {HTMLElement | null} */
  let file = null;
  /** @type {LineRange | null} */
  let chosen = null;

  /** @param {HTMLElement | null} of @param {LineRange | null} range */
  function choose(of, range) {
    for (const row of place?.querySelectorAll('tr.chosen') ?? []) row.classList.remove('chosen');
    [file, chosen] = [of, range];
    const blob = of && blobLink(of);
    bar.hidden = !blob;
    if (!of || !blob) return;
    for (const cell of range ? of.querySelectorAll('td[data-new]') : []) {
      const line = Number(cell.getAttribute('data-new'));
      if (range && line >= range.from && line <= range.to) cell.parentElement?.classList.add('chosen');
    }
    const name = bar.querySelector('[data-line-name]');
    if (name) name.textContent = of.querySelector('h3 bdi:last-child')?.textContent ?? '';
    const href = range ? discussHref(chat, blob.pathname, range) : '';
    link.hidden = href === '';
    if (href) link.href = href;
    const typed = range ? lineFragment(range).slice(1).replaceAll('L', '') : '';
    if (root.activeElement !== field && field.value !== typed) field.value = typed;
  }

  for (const of of place.querySelectorAll('details.diff-file')) {
    if (!(of instanceof HTMLElement) || !blobLink(of)) continue;
    const button = root.createElement('button');
    button.type = 'button';
    button.className = 'plain small';
    button.textContent = 'Discuss lines';
    button.addEventListener('click', () => {
      choose(of, file === of ? chosen : null);
      field.focus();
    });
    const links = of.querySelector('.links');
    links?.insertBefore(button, links.querySelector('.viewed'));
  }
  place.addEventListener('click', (event) => {
    const cell = event.target instanceof Element ? event.target.closest('td[data-new]') : null;
    const of = cell?.closest('details.diff-file');
    if (!cell || !(of instanceof HTMLElement)) return;
    const line = Number(cell.getAttribute('data-new'));
    const from = event.shiftKey && chosen && of === file ? chosen.from : line;
    choose(of, { from: Math.min(from, line), to: Math.max(from, line) });
    if (event.shiftKey) getSelection()?.removeAllRanges();
  });
  field.addEventListener('input', () => choose(file, parseRange(field.value)));
  field.addEventListener('keydown', (event) => {
    if (event.isComposing || event.key !== 'Enter' || link.hidden) return;
    event.preventDefault();
    link.click();
  });
  bar.querySelector('[data-line-close]')?.addEventListener('click', () => {
    const summary = file?.querySelector('summary');
    field.value = '';
    choose(null, null);
    summary?.focus();
  });
}
