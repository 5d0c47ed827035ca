// The parts of a paragraph: code, links, names, emoji and emphasis. `mention.js` alone decides which
// text is code, a link or a name; the rest of this module only divides the text between.

import { charAt, charBefore, endOf, isNameChar, isSpace, isWord, tokensOf } from './mention.js';
import { emojiOf } from './emoji_names.js';

/**
 * @typedef {{ type: 'text', text: string }
 *   | { type: 'break' }
 *   | { type: 'em' | 'strong', children: Inline[] }
 *   | { type: 'code', text: string }
 *   | { type: 'link', href: string, external: boolean, address: string, children: Inline[] }
 *   | { type: 'mention', written: string }
 *   | { type: 'chat', name: string }
 *   | { type: 'repository', path: string, oid: string }
 *   | { type: 'emoji', name: string, char: string }} Inline
 */

/** @typedef {{ from: number, to: number, node: Inline | null }} Piece text if `node` is null */

/** @typedef {{ meter: import('./mention.js').Meter, links: number }} ParseState */

/** Maximum links of a message; further ones are text. */
const TEXT_LINKS_MAX = 200;
/** Maximum length of an address; a longer one is not a link. */
const ADDRESS_MAX = 2_000;
/** Maximum length of `owner/project/repo@oid`. */
const REFERENCE_MAX = 240;
const SHORTCODE_MAX = 32;

/**
 * Returns an address that the program may link to, or null: http, https and mailto, and paths of
 * this server.
 * @param {string} written
 * @returns {{ href: string, external: boolean } | null}
 */
