// Which key does what. Pure: `shortcuts.js` runs the commands.

/** @typedef {{ key: string, ctrlKey: boolean, metaKey: boolean, altKey: boolean, shiftKey: boolean, isComposing: boolean, keyCode?: number }} Pressed */
/**
 * @typedef {object} KeyFacts
 * @property {boolean} inField
 * @property {boolean} inDialog
 * @property {boolean} singleOff single keys are switched off
 * @property {boolean} afterG the key before was g
 */

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
