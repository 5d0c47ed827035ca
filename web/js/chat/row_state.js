// What only this page knows about messages: long ones that are unfolded, deletions that can
// still be
// undone. One writer: `row_actions.js`.

/** Time in which a deletion can be undone, in milliseconds. */
export const REMOVAL_UNDO_MS = 5000;
/** Time for the event of a deletion to arrive, in milliseconds. */
const REMOVAL_EVENT_MS = 2000;
/** Unfolded messages that are remembered. */
const EXPANDED_MAX = 500;

/** @type {Set<number>} */
const expandedMessages = new Set();
/** @type {Map<number, { send: () => void, timer: ReturnType<typeof setTimeout> }>} */
const removals = new Map();
/** @type {Set<(messageId: number) => void>} */
const rowListeners = new Set();

/** @param {number} id */
export const isExpanded = (id) => expandedMessages.has(id);
/** @param {number} id */
export const isRemoving = (id) => removals.has(id);

/**
 * Calls `fn` with the message whose state changed; returns the function that ends this.
 * @param {(messageId: number) => void} fn
 */
export function onRowState(fn) {
  rowListeners.add(fn);
  return () => { rowListeners.delete(fn); };
}

/** @param {number} id */
function rowStateChanged(id) {
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

/**
 * Shows a message as deleted, and calls `send` after the time to undo it.
 * @param {number} id
 * @param {() => Promise<unknown>} send a refusal shows the message again
 */
export function removeLater(id, send) {
  if (removals.has(id)) return;
  const run = () => {
    clearTimeout(timer);
    const done = () => { removals.delete(id); rowStateChanged(id); };
    // The event of the deletion may arrive after its answer.
    send().then(() => setTimeout(done, REMOVAL_EVENT_MS), done);
  };
  const timer = setTimeout(run, REMOVAL_UNDO_MS);
  removals.set(id, { send: run, timer });
  rowStateChanged(id);
}

/** @param {number} id */
export function undoRemoval(id) {
  clearTimeout(removals.get(id)?.timer);
  removals.delete(id);
  rowStateChanged(id);
}

/** Sends the deletions that wait: the page is left. */
export function sendRemovals() {
  for (const { send } of removals.values()) send();
}
