// What the composer knows about the text in its field. No DOM: tested in node.

import { Meter, blocksOf, charBefore, endOf, isNameChar, isSpace, isWord } from './mention.js';

/** Maximum bytes of a message: the server refuses more. */
export const MESSAGE_BYTES_MAX = 16_384;
/** Bytes from which the composer shows how many there are. */
export const COUNTER_BYTES = 15 * 1024;
/** Maximum messages that a long text becomes. */
export const SPLIT_MAX = 20;
/** Bytes that are kept free for closing and opening a fence that is divided. */
const SPLIT_RESERVE = 128;
/** Maximum characters of the word that is completed. */
const COMPLETED_MAX = 64;

/**
 * Returns the length of a text in UTF-8.
 * @param {string} text
 */
export function byteLength(text) {
  let bytes = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if (unit >= 0xd800 && unit <= 0xdbff && text.charCodeAt(at + 1) >= 0xdc00 && text.charCodeAt(at + 1) <= 0xdfff) {
      bytes += 4;
      at += 1;
    } else bytes += 3;
  }
  return bytes;
}

/**
 * Returns whether a text ends in a fence that is open: Enter breaks the line there.
 * @param {string} text the text before the caret
 */
export function isInFence(text) {
  const last = blocksOf(text).at(-1);
  return last?.kind === 'fence' && !last.closed;
}

/** @typedef {{ at: number, bytes: number, fence: string }} LineEnd `fence`: the line that opened the fence around, or '' */

/**
 * Returns the ends of all lines, with the bytes up to there.
 * @param {string} text
 * @returns {LineEnd[]}
 */
function lineEnds(text) {
  /** @type {LineEnd[]} */
  const ends = [];
  let bytes = 0;
  let at = 0;
  let fence = '';
  let marks = '';
  for (const line of text.split('\n')) {
    const next = Math.min(text.length, at + line.length + 1);
    bytes += byteLength(text.slice(at, next));
    at = next;
    const trimmed = line.trim();
    if (fence === '') {
      const opened = blocksOf(line)[0];
      if (opened?.kind === 'fence') [fence, marks] = [trimmed, fenceMarks(trimmed)];
    } else {
      const last = blocksOf(`${marks}\n${line}`)[0];
      if (last?.kind === 'fence' && last.closed) fence = '';
    }
    ends.push({ at, bytes, fence });
  }
  return ends;
}

/**
 * Returns the characters that open a fence, without the language after them.
 * @param {string} line
 */
const fenceMarks = (line) => /^(\x60+|~+)/.exec(line)?.[0] ?? '';

/**
 * Divides a text into parts of at most `limit` bytes, which joined are the text. A part ends at a
 * line end outside of fences where there is one, else at a line end, else at a space, else between
 * two characters.
 * @param {string} text
 * @param {number} limit at least 4
 * @returns {{ text: string, fence: string }[]} `fence`: the line of the fence that the part divides
 */
export function splitText(text, limit) {
  /** @type {{ text: string, fence: string }[]} */
  const parts = [];
  const ends = lineEnds(text);
  let from = 0;
  let base = 0;
  let line = 0;
  while (from < text.length) {
    let [inside, outside] = [-1, -1];
    while (line < ends.length && (ends[line]?.at ?? 0) <= from) line += 1;
    for (let at = line; at < ends.length; at += 1) {
      const end = ends[at];
      if (!end || end.bytes - base > limit) break;
      inside = at;
      if (end.fence === '' || at === ends.length - 1) outside = at;
    }
    const chosen = ends[outside >= 0 ? outside : inside];
    if (chosen) {
      parts.push({ text: text.slice(from, chosen.at), fence: chosen.at < text.length ? chosen.fence : '' });
      [from, base] = [chosen.at, chosen.bytes];
    } else {
      const cut = longLineEnd(text, from, limit);
      const piece = text.slice(from, cut);
      parts.push({ text: piece, fence: ends[line - 1]?.fence ?? '' });
      [from, base] = [cut, base + byteLength(piece)];
    }
  }
  return parts;
}

/**
 * Returns where a line that is longer than `limit` bytes is cut.
 * @param {string} text
 * @param {number} from
 * @param {number} limit
 */
function longLineEnd(text, from, limit) {
  let bytes = 0;
  let at = from;
  let space = -1;
  while (at < text.length) {
    const c = String.fromCodePoint(text.codePointAt(at) ?? 0);
    bytes += byteLength(c);
    if (bytes > limit) break;
    at += c.length;
    if (isSpace(c)) space = at;
  }
  // A space near the end only: otherwise a word without spaces makes many small messages.
  return space > from + (at - from) / 2 ? space : at;
}

