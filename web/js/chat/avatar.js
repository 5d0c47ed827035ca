// The picture of a user: the avatar, or initials on one of twelve hues, the same as in the pages
// (`src/web/paint/avatar.rs`).
import { el } from '../kit/dom.js';

const AVATAR_HUES = 12;
const AVATAR_WORDS_MAX = 16;
const AVATARS_CACHED_MAX = 2000;

/**
 * Returns the 32-bit FNV-1a hash of bytes.
 * @param {Uint8Array} bytes
 */
export const fnv1a = (bytes) => bytes.reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193), 0x811c9dc5) >>> 0;

/**
 * Returns the initials of a name: the first letters of its first and its last word.
 * @param {string} name
 */
export function initialsOf(name) {
  const words = name.split(/[\s\-_.()/,]+/u).slice(0, AVATAR_WORDS_MAX);
  const letters = words.map((word) => /[\p{Alphabetic}\p{N}]\p{M}{0,3}/u.exec(word.normalize('NFC'))?.[0] ?? '').filter((letter) => letter !== '');
  const last = letters.length > 1 ? letters.at(-1) : '';
  return `${letters[0] ?? ''}${last ?? ''}`.toUpperCase();
}

/** @type {Map<string, string>} */
const avatarClasses = new Map();

/** @param {string} username */
export function avatarClass(username) {
  const found = avatarClasses.get(username) ?? `avatar-${(fnv1a(new TextEncoder().encode(username)) >>> 8) % AVATAR_HUES}`;
  if (avatarClasses.size >= AVATARS_CACHED_MAX) avatarClasses.clear();
  avatarClasses.set(username, found);
  return found;
}

/**
 * Returns a picture. Assistive technology ignores it: a name stands beside it. The version in the
 * address changes with the picture, so that the browser keeps it.
 * @param {string} src
 * @param {() => Node} other replaces a picture that was removed meanwhile
 * @param {string} [shape]
 */
export function avatarImage(src, other, shape = '') {
  const image = el('img', { class: `avatar${shape}`, alt: '', src });
  image.addEventListener('error', () => image.replaceWith(other()));
  return image;
}

/**
 * Returns the avatar of a user. Assistive technology ignores it: the name stands beside it.
 * @param {{ username: string, display_name?: string, avatar?: string }} user
 * @returns {HTMLElement}
 */
export function avatar(user) {
  if (user.avatar) return avatarImage(`/api/users/${user.username}/avatar?v=${user.avatar}`, () => avatar({ ...user, avatar: '' }));
  const initials = initialsOf(user.display_name ?? '') || initialsOf(user.username) || '?';
  return el('span', { class: `avatar ${avatarClass(user.username)}`, 'aria-hidden': 'true' }, initials);
}
