// Divides a text that is longer than a message. No DOM: tested in node.

import { MESSAGE_BYTES_MAX, byteLength } from './compose_text.js';
import { blocksOf, isSpace } from './mention.js';

/** Maximum messages that a long text becomes. */
export const SPLIT_MAX = 20;
/** Bytes that are kept free for closing and opening a fence that is divided. */
const SPLIT_RESERVE = 128;
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
