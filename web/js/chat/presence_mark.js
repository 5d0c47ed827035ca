// The mark of a user's presence: a shape and a word, not only a colour.

import { icon, svgMark } from '../kit/icons.js';
import { avatarImage } from './avatar.js';

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
  const known = status in PRESENCE_SHAPES ? status : 'offline';
  return svgMark({ class: `presence presence-${known}` },
    ['circle', { cx: '8', cy: '8', r: '4.5', fill: 'none', stroke: 'currentColor', 'stroke-width': '1.5' }],
    ['path', { d: PRESENCE_SHAPES[known]?.[1] ?? '', fill: 'currentColor' }]);
}

/**
 * Returns the mark before the name of a chat: its avatar, or a sign.
 * @param {import('./types.js').Chat} chat
 * @param {string} presence of the other user of a direct chat
 * @param {Element | null} [before] the mark that is shown: the same picture stays, so that it does
 *   not flicker
 * @returns {Element}
 */
export function chatGlyph(chat, presence, before) {
  if (chat.kind === 'direct') return presenceMark(presence);
  const src = `/api/chats/${chat.id}/avatar?v=${chat.avatar}`;
  if (chat.avatar) return before?.getAttribute('src') === src ? before : avatarImage(src, () => chatGlyph({ ...chat, avatar: '' }, ''), ' square');
  return icon(chat.archived ? 'archive' : chat.kind === 'group' ? 'people' : chat.project_id === undefined ? 'hash' : 'project');
}

/**
 * Returns the id of the other user of a direct chat, if it is known.
 * @param {import('./types.js').StoreReads} store
 * @param {import('./types.js').Chat} chat
 */
export function peerOf(store, chat) {
  if (chat.kind !== 'direct') return undefined;
  return store.peer(chat.id) ?? [...store.marks(chat.id).keys()].find((id) => id !== store.me.id);
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
