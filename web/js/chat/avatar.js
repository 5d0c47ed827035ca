// The picture of a user: the avatar, or initials on one of twelve hues, the same as in the pages
// (`src/web/paint/avatar.rs`).
import { el } from '../kit/dom.js';

const AVATAR_HUES = 12n;
const AVATAR_WORDS_MAX = 16;
const AVATARS_CACHED_MAX = 2000;
const MASK_64 = (1n << 64n) - 1n;
const PRIME_64 = [0x9E3779B185EBCA87n, 0xC2B2AE3D27D4EB4Fn, 0x165667B19E3779F9n, 0x85EBCA77C2B2AE63n, 0x27D4EB2F165667C5n];
/** The first 64 bytes of the secret of XXH3. */
const XXH3_SECRET = [
  0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
  0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21, 0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
];

/** @param {ArrayLike<number>} bytes @param {number} at @param {number} size */
function littleEndian(bytes, at, size) {
  let value = 0n;
  for (let n = size - 1; n >= 0; n -= 1) value = (value << 8n) | BigInt(bytes[at + n] ?? 0);
  return value;
}

/** @param {bigint} a @param {bigint} b */
function foldedProduct(a, b) {
  const product = a * b;
  return (product & MASK_64) ^ (product >> 64n);
}

/** @param {bigint} hash */
function xxh3Avalanche(hash) {
  let h = hash ^ (hash >> 37n);
  h = (h * 0x165667919E3779F9n) & MASK_64;
  return h ^ (h >> 32n);
}

/** @param {bigint} hash */
function xxh64Avalanche(hash) {
  let h = hash ^ (hash >> 33n);
  h = (h * PRIME_64[1]) & MASK_64;
  h ^= h >> 29n;
  h = (h * PRIME_64[2]) & MASK_64;
  return h ^ (h >> 32n);
}

/** @param {bigint} value */
function swapped64(value) {
  let out = 0n;
  for (let n = 0n; n < 8n; n += 1n) out = (out << 8n) | ((value >> (8n * n)) & 0xffn);
  return out;
}

/**
 * Returns XXH3 (64 bit, seed 0) of at most 128 bytes; a user name has at most 39.
 * @param {Uint8Array} bytes
 * @returns {bigint}
 */
export function xxh3(bytes) {
  const size = bytes.length;
  const secret = (/** @type {number} */ at) => littleEndian(XXH3_SECRET, at, 8);
  if (size <= 3) {
    const [first, middle, last] = [bytes[0] ?? 0, bytes[size >> 1] ?? 0, bytes[size - 1] ?? 0];
    const joined = (BigInt(first) << 16n) | (BigInt(middle) << 24n) | BigInt(last) | (BigInt(size) << 8n);
    const flip = littleEndian(XXH3_SECRET, 0, 4) ^ littleEndian(XXH3_SECRET, 4, 4);
    return xxh64Avalanche(joined ^ flip);
  }
  if (size <= 8) {
    const joined = littleEndian(bytes, size - 4, 4) + (littleEndian(bytes, 0, 4) << 32n);
    let h = joined ^ (secret(8) ^ secret(16));
    h ^= (((h << 49n) | (h >> 15n)) ^ ((h << 24n) | (h >> 40n))) & MASK_64;
    h = (h * 0x9FB21C651E98DF25n) & MASK_64;
    h ^= (h >> 35n) + BigInt(size);
    h = (h * 0x9FB21C651E98DF25n) & MASK_64;
    return h ^ (h >> 28n);
  }
  if (size <= 16) {
    const low = littleEndian(bytes, 0, 8) ^ (secret(24) ^ secret(32));
    const high = littleEndian(bytes, size - 8, 8) ^ (secret(40) ^ secret(48));
    return xxh3Avalanche((BigInt(size) + swapped64(low) + high + foldedProduct(low, high)) & MASK_64);
  }
  const mix = (/** @type {number} */ at, /** @type {number} */ key) => foldedProduct(littleEndian(bytes, at, 8) ^ secret(key), littleEndian(bytes, at + 8, 8) ^ secret(key + 8));
  let sum = BigInt(size) * PRIME_64[0];
  if (size > 32) sum += mix(16, 32) + mix(size - 32, 48);
  sum += mix(0, 0) + mix(size - 16, 16);
  return xxh3Avalanche(sum & MASK_64);
}

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
  const found = avatarClasses.get(username) ?? `avatar-${xxh3(new TextEncoder().encode(username.slice(0, 39))) % AVATAR_HUES}`;
  if (avatarClasses.size >= AVATARS_CACHED_MAX) avatarClasses.clear();
  avatarClasses.set(username, found);
  return found;
}

/**
 * Returns the avatar of a user. Assistive technology ignores it: the name stands beside it.
 * @param {{ username: string, display_name?: string, avatar?: string }} user
 * @returns {HTMLElement}
 */
export function avatar(user) {
  if (user.avatar) {
    // The version in the address changes with the picture, so that the browser keeps it.
    const src = `/api/users/${encodeURIComponent(user.username)}/avatar?v=${encodeURIComponent(user.avatar)}`;
    return el('img', { class: 'avatar', src, alt: '', width: '24', height: '24', loading: 'lazy', 'aria-hidden': 'true' });
  }
  const initials = initialsOf(user.display_name ?? '') || initialsOf(user.username) || '?';
  return el('span', { class: `avatar ${avatarClass(user.username)}`, 'aria-hidden': 'true' }, initials);
}
