// Measures the text in the field of the composer. No DOM: tested in node.

import { blocksOf } from './mention.js';

/** Maximum bytes of a message: the server refuses more. */
export const MESSAGE_BYTES_MAX = 16_384;
/** Bytes from which the composer shows how many there are. */
export const COUNTER_BYTES = 15 * 1024;

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
  if (!/\x60{3}|~~~/.test(text)) return false;
  const last = blocksOf(text).at(-1);
  return last?.kind === 'fence' && !last.closed;
}

/**
 * Returns a text as it is sent: without blank lines at its beginning and white space at its end.
 * @param {string} text
 */
export const sentText = (text) => text.replace(/^(?:[ \t\r]*\n)+/, '').trimEnd();

/**
 * Returns a number of bytes for the counter.
 * @param {number} bytes
 */
export const kilobytes = (bytes) => (bytes / 1024).toFixed(1);
