// The order of the chats in the sidebar. Pure functions: the sidebar draws their result.
import { folded } from '../kit/folded.js';

/** @typedef {import('./types.js').Chat} Chat */
/** @typedef {'unread' | 'direct' | 'group' | 'project' | 'channel'} SectionKey */
/** @typedef {{ key: SectionKey, chats: Chat[] }} Section */
/** @typedef {{ count: number, mentions: number }} Unread */

/** @type {readonly SectionKey[]} */
const SECTION_ORDER = ['unread', 'direct', 'group', 'project', 'channel'];

/** @type {Record<SectionKey, string>} */
export const SECTION_TITLES = { unread: 'Unread', direct: 'Direct', group: 'Groups', project: 'Projects', channel: 'Channels' };

/**
 * Returns the section of a chat that is read.
 * @param {Chat} chat
 * @returns {SectionKey}
 */
function homeOf(chat) {
  if (chat.kind === 'channel') return chat.project_id === undefined ? 'channel' : 'project';
  return chat.kind;
}

/**
 * Returns whether a chat asks for attention: muted chats do so only when the user is named.
 * @param {Chat} chat
 * @param {Unread} unread
 */
export const wantsAttention = (chat, unread) => unread.mentions > 0 || (unread.count > 0 && chat.notify !== 'none');

/** @param {Chat} chat */
const sortName = (chat) => folded(chat.name ?? chat.peer ?? '');

/** @param {Chat} one @param {Chat} other */
const byName = (one, other) => (sortName(one) < sortName(other) ? -1 : sortName(one) > sortName(other) ? 1 : one.id - other.id);

/**
 * @typedef {object} Arrangement
 * @property {Chat[]} chats
 * @property {(id: number) => Unread} unread
 * @property {Section[]} [before] the arrangement on the screen
 * @property {boolean} [isHeld] the pointer is inside: chats keep their places
 * @property {number} [open] the open chat keeps its section
 */

/**
 * Returns the sections that have chats, in their order.
 * @param {Arrangement} wanted
 * @returns {Section[]}
 */
export function arrange({ chats, unread, before = [], isHeld = false, open }) {
  /** @type {Map<number, SectionKey>} */
  const places = new Map();
  /** @type {Map<number, number>} */
  const order = new Map();
  for (const section of before) {
    for (const chat of section.chats) {
      if (isHeld || chat.id === open) places.set(chat.id, section.key);
      if (isHeld) order.set(chat.id, order.size);
    }
  }
  /** @type {Map<SectionKey, Chat[]>} */
  const found = new Map(SECTION_ORDER.map((key) => [key, []]));
  for (const chat of chats) {
    const home = homeOf(chat);
    const place = places.get(chat.id) ?? (wantsAttention(chat, unread(chat.id)) && chat.id !== open ? 'unread' : home);
    found.get(place === 'unread' ? place : home)?.push(chat);
  }
  const last = order.size;
  for (const [key, list] of found) {
    list.sort((one, other) => {
      const held = (order.get(one.id) ?? last) - (order.get(other.id) ?? last);
      if (held) return held;
      const named = key === 'unread' ? Number(unread(other.id).mentions > 0) - Number(unread(one.id).mentions > 0) : 0;
      return named || byName(one, other);
    });
  }
  return SECTION_ORDER.map((key) => ({ key, chats: found.get(key) ?? [] })).filter((section) => section.chats.length > 0);
}

/**
 * Returns the sections with the chats that match a filter.
 * @param {Section[]} sections
 * @param {string} filter
 * @returns {Section[]}
 */
export function filtered(sections, filter) {
  const wanted = folded(filter.trim());
  if (!wanted) return sections;
  return sections.map(({ key, chats }) => ({ key, chats: chats.filter((chat) => sortName(chat).includes(wanted)) }))
    .filter((section) => section.chats.length > 0);
}