/**
 * Returns the messages that a text becomes: at most the bytes of a message each, none blank. A
 * divided fence is closed and opened again.
 * @param {string} text
 * @returns {string[]}
 */
export function splitMessages(text) {
  if (byteLength(text) <= MESSAGE_BYTES_MAX) return [text];
  /** @type {string[]} */
  const messages = [];
  let opened = '';
  for (const part of splitText(text, MESSAGE_BYTES_MAX - 2 * SPLIT_RESERVE)) {
    const marks = fenceMarks(part.fence);
    const isDivided = marks !== '' && byteLength(part.fence) < SPLIT_RESERVE;
    const begin = opened ? `${opened}\n` : '';
    const end = isDivided ? `${part.text.endsWith('\n') ? '' : '\n'}${marks}` : '';
    if (part.text.trim() !== '') messages.push(begin + (end ? part.text : part.text.replace(/\n$/, '')) + end);
    opened = isDivided ? part.fence : '';
  }
  return messages;
}

/**
 * Returns a text as it is sent: without blank lines at its beginning and white space at its end.
 * @param {string} text
 */
export const sentText = (text) => text.replace(/^(?:[ \t\r]*\n)+/, '').trimEnd();

/** @typedef {{ trigger: '@' | '#' | ':' | '/', query: string, from: number, to: number }} Completed `from` is the position of the trigger, `to` the end of the word */

/** Commands whose argument is a user. */
const USER_COMMANDS = /^\/(?:invite|remove|direct)[ \t]+$/i;

/**
 * Returns what is completed at the caret, or null.
 * @param {string} text
 * @param {number} caret
 * @returns {Completed | null}
 */
export function completedAt(text, caret) {
  const command = /^\/[a-z]*/i.exec(text)?.[0] ?? '';
  if (command !== '' && caret >= 1 && caret <= command.length) {
    if (text.length > command.length && !isSpace(text.charAt(command.length))) return null;
    return { trigger: '/', query: text.slice(1, caret), from: 0, to: command.length };
  }
  let at = caret;
  while (at > 0 && caret - at <= COMPLETED_MAX && isCompletedChar(charBefore(text, at))) at -= charBefore(text, at).length;
  const c = charBefore(text, at);
  const meter = new Meter();
  const to = endOf(text, caret, isNameChar, meter);
  const query = text.slice(at, caret);
  if (USER_COMMANDS.test(text.slice(0, at)) && query !== '') return { trigger: '@', query, from: at, to };
  if (at === 0 || (c !== '@' && c !== '#' && c !== ':')) return null;
  const before = at > 1 ? charBefore(text, at - 1) : '';
  if (before !== '' && isWord(before)) return null;
  const line = text.slice(text.lastIndexOf('\n', caret - 1) + 1, caret);
  // Names in code and quotes are not mentions.
  if (line.split('`').length % 2 === 0 || /^\s*>/.test(line) || isInFence(text.slice(0, caret))) return null;
  if (c === ':' && (query.length < 2 || !/^[a-z0-9_+-]+$/i.test(query))) return null;
  return { trigger: c, query, from: at - 1, to: c === ':' ? caret : to };
}

/** @param {string} c */
const isCompletedChar = (c) => c !== '' && (isNameChar(c) || c === '+' || c === '/');

/** @typedef {{ kind: 'text', text: string } | { kind: 'command', name: string, rest: string } | { kind: 'unknown', name: string }} Written */

/**
 * Returns what the text of the composer is: a text or a command. A space or another `/` before
 * the `/` makes it a text, and a path such as `/usr/bin` is a text, too.
 * @param {string} text
 * @param {(name: string) => boolean} exists
 * @returns {Written}
 */
export function writtenAs(text, exists) {
  if (text.startsWith('//')) return { kind: 'text', text: sentText(text.slice(1)) };
  if (/^ \/[a-z]/i.test(text)) return { kind: 'text', text: sentText(text.slice(1)) };
  const name = /^\/([a-z][a-z0-9_-]*)(?=\s|$)/i.exec(text)?.[1]?.toLowerCase();
  if (name === undefined) return { kind: 'text', text: sentText(text) };
  if (!exists(name)) return { kind: 'unknown', name };
  return { kind: 'command', name, rest: text.slice(name.length + 1).trim() };
}

/**
 * Returns a number of bytes for the counter.
 * @param {number} bytes
 */
export const kilobytes = (bytes) => (bytes / 1024).toFixed(1);
