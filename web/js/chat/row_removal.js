// Deletions of messages. A deletion that is being sent is kept in this browser until it is
// acknowledged.
import { isRemoving, removals, rowStateChanged } from './row_state.js';

/** Time in which a deletion can be undone, in milliseconds. */
const REMOVAL_UNDO_MS = 5000;
/** Time for the event of a deletion to arrive, in milliseconds. */
const REMOVAL_EVENT_MS = 2000;

/**
 * The parts of the program that deletions need. `space`: epoch and user; a space of another user is never sent.
 * @typedef {{ store: import('./store.js').Store, local: import('../kit/local.js').Local, space: () => string }} RemovalPlace
 */
/** @type {RemovalPlace | undefined} */
let removalPlace;

/** @param {RemovalPlace} place */
export function keepRemovals(place) {
  removalPlace = place;
  globalThis.addEventListener?.('pagehide', sendRemovals);
}

/**
 * Shows a message as deleted, and calls `send` after the time to undo it.
 * @param {number} id
 * @param {() => Promise<unknown>} send a refusal shows the message again
 */
export function removeLater(id, send) {
  if (removals.has(id)) return;
  const timer = setTimeout(() => void settleRemoval(id, send().then(() => true, ({ code }) => code !== 'offline' && undefined)), REMOVAL_UNDO_MS);
  removals.set(id, { state: 'waits', chat: removalPlace?.store.message(id)?.chat_id ?? 0, timer });
  rowStateChanged(id);
}

/** @param {number} id */
export function undoRemoval(id) {
  if (isRemoving(id) !== 'waits') return;
  clearTimeout(removals.get(id)?.timer);
  removals.delete(id);
  rowStateChanged(id);
}

/**
 * Follows a deletion that is being sent.
 * @param {number} id
 * @param {Promise<boolean | undefined>} sent true: done; undefined: refused; false: no answer, it is
 *   sent again by the next session
 * @param {number} [chat]
 */
async function settleRemoval(id, sent, chat = removals.get(id)?.chat) {
  const { local, space } = removalPlace ?? {};
  const key = `removal:${space?.()}:${id}`;
  local?.set(key, chat);
  const held = removals.get(id);
  if (held) held.state = 'sent';
  rowStateChanged(id);
  const isDone = await sent;
  if (isDone === false) return;
  local?.remove(key);
  // The event of the deletion may arrive after its answer.
  setTimeout(() => { removals.delete(id); rowStateChanged(id); }, isDone ? REMOVAL_EVENT_MS : 0);
}

/** Sends a deletion in a way that outlives the page. @param {number} id @param {number} chat */
async function sendRemoval(id, chat) {
  if (['logged_out', 'replaced'].includes(removalPlace?.store.connection().state ?? '')) return false;
  try {
    const { ok, status } = await fetch(`/api/chats/${chat}/messages/${id}`, { method: 'DELETE', keepalive: true, headers: { 'X-NetBit-Web': '1' } });
    return ok || ([400, 403, 404, 409, 410].includes(status) ? undefined : false);
  } catch {
    return false;
  }
}

/** Sends the deletions that wait: the page is left. */
export function sendRemovals() {
  for (const [id, { state, chat, timer }] of removals) {
    if (state !== 'waits') continue;
    clearTimeout(timer);
    void settleRemoval(id, sendRemoval(id, chat));
  }
}

/** Sends the deletions of earlier sessions that the server did not acknowledge. */
export function resendRemovals() {
  if (!removalPlace) return;
  const { local, space } = removalPlace;
  const [epoch, user] = space().split(':');
  for (const key of local.keys('removal:')) {
    const [, of, by, id] = key.split(':');
    if (by !== user) continue;
    // In another history the id belongs to another message.
    if (of !== epoch) local.remove(key);
    else void settleRemoval(Number(id), sendRemoval(Number(id), local.get(key)), local.get(key));
  }
}
