// Which key does what. Pure: `shortcuts.js` runs the commands.

/** @typedef {{ key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, shiftKey: boolean, isComposing: boolean, keyCode?: number }} Pressed */
/**
 * @typedef {object} KeyFacts
 * @property {boolean} inField
 * @property {boolean} inDialog
 * @property {boolean} singleOff single keys are switched off
 * @property {boolean} afterG the key before was g
 */

/** The list in the dialog. */
export const KEY_LIST = /** @type {const} */ ([
  ['Everywhere', [['Ctrl-K', 'Go to a chat, a user, a project, a file'], ['Alt-↑ Alt-↓', 'Previous, next chat'], ['Alt-Shift-↑ Alt-Shift-↓', 'Previous, next unread chat'],
    ['F6 Shift-F6', 'Next, previous part of the page'], ['Esc', 'Close the panel, then clear the selection, then mark as read'], ['Ctrl-Enter', 'Send']]],
  ['Single keys', [['n N', 'Next unread chat, next mention'], ['/', 'Filter chats'], ['g c', 'Go to the chat'], ['g p', 'Go to the projects'], ['g i', 'Go to the inbox'], ['g s', 'Go to the settings'], ['?', 'This list']]],
  ['Messages', [['j k ↓ ↑', 'Next, previous message'], ['Home End', 'First, last message'], ['r', 'Reply'], ['t', 'Open the thread'], ['e', 'Edit'], ['+', 'React'], ['p', 'Pin'], ['c', 'Copy the link'], ['Delete', 'Delete']]],
  ['Inbox', [['j k ↓ ↑', 'Next, previous notification'], ['Enter', 'Open at the message'], ['e', 'Mark as read'], ['E', 'Mark all as read']]],
]);

const AFTER_G = /** @type {Record<string, string>} */ ({ c: 'go-chat', p: 'go-projects', i: 'go-inbox', s: 'go-settings' });
const SINGLE_KEYS = /** @type {Record<string, string>} */ ({
  n: 'next-unread', N: 'next-mention', j: 'down', k: 'up', r: 'reply', t: 'thread', e: 'edit', E: 'read-all', '+': 'react', p: 'pin', c: 'copy', '/': 'filter', '?': 'keys', g: 'g',
});
const PLAIN_KEYS = /** @type {Record<string, string>} */ ({ ArrowDown: 'down', ArrowUp: 'up', Home: 'first', End: 'last', Delete: 'delete' });

/**
 * Returns the command of a key; empty if it has none. Keys of an input method never have one.
 * @param {Pressed} event
 * @param {KeyFacts} facts
 */
export function commandOf(event, { inField, inDialog, singleOff, afterG }) {
  const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
  if (event.isComposing || event.keyCode === 229) return '';
  const isMain = (ctrlKey || metaKey) && !altKey && !shiftKey;
  if (isMain && key.toLowerCase() === 'k') return 'switcher';
  if (inDialog) return '';
  if (key === 'F6' && !ctrlKey && !metaKey && !altKey) return shiftKey ? 'part-back' : 'part';
  if (altKey && !ctrlKey && !metaKey && (key === 'ArrowUp' || key === 'ArrowDown')) {
    return `${shiftKey ? 'unread' : 'chat'}-${key === 'ArrowUp' ? 'back' : 'forward'}`;
  }
  if (ctrlKey || metaKey || altKey) return '';
  if (key === 'Escape') return 'escape';
  if (inField) return '';
  if (!shiftKey && key in PLAIN_KEYS) return PLAIN_KEYS[key] ?? '';
  if (singleOff) return '';
  if (afterG && key in AFTER_G) return AFTER_G[key] ?? '';
  return SINGLE_KEYS[key] ?? '';
}
