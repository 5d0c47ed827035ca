// The list of all keys.

import { el } from '../kit/dom.js';
import { SINGLE_KEYS_OFF, areKeysOff, keptValue } from '../kit/kept_value.js';
import { NEWS_SETTING } from './timeline_news.js';

/** The list in the dialog. */
export const KEY_LIST = /** @type {const} */ ([
  ['Everywhere', [['Ctrl-K', 'Go to a chat, a user, a project, a file, a message'], ['Alt-↑ Alt-↓', 'Previous, next chat'], ['Alt-Shift-↑ Alt-Shift-↓', 'Previous, next unread chat'],
    ['F6 Shift-F6', 'Next, previous part of the page'], ['Esc', 'Close the panel, then clear the selection, then mark as read'], ['Ctrl-Enter', 'Send']]],
  ['Single keys', [['n N', 'Next unread chat, next mention'], ['/', 'Filter chats'], ['g c', 'Go to the chat'], ['g p', 'Go to the projects'], ['g i', 'Go to the inbox'], ['g s', 'Go to the settings'], ['?', 'This list']]],
  ['Messages', [['j k ↓ ↑', 'Next, previous message'], ['Home End', 'First, last message'], ['r', 'Reply with quote'], ['t', 'Reply in thread'], ['e', 'Edit'], ['+', 'React'], ['p', 'Pin'], ['c', 'Copy the link'], ['Delete', 'Delete']]],
  ['Inbox', [['j k ↓ ↑', 'Next, previous notification'], ['Enter', 'Open at the message'], ['e', 'Mark as read'], ['E', 'Mark all as read']]],
]);

/** @type {readonly (readonly [string, string])[]} */
const NEWS_CHOICES = [['all', 'All of the open chat'], ['mentions', 'Those that name you'], ['off', 'None']];

/**
 * Shows the list of all keys, and the settings of keys and of screen readers.
 * @param {import('./types.js').Context} ctx
 */
export function showKeys({ root, local }) {
  if (root.querySelector('dialog[open]')) return;
  const choice = el('input', { type: 'checkbox', id: 'single-keys', checked: !areKeysOff() });
  choice.addEventListener('change', () => keptValue(SINGLE_KEYS_OFF, choice.checked ? '0' : '1'));
  const wanted = local.get(NEWS_SETTING) ?? 'all';
  const spoken = el('select', { id: 'spoken-news' }, ...NEWS_CHOICES.map(([value, words]) => el('option', { value, selected: value === wanted }, words)));
  spoken.addEventListener('change', () => local.set(NEWS_SETTING, spoken.value));
  const close = el('button', { type: 'button', class: 'primary' }, 'Close');
  const tables = KEY_LIST.map(([title, rows]) => el('section', null, el('h3', null, title),
    el('table', null, el('tbody', null, ...rows.map(([keys, words]) => el('tr', null, el('th', { scope: 'row' }, ...keyNames(keys)), el('td', null, words)))))));
  const title = el('h2', { id: 'keys-title', tabindex: -1 }, 'Keyboard shortcuts');
  const dialog = el('dialog', { class: 'chat-dialog keys-dialog', 'aria-labelledby': 'keys-title' }, title,
    el('div', { class: 'keys-tables' }, ...tables), el('div', { class: 'choice' }, choice, el('label', { for: 'single-keys' }, 'Use single keys')),
    el('div', { class: 'choice' }, el('label', { for: 'spoken-news' }, 'New messages to announce to screen readers'), spoken), el('div', { class: 'actions' }, close));
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  (root.getElementById('main') ?? root.body).append(dialog);
  dialog.showModal();
  title.focus();
}

/** @param {string} keys */
function keyNames(keys) {
  return keys.split(' ').flatMap((key, at) => [at ? ' ' : null, el('kbd', null, key)]);
}
