// Keys. Ctrl-K leads to the switcher of the chat, and `/` to the search. An element with `data-key` is
// clicked, or focused if it is a field. `?` lists them. Single keys can be switched off.
import { SINGLE_KEYS_OFF, areKeysOff, keptValue } from '../kit/kept_value.js';

/** @param {Element} element */
function label(element) {
  const own = element.getAttribute('aria-label') ?? element.textContent ?? '';
  const field = element instanceof HTMLInputElement ? element.labels?.[0]?.textContent : '';
  return (field || own).trim();
}

/** @param {EventTarget | null} target */
const isField = (target) => target instanceof HTMLElement
  && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Returns whether the visitor has the chat, whose switcher goes everywhere. @param {Document} root */
const hasSwitcher = (root) => root.querySelector('nav.main a[href="/chat"]') !== null;

/** Returns the field of the search, or the link to its page. @param {Document} root */
const searchOf = (root) => root.querySelector('form[action="/search"] input') ?? root.querySelector('header a[href="/search"]');

/** Returns whether a key has no other key with it and is not of an input method. @param {KeyboardEvent} event */
const isSingle = (event) => !event.ctrlKey && !event.metaKey && !event.altKey && !event.isComposing;

/**
 * Returns whether a key asks for the switcher. In a field it does not: leaving would lose the text.
 * @param {KeyboardEvent} event
 */
const asksForSwitcher = (event) => (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && !event.isComposing
  && event.key.toLowerCase() === 'k' && !isField(event.target);

/**
 * Fills the list of the keys of this page.
 * @param {Document} root
 * @param {Element} body
 */
function list(root, body) {
  body.replaceChildren();
  const rows = [['?', 'This list'], ['Esc', 'Close menus and lists']];
  if (searchOf(root)) rows.unshift(['/', 'Search']);
  if (hasSwitcher(root)) rows.unshift(['Ctrl-K', 'Go to a chat, a user, a project']);
  for (const element of root.querySelectorAll('[data-key]')) {
    rows.unshift([element.getAttribute('data-key') ?? '', label(element)]);
  }
  for (const [key, text] of rows) {
    const row = root.createElement('tr');
    const name = row.appendChild(root.createElement('td')).appendChild(root.createElement('kbd'));
    name.textContent = key;
    row.appendChild(root.createElement('td')).textContent = text;
    body.append(row);
  }
}

/** @param {Document} root */
export function keys(root) {
  root.addEventListener('keydown', (event) => {
    if (!asksForSwitcher(event) || !hasSwitcher(root) || root.querySelector('dialog[open]')) return;
    event.preventDefault();
    location.assign('/chat?switch=1');
  });
  root.addEventListener('keydown', (event) => {
    if (event.key !== '/' || !isSingle(event) || isField(event.target) || root.querySelector('dialog[open]') || areKeysOff()) return;
    const search = searchOf(root);
    if (!(search instanceof HTMLElement)) return;
    event.preventDefault();
    if (search instanceof HTMLInputElement) search.select();
    else search.click();
  });
  const dialog = root.querySelector('dialog[data-keys]');
  const body = dialog?.querySelector('tbody');
  if (!(dialog instanceof HTMLDialogElement) || !body) return;
  const choice = dialog.querySelector('input');
  if (choice) {
    choice.checked = !areKeysOff();
    choice.addEventListener('change', () => keptValue(SINGLE_KEYS_OFF, choice.checked ? '0' : '1'));
  }
  const show = () => {
    list(root, body);
    dialog.showModal();
  };
  const opener = root.querySelector('[data-keys-open]');
  if (opener instanceof HTMLElement) {
    opener.hidden = false;
    opener.addEventListener('click', show);
  }
  root.addEventListener('keydown', (event) => {
    if (!isSingle(event) || isField(event.target) || dialog.open || areKeysOff()) return;
    if (event.key === '?') return show();
    if (!/^[a-z]$/.test(event.key)) return;
    const element = root.querySelector(`[data-key="${event.key}"]`);
    if (!(element instanceof HTMLElement)) return;
    event.preventDefault();
    if (element instanceof HTMLInputElement) element.focus();
    else element.click();
  });
}
