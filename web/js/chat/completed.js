// The word that the composer completes. No DOM: tested in node.

import { isInFence } from './compose_text.js';
import { Meter, charBefore, endOf, isNameChar, isSpace, isWord } from './mention.js';

/** Maximum characters of the word that is completed. */
const COMPLETED_MAX = 64;

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
