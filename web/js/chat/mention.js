// The grammar of mentions: docs/PROTOCOL.md, section 17. The server has the same rules
// (`src/domain/mention/`), and both are tested with `examples/mentions.json`. The text dialect
// (`markdown.js`) reads blocks, code and links with this module, so that it highlights exactly the
// names that the server notifies.

/**
 * A block of a text. `names` are only in paragraphs.
 * @typedef {{ kind: 'paragraph', text: string }
 *   | { kind: 'fence', info: string, lines: string[], indent: number, closed: boolean }
 *   | { kind: 'quote', lines: string[] }} Block
 */

/**
 * A part of a paragraph. `from` and `to` are positions in its text; `inner` is the code of a code
 * span, the name without its `@`, or the text of a link.
 * @typedef {{ kind: 'text' | 'code' | 'link' | 'address' | 'name', from: number, to: number,
 *   inner: string, target: string }} Token
 */

/** Counts the characters that the scans read. Tests prove with it that time is linear. */
export class Meter {
  steps = 0;
}

/** Maximum bytes of a user name. */
const MENTION_NAME_MAX = 39;

const MENTION_WORD = /^[\p{L}\p{N}\p{M}]$/u;
/** White space as Unicode defines it: `trim()` of JavaScript differs in U+0085 and U+FEFF. */
const MENTION_SPACE = /^[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/;

/** @param {string} c */
const isAsciiWord = (c) => (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');

/**
 * Returns whether a character is a letter, digit or mark of any script.
 * @param {string} c
 */
export function isWord(c) {
  if (c.length === 1 && c < '\x80') return isAsciiWord(c);
  return MENTION_WORD.test(c);
}

/** @param {string} c */
export const isNameChar = (c) => isWord(c) || c === '.' || c === '_' || c === '-';

/** @param {string} c */
export const isSpace = (c) => MENTION_SPACE.test(c);

/**
 * Returns the character at a position; '' at the end.
 * @param {string} text
 * @param {number} at
 */
export function charAt(text, at) {
  const point = text.codePointAt(at);
  return point === undefined ? '' : String.fromCodePoint(point);
}

/**
 * Returns the end of the longest range from `at` whose characters are all `like`.
 * @param {string} text
 * @param {number} at
 * @param {(c: string) => boolean} like
 * @param {Meter} meter
 */
export function endOf(text, at, like, meter) {
  let end = at;
  for (;;) {
    const c = charAt(text, end);
    meter.steps += 1;
    if (c === '' || !like(c)) return end;
    end += c.length;
  }
}

/**
 * Returns a line without the white space around it, as the server trims it.
 * @param {string} line
 */
export function trimSpace(line) {
  let [from, to] = [0, line.length];
  while (from < to && isSpace(line.charAt(from))) from += 1;
  while (to > from && isSpace(line.charAt(to - 1))) to -= 1;
  return line.slice(from, to);
}

/**
 * @param {string} text
 * @param {string} c
 */
function runLength(text, c) {
  let count = 0;
  while (text.charAt(count) === c) count += 1;
  return count;
}

/**
 * Returns the fence that a trimmed line opens, or null.
 * @param {string} line
 * @returns {{ c: string, count: number, info: string } | null}
 */
function openedFence(line) {
  const c = line.charAt(0);
  if (c !== '`' && c !== '~') return null;
  const count = runLength(line, c);
  const info = line.slice(count);
  if (count < 3 || (c === '`' && info.includes(c))) return null;
  return { c, count, info: trimSpace(info) };
}

/**
 * Returns the blocks of a text: fences, quotes, and the paragraphs between them and blank lines.
 * @param {string} text
 * @param {Meter} [meter]
 * @returns {Block[]}
 */
export function blocksOf(text, meter = new Meter()) {
  /** @type {Block[]} */
  const blocks = [];
  /** @type {{ c: string, count: number, block: Extract<Block, { kind: 'fence' }> } | null} */
  let fence = null;
  /** @type {string[]} */
  let lines = [];
  const endParagraph = () => {
    if (lines.length > 0) blocks.push({ kind: 'paragraph', text: lines.join('\n') });
    lines = [];
  };
  let quoted = false;
  for (const line of text.split('\n')) {
    meter.steps += line.length + 1;
    const trimmed = trimSpace(line);
    const follows = quoted;
    quoted = false;
    if (fence) {
      if (trimmed !== '' && runLength(trimmed, fence.c) === trimmed.length && trimmed.length >= fence.count) {
        fence.block.closed = true;
        fence = null;
      } else {
        fence.block.lines.push(line);
      }
      continue;
    }
    const opened = openedFence(trimmed);
    if (opened) {
      endParagraph();
      const indent = line.indexOf(opened.c);
      /** @type {Extract<Block, { kind: 'fence' }>} */
      const block = { kind: 'fence', info: opened.info, lines: [], indent, closed: false };
      blocks.push(block);
      fence = { c: opened.c, count: opened.count, block };
    } else if (trimmed === '') {
      endParagraph();
    } else if (trimmed.startsWith('>')) {
      endParagraph();
      const last = blocks.at(-1);
      if (follows && last?.kind === 'quote') last.lines.push(trimmed.slice(1));
      else blocks.push({ kind: 'quote', lines: [trimmed.slice(1)] });
      quoted = true;
    } else {
      lines.push(line);
    }
  }
  endParagraph();
  return blocks;
}

/**
 * Returns the end of the code span that begins at each run of backticks: after the next run of the
 * same length.
 * @param {string} text
 * @param {Meter} meter
 */
function codeSpans(text, meter) {
  /** @type {{ from: number, length: number }[]} */
  const runs = [];
  for (let at = text.indexOf('`'); at >= 0; ) {
    const end = endOf(text, at, (c) => c === '`', meter);
    runs.push({ from: at, length: end - at });
    at = text.indexOf('`', end);
  }
  meter.steps += text.length;
  /** @type {Map<number, number>} */
  const spans = new Map();
  /** @type {Map<number, number>} */
  const next = new Map();
  for (const { from, length } of runs.reverse()) {
    const closing = next.get(length);
    if (closing !== undefined) spans.set(from, closing + length);
    next.set(length, from);
  }
  return spans;
}

/**
 * Returns whether a word begins a link: `scheme://`, or `host.name/`.
 * @param {string} word
 * @param {string} text
 * @param {number} end the end of the word in the text
 */
function isAddress(word, text, end) {
  if (text.startsWith('://', end)) return isAsciiWord(word.charAt(word.length - 1));
  const point = word.lastIndexOf('.');
  return text.charAt(end) === '/' && point > 0 && isAsciiWord(word.charAt(point + 1));
}

/**
 * Returns the parts of a paragraph, which cover all of its text. Text between the others is one
 * token.
 * @param {string} text
 * @param {Meter} [meter]
 * @returns {Token[]}
 */
export function tokensOf(text, meter = new Meter()) {
  /** @type {Token[]} */
  const tokens = [];
  const spans = codeSpans(text, meter);
  let plain = 0;
  let at = 0;
  let before = ' ';
  // A range that contains no `)`, so that it is searched only once.
  let unclosed = { from: 0, to: 0 };

  /** @param {Token['kind']} kind @param {number} to @param {string} [inner] @param {string} [target] */
  const token = (kind, to, inner = '', target = '') => {
    if (plain < at) tokens.push({ kind: 'text', from: plain, to: at, inner: text.slice(plain, at), target: '' });
    tokens.push({ kind, from: at, to, inner, target });
    plain = to;
  };
  const link = () => {
    const inner = endOf(text, at + 1, (c) => c !== '[' && c !== ']' && c !== '\n', meter);
    if (!text.startsWith('](', inner)) return 0;
    const from = inner + 2;
    if (from >= unclosed.from && from < unclosed.to) return 0;
    const end = endOf(text, from, (c) => c !== ')' && c !== '\n', meter);
    if (text.charAt(end) !== ')') {
      unclosed = { from, to: end + 1 };
      return 0;
    }
    token('link', end + 1, text.slice(at + 1, inner), text.slice(from, end));
    return end + 1;
  };

  while (at < text.length) {
    const c = charAt(text, at);
    meter.steps += 1;
    let end = at + c.length;
    let last = c;
    if (c === '`') {
      const run = endOf(text, at, (other) => other === '`', meter);
      end = spans.get(at) ?? run;
      if (spans.has(at)) token('code', end, text.slice(run, end - (run - at)));
    } else if (c === '[') {
      const linked = link();
      if (linked > 0) [end, last] = [linked, ')'];
    } else if (c === '@' && !isWord(before)) {
      end = endOf(text, at + 1, isNameChar, meter);
      if (end > at + 1) {
        token('name', end, text.slice(at + 1, end));
        last = charBefore(text, end);
      }
    } else if (isWord(c)) {
      const word = endOf(text, at, (other) => isNameChar(other) || other === '+', meter);
      if (isAddress(text.slice(at, word), text, word)) {
        end = endOf(text, at, (other) => !isSpace(other) && other !== '<' && other !== '>', meter);
        token('address', end, text.slice(at, end));
        last = ' ';
      } else {
        end = word;
        last = charBefore(text, end);
      }
    }
    at = end;
    before = last;
  }
  if (plain < at) tokens.push({ kind: 'text', from: plain, to: at, inner: text.slice(plain, at), target: '' });
  return tokens;
}

/**
 * Returns the character that ends at a position.
 * @param {string} text
 * @param {number} end
 */
export function charBefore(text, end) {
  const low = text.charCodeAt(end - 1);
  return charAt(text, low >= 0xdc00 && low <= 0xdfff ? end - 2 : end - 1);
}

/**
 * Returns the user names that may be meant by `written`, the text after an `@`: the longest first.
 * The first one that a member has is the mentioned one. No name: no user can have such a name.
 * @param {string} written
 */
export function candidatesOf(written) {
  if (!/^[a-z0-9][a-z0-9._-]*$/i.test(written)) return [];
  const name = nameStem(written);
  if (name.length > MENTION_NAME_MAX) return [];
  const longest = written.slice(0, MENTION_NAME_MAX).toLowerCase();
  const names = [];
  for (let length = longest.length; length >= name.length; length -= 1) names.push(longest.slice(0, length));
  return names;
}

/**
 * Returns a name without the punctuation at its end, in lower case.
 * @param {string} written
 */
function nameStem(written) {
  let end = written.length;
  while (end > 0 && '._-'.includes(written.charAt(end - 1))) end -= 1;
  return written.slice(0, end).toLowerCase();
}