export function safeAddress(written) {
  const address = written.trim();
  if (address.length > ADDRESS_MAX || /[\s\p{Cc}\p{Cf}\\]/u.test(address)) return null;
  if (/^\/(?!\/)/.test(address)) return { href: address, external: false };
  if (!/^(https?:\/\/[\p{L}\p{N}[]|mailto:[\p{L}\p{N}])/iu.test(address)) return null;
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  const isKnown = url.protocol === 'http:' || url.protocol === 'https:' || url.protocol === 'mailto:';
  // A user name in front of the host hides the host.
  if (!isKnown || url.username || url.password) return null;
  return { href: url.href, external: true };
}

/**
 * Returns the end of a bare address: punctuation after it and brackets around it are not part of it.
 * @param {string} text
 * @param {number} from
 * @param {number} to
 * @param {ParseState} state
 */
function addressEnd(text, from, to, state) {
  let end = from + endOf(text.slice(from, to), 0, (c) => !'"\x60|\\^{}'.includes(c) && !/[\p{Cc}\p{Cf}]/u.test(c), state.meter);
  const open = { ')': 0, ']': 0 };
  for (let at = from; at < end; at += 1) {
    const c = text.charAt(at);
    if (c === '(' || c === '[') open[c === '(' ? ')' : ']'] += 1;
    else if (c === ')' || c === ']') open[c] -= 1;
  }
  state.meter.steps += 2 * (end - from);
  while (end > from) {
    const c = text.charAt(end - 1);
    if (c === ')' || c === ']') {
      if (open[c] >= 0) break;
      open[c] += 1;
    } else if (!'.,;:!?\'*_~'.includes(c)) {
      break;
    }
    end -= 1;
  }
  return end;
}

/**
 * Returns the pieces of a paragraph. Lines are divided by pieces with a `break`.
 * @param {string} text
 * @param {boolean} hasNames false in quotes, where names are text
 * @param {ParseState} state
 * @returns {Piece[]}
 */
export function piecesOf(text, hasNames, state) {
  /** @type {Piece[]} */
  const pieces = [];
  let plain = 0;
  /** @param {number} to the end of the text that has no other meaning yet */
  const endText = (to) => {
    if (plain < to) textPieces(text, plain, to, pieces, state);
  };
  /** @param {number} from @param {number} to @param {Inline} node */
  const piece = (from, to, node) => {
    endText(from);
    pieces.push({ from, to, node });
    plain = to;
  };
  for (const { kind, from, to, inner, target } of tokensOf(text, state.meter)) {
    if (kind === 'code') {
      piece(from, to, { type: 'code', text: codeText(inner) });
    } else if (kind === 'name' && hasNames) {
      piece(from, to, { type: 'mention', written: inner });
    } else if (kind === 'address' && /^https?:\/\//i.test(text.slice(from, from + 8))) {
      const end = addressEnd(text, from, to, state);
      const address = text.slice(from, end);
      const safe = state.links < TEXT_LINKS_MAX ? safeAddress(address) : null;
      if (!safe) continue;
      state.links += 1;
      piece(from, end, { type: 'link', ...safe, address, children: [{ type: 'text', text: address }] });
    } else if (kind === 'link') {
      // `(…)` at the end of an address: the bracket that follows the link closes it.
      const extra = target.includes('(') && text.charAt(to) === ')' ? 1 : 0;
      const address = target + (extra ? ')' : '');
      const safe = state.links < TEXT_LINKS_MAX ? safeAddress(address) : null;
      if (!safe) continue;
      state.links += 1;
      const children = inner.trim() === '' ? [] : linkText(inner, state);
      piece(from, to + extra, { type: 'link', ...safe, address, children: children.length ? children : [{ type: 'text', text: address }] });
    }
  }
  endText(text.length);
  return pieces;
}

/**
 * Returns the text of a link: code and emphasis, but no links.
 * @param {string} text
 * @param {ParseState} state
 */
function linkText(text, state) {
  /** @type {Piece[]} */
  const pieces = [];
  let at = 0;
  for (const { kind, from, to, inner } of tokensOf(text, state.meter)) {
    if (kind !== 'code') continue;
    if (at < from) pieces.push({ from: at, to: from, node: null });
    pieces.push({ from, to, node: { type: 'code', text: codeText(inner) } });
    at = to;
  }
  if (at < text.length) pieces.push({ from: at, to: text.length, node: null });
  return emphasized(text, pieces, state);
}

/**
 * Returns the code of a span: line ends become spaces, and a space on both sides is left out.
 * @param {string} inner
 */
function codeText(inner) {
  const code = inner.replace(/\r?\n/g, ' ');
  return code.startsWith(' ') && code.endsWith(' ') && code.trim() !== '' ? code.slice(1, -1) : code;
}

/**
 * Divides text without names: line breaks, emoji, chats, repositories and mail addresses.
 * @param {string} text
 * @param {number} from
 * @param {number} to
 * @param {Piece[]} pieces
 * @param {ParseState} state
 */
function textPieces(text, from, to, pieces, state) {
  let plain = from;
  let at = from;
  /** @param {number} start @param {number} end @param {Inline} node */
  const piece = (start, end, node) => {
    if (plain < start) pieces.push({ from: plain, to: start, node: null });
    pieces.push({ from: start, to: end, node });
    plain = end;
  };
  while (at < to) {
    const c = charAt(text, at);
    state.meter.steps += 1;
    let end = at + c.length;
    if (c === '\n') {
      piece(at, end, { type: 'break' });
    } else if (c === ':') {
      const name = shortcodeAt(text, at, to, state);
      if (name) {
        end = at + name.length + 2;
        piece(at, end, { type: 'emoji', name, char: emojiOf(name) });
      }
    } else if (c === '#') {
      const stop = Math.min(to, endOf(text, at + 1, isChatChar, state.meter));
      const name = withoutEnd(text.slice(at + 1, stop), '._/-');
      const isFree = at === 0 || !isWord(charBefore(text, at));
      if (isFree && name !== '' && name.length <= 80 && isWord(charAt(name, 0)) && state.links < TEXT_LINKS_MAX) {
        state.links += 1;
        piece(at, at + 1 + name.length, { type: 'chat', name });
      }
      end = Math.max(end, stop);
    } else if (isReferenceChar(c) && c !== '/' && c !== '@') {
      const stop = Math.min(to, endOf(text, at, isReferenceChar, state.meter));
      const node = referenceOf(text, at, stop) ?? mailOf(text, at, stop, to, state);
      const isFree = at === 0 || !(isWord(charBefore(text, at)) || '/@:\\~'.includes(charBefore(text, at)));
      if (node && isFree && state.links < TEXT_LINKS_MAX) {
        state.links += 1;
        piece(at, at + node.length, node.node);
        end = at + node.length;
      } else {
        end = stop;
      }
    }
    at = end;
  }
  if (plain < to) pieces.push({ from: plain, to, node: null });
}

/**
 * Returns a text without the characters of a set at its end.
 * @param {string} text
 * @param {string} set
 */
export function withoutEnd(text, set) {
  let end = text.length;
  while (end > 0 && set.includes(text.charAt(end - 1))) end -= 1;
  return text.slice(0, end);
}

/** @param {string} c */
const isChatChar = (c) => isNameChar(c) || c === '/';

/** @param {string} c */
const isReferenceChar = (c) => c.length === 1 && c < '\x80' && (isNameChar(c) || c === '/' || c === '@');

/**
 * Returns the name of the emoji whose shortcode begins at a colon, or ''.
 * @param {string} text
 * @param {number} at
 * @param {number} to
 * @param {ParseState} state
 */
function shortcodeAt(text, at, to, state) {
  if (at > 0 && isWord(charBefore(text, at))) return '';
  let end = at + 1;
  while (end < to && end - at <= SHORTCODE_MAX && /^[a-z0-9_+-]$/i.test(text.charAt(end))) end += 1;
  state.meter.steps += end - at;
  if (end >= to || text.charAt(end) !== ':' || isWord(charAt(text, end + 1))) return '';
  const name = text.slice(at + 1, end);
  return emojiOf(name) ? name : '';
}

/**
 * Returns the repository or commit that a range of text names.
 * @param {string} text
 * @param {number} from
 * @param {number} to
 * @returns {{ length: number, node: Inline } | null}
 */
function referenceOf(text, from, to) {
  if (to - from > REFERENCE_MAX) return null;
  const written = withoutEnd(text.slice(from, to), '._/-');
  if (!written.includes('/') && !written.includes('@')) return null;
  const [path = '', oid = '', ...more] = written.split('@');
  const names = path.split('/');
  if (more.length > 0 || names.some((name) => !/^[a-z0-9][a-z0-9._-]*$/i.test(name))) return null;
  if (oid === '' ? names.length !== 3 || written.includes('@') : ![1, 3].includes(names.length) || !/^[0-9a-f]{7,64}$/.test(oid)) return null;
  return { length: written.length, node: { type: 'repository', path, oid } };
}

/**
 * Returns the link of `mailto:name@host`, if the range before the colon is `mailto`.
 * @param {string} text
 * @param {number} from
 * @param {number} stop
 * @param {number} to
 * @param {ParseState} state
 * @returns {{ length: number, node: Inline } | null}
 */
function mailOf(text, from, stop, to, state) {
  if (stop - from !== 6 || text.slice(from, stop).toLowerCase() !== 'mailto' || text.charAt(stop) !== ':') return null;
  const end = Math.min(to, endOf(text, stop + 1, (c) => isReferenceChar(c) || c === '+' || c === '%', state.meter));
  const found = /^[a-z0-9._%+-]*[a-z0-9]@[a-z0-9-]+(?:\.[a-z0-9-]+)+/i.exec(text.slice(stop + 1, Math.min(end, stop + 321)));
  const address = found ? text.slice(from, stop + 1) + withoutEnd(found[0], '-') : '';
  const safe = address ? safeAddress(address) : null;
  if (!safe) return null;
  return { length: address.length, node: { type: 'link', ...safe, address, children: [{ type: 'text', text: address }] } };
}

/** @typedef {{ mark: '' | '*' | '_' | '**', children: Inline[] }} Frame `mark`: the characters that opened it */

/**
 * Returns pieces as nodes, with emphasis: `*em*`, `_em_`, `**strong**`. An underscore within a word
 * and a run of underscores are text, as in `snake_case` and `__init__`. At most one frame of each
 * mark is open at a time, so each node moves at most three times.
 * @param {string} text
 * @param {Piece[]} pieces
 * @param {ParseState} state
 * @returns {Inline[]}
 */
export function emphasized(text, pieces, state) {
  /** @type {Frame[]} */
  const frames = [{ mark: '', children: [] }];
  /** @param {Inline[]} list @param {Inline} node */
  const add = (list, node) => {
    const last = list.at(-1);
    if (node.type === 'text' && last?.type === 'text') last.text += node.text;
    else list.push(node);
    state.meter.steps += 1;
  };
  /** @param {Inline} node */
  const put = (node) => add(frames.at(-1)?.children ?? [], node);
  /** @param {number} at a frame that has no end: its mark is text */
  const drop = (at) => {
    const [frame] = frames.splice(at, 1);
    const parent = frames[at - 1];
    if (!frame || !parent) return;
    add(parent.children, { type: 'text', text: frame.mark });
    for (const child of frame.children) add(parent.children, child);
  };
  /** @param {Frame['mark']} mark */
  const find = (mark) => frames.findIndex((frame) => frame.mark === mark);
  /** @param {Frame['mark']} mark */
  const close = (mark) => {
    const at = find(mark);
    if (at < 0) return false;
    while (frames.length - 1 > at) drop(frames.length - 1);
    const frame = frames.pop();
    if (frame) put({ type: mark === '**' ? 'strong' : 'em', children: frame.children });
    return true;
  };
  /** @param {Frame['mark']} mark */
  const open = (mark) => {
    const at = find(mark);
    if (at > 0) drop(at);
    frames.push({ mark, children: [] });
  };
  /** @param {number} from @param {number} to a run of asterisks or underscores */
  const marks = (from, to) => {
    let count = to - from;
    const mark = text.charAt(from) === '_' ? '_' : '*';
    const most = mark === '_' ? 1 : 3;
    const before = from === 0 ? '' : charBefore(text, from);
    const after = charAt(text, to);
    const isOut = (/** @type {string} */ c) => c === '' || isSpace(c);
    // Scripts without spaces have asterisks between their letters.
    const isLetter = (/** @type {string} */ c) => c !== '' && (mark === '_' || c < '\x80') && isWord(c);
    const mayClose = count <= most && !isOut(before) && !isLetter(after);
    const mayOpen = count <= most && !isOut(after) && !isLetter(before);
    while (mayClose && count > 0) {
      const closed = count === 1 || (count === 3 && frames.at(-1)?.mark === '*') ? mark : '**';
      if (!close(closed)) break;
      count -= closed.length;
    }
    if (mayOpen && count > 0) {
      if (count >= 2) open('**');
      if (count !== 2) open(mark);
    } else if (count > 0) {
      put({ type: 'text', text: mark.repeat(count) });
    }
  };
  for (const { from, to, node } of pieces) {
    if (node) {
      if (node.type === 'break') trimLineEnd(frames.at(-1)?.children ?? []);
      put(node);
      continue;
    }
    let at = from;
    while (at < to) {
      let begin = at;
      while (begin < to && !'*_'.includes(text.charAt(begin))) begin += 1;
      state.meter.steps += begin - at + 1;
      if (begin > at) put({ type: 'text', text: text.slice(at, begin) });
      at = begin;
      while (at < to && text.charAt(at) === text.charAt(begin)) at += 1;
      if (at > begin) marks(begin, at);
    }
  }
  while (frames.length > 1) drop(frames.length - 1);
  const children = frames[0]?.children ?? [];
  trimLineEnd(children);
  return children;
}

/**
 * Removes white space at the end of a line.
 * @param {Inline[]} list
 */
function trimLineEnd(list) {
  const last = list.at(-1);
  if (last?.type === 'text') last.text = withoutEnd(last.text, ' \t\r');
}
