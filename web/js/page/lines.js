// Lines of a file: choose one or a range, by mouse, by number or by address (`#L10-L20`).
import { copyText } from '../kit/clipboard.js';
import { keptValue } from '../kit/kept_value.js';
import { lineFragment, lineWords, parseRange } from '../kit/range.js';
import { discussLines } from './discuss.js';

/** The width of the numbers beside the code, in pixels. */
const NUMBERS = 64;
/** The height of a line, in pixels. */
const LINE = 19;

/** @typedef {import('../kit/range.js').LineRange} LineRange */

/** @param {LineRange} range */
const chosenWords = (range) => lineWords(range).replace('l', 'L');

/**
 * Returns the number of the line at an event; 0 if it is not at a number.
 * @param {MouseEvent} event
 */
function numberAt(event) {
  if (!(event.target instanceof Element)) return 0;
  const line = event.target.closest('.chunk span[id]');
  const code = line?.closest('code');
  if (line && code && event.clientX <= code.getBoundingClientRect().left + NUMBERS) return Number(line.id.slice(1));
  // The numbers of a blame are a column of their own.
  const column = event.target.closest('.numbers pre');
  if (!column) return 0;
  const index = Math.floor((event.clientY - column.getBoundingClientRect().top) / LINE);
  return Number(column.closest('tr')?.querySelectorAll('.code span[id]')[index]?.id.slice(1) ?? 0);
}

/** @param {Document} root */
export function lines(root) {
  const code = root.querySelector('[data-code]');
  if (!(code instanceof HTMLElement)) return;
  const discuss = discussLines(root, code);
  const bar = root.querySelector('[data-line-bar]');
  const field = root.querySelector('[data-line-form] input');
  /** @type {LineRange | null} */
  let chosen = null;

  /** @param {LineRange | null} range @param {boolean} scrolls */
  function choose(range, scrolls) {
    for (const line of code?.querySelectorAll('.chosen') ?? []) line.classList.remove('chosen');
    const first = range && root.getElementById(`L${range.from}`);
    chosen = first ? range : null;
    if (chosen) {
      for (let at = chosen.from; at <= chosen.to; at += 1) {
        const line = root.getElementById(`L${at}`);
        if (!line) break;
        line.classList.add('chosen');
      }
      if (scrolls && first) first.scrollIntoView({ block: 'center' });
    }
    const end = chosen ? lineFragment(chosen) : '';
    for (const link of root.querySelectorAll('a[data-lines]')) {
      if (link instanceof HTMLAnchorElement) link.hash = end;
    }
    discuss(chosen);
    if (bar instanceof HTMLElement) {
      bar.hidden = !chosen;
      const name = bar.querySelector('[data-line-name]');
      if (name && chosen) name.textContent = chosenWords(chosen);
    }
  }

  /** @param {LineRange | null} range @param {boolean} scrolls */
  function go(range, scrolls) {
    choose(range, scrolls);
    history.replaceState(history.state, '', chosen ? lineFragment(chosen) : location.pathname + location.search);
  }

  code.addEventListener('click', (event) => {
    const number = numberAt(event);
    if (!number) return;
    const from = event.shiftKey && chosen ? chosen.from : number;
    go({ from: Math.min(from, number), to: Math.max(from, number) }, false);
    if (event.shiftKey) getSelection()?.removeAllRanges();
  });
  addEventListener('hashchange', () => choose(parseRange(location.hash), true));
  if (field instanceof HTMLInputElement && field.form) {
    field.form.hidden = false;
    field.form.addEventListener('submit', (event) => {
      event.preventDefault();
      const range = parseRange(field.value);
      field.setCustomValidity(range && root.getElementById(`L${range.from}`) ? '' : 'The file has no such line.');
      if (!field.reportValidity()) return;
      go(range, true);
      field.blur();
    });
    field.addEventListener('input', () => field.setCustomValidity(''));
  }
  bar?.querySelector('[data-line-close]')?.addEventListener('click', () => go(null, false));
  bar?.querySelector('[data-line-copy]')?.addEventListener('click', (event) => {
    const link = root.querySelector('a[data-key="y"]');
    if (link instanceof HTMLAnchorElement && event.target instanceof HTMLElement) copyLink(link.href, event.target);
  });
  choose(parseRange(location.hash), location.hash.includes('-'));
  wrapping(root, code);
}

/**
 * Copies an address. If the browser does not copy, it goes to the address.
 * @param {string} address
 * @param {HTMLElement} button
 */
async function copyLink(address, button) {
  const label = button.textContent;
  if (!await copyText(address)) return location.assign(address);
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = label; }, 2000);
}

/**
 * The button that wraps long lines; the choice is kept.
 * @param {Document} root
 * @param {HTMLElement} code
 */
function wrapping(root, code) {
  const button = root.querySelector('[data-wrap]');
  if (!(button instanceof HTMLButtonElement)) return;
  button.hidden = false;
  /** @param {boolean} wraps */
  const set = (wraps) => {
    code.classList.toggle('wrap', wraps);
    button.setAttribute('aria-pressed', String(wraps));
  };
  set(keptValue('wrap') === '1');
  button.addEventListener('click', () => {
    const wraps = !code.classList.contains('wrap');
    keptValue('wrap', wraps ? '1' : '0');
    set(wraps);
  });
}
