// The state of messages that only this page has: long ones that are unfolded, deletions that the
// server does not have yet. Only `row_actions.js` and `row_removal.js` write it.

/** Unfolded messages that are remembered. */
const EXPANDED_MAX = 500;

/** @type {Set<number>} */
const expandedMessages = new Set();
/** @type {Map<number, { state: 'waits' | 'sent', chat: number, timer: ReturnType<typeof setTimeout> }>} */
export const removals = new Map();
/** @type {Set<(messageId: number) => void>} */
const rowListeners = new Set();

/** @param {number} id */
export const isExpanded = (id) => expandedMessages.has(id);
/** Returns whether a deletion `waits`, so that it can be undone, or is `sent`. @param {number} id */
export const isRemoving = (id) => removals.get(id)?.state;

/**
 * Calls `fn` with the message whose state changed; returns the function that ends this.
 * @param {(messageId: number) => void} fn
 */
export function onRowState(fn) {
  rowListeners.add(fn);
  return () => { rowListeners.delete(fn); };
}

/** @param {number} id */
export function rowStateChanged(id) {
  for (const fn of rowListeners) fn(id);
}

/** @param {number} id */
export function toggleExpanded(id) {
  if (!expandedMessages.delete(id)) {
    if (expandedMessages.size >= EXPANDED_MAX) expandedMessages.clear();
    expandedMessages.add(id);
  }
  rowStateChanged(id);
}
