// The mark of a user's presence: a shape and a word, not only a colour.

const PRESENCE_SPACE = 'http://www.w3.org/2000/svg';

/** @type {Record<string, [string, string]>} word, and path of the shape */
const PRESENCE_SHAPES = {
  online: ['online', 'M8 3.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z'],
  away: ['away', 'M8 3.5a4.5 4.5 0 1 0 0 9V3.5z'],
  dnd: ['busy', 'M5.2 7.1h5.6v1.8H5.2z'],
  offline: ['offline', ''],
};

/**
 * Returns the word of a presence.
 * @param {string} status
 */
export const presenceWord = (status) => (PRESENCE_SHAPES[status] ?? PRESENCE_SHAPES.offline)?.[0] ?? '';

/**
 * Returns the shape of a presence. The word must stand beside it.
 * @param {string} status
 */
export function presenceMark(status) {
  const svg = document.createElementNS(PRESENCE_SPACE, 'svg');
  const known = status in PRESENCE_SHAPES ? status : 'offline';
  for (const [key, value] of Object.entries({ viewBox: '0 0 16 16', width: '16', height: '16', 'aria-hidden': 'true', class: `presence presence-${known}` })) svg.setAttribute(key, value);
  const ring = svg.appendChild(document.createElementNS(PRESENCE_SPACE, 'circle'));
  for (const [key, value] of Object.entries({ cx: '8', cy: '8', r: '4.5', fill: 'none', stroke: 'currentColor', 'stroke-width': '1.5' })) ring.setAttribute(key, value);
  const shape = svg.appendChild(document.createElementNS(PRESENCE_SPACE, 'path'));
  shape.setAttribute('d', PRESENCE_SHAPES[known]?.[1] ?? '');
  shape.setAttribute('fill', 'currentColor');
  return svg;
}

/**
 * Returns the id of the other user of a direct chat, if it is known.
 * @param {import('./types.js').StoreReads & { peer?: (chatId: number) => number | undefined }} store
 * @param {import('./types.js').Chat} chat
 */
export function peerOf(store, chat) {
  if (chat.kind !== 'direct') return undefined;
  return store.peer?.(chat.id) ?? [...store.marks(chat.id).keys()].find((id) => id !== store.me.id);
}

/**
 * Returns the name of a chat for its user.
 * @param {import('./types.js').StoreReads} store
 * @param {import('./types.js').Chat} chat
 */
export function chatName(store, chat) {
  if (chat.kind !== 'direct') return chat.name ?? `chat ${chat.id}`;
  return chat.peer ?? `chat ${chat.id}`;
}
