// Characters that readers do not see, or that change the order of the text around them. The rules
// are those of the pages of code (`src/web/paint/hidden.rs`).

import { el } from '../kit/dom.js';
import { later } from './later.js';

/** Maximum marks in a message: a mark is much larger than the character. */
const HIDDEN_MARKS_MAX = 500;
const HIDDEN_REPLACEMENT = '\ufffd';

const HIDDEN_REORDERS = /[\u202a-\u202e\u2066-\u2069]/;
const HIDDEN_CONTROL = /^\p{Cc}$/u;
const HIDDEN_FORMAT = /^[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]$/u;
/** Characters of category `Format` that have a glyph. */
const HIDDEN_NOT = /^[\u0600-\u0605\u06dd\u070f\u0890-\u0891\u08e2\u{110bd}\u{110cd}\u{13430}-\u{1343f}]$/u;
/** Letters, marks and symbols without ink, and variation selectors. */
const HIDDEN_BLANK = /^[\u034f\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\u{e0100}-\u{e01ef}]$/u;
/** Finds texts whose characters need no check. */
const HIDDEN_NOTHING = /^[\t\n -~\u00a1-\u00ac\u00ae-\u034e\u0370-\u05ff\u0900-\u0dff\u3041-\u3163\u4e00-\u9fff\uac00-\ud7a3]*$/;

/** @param {string} c */
const isHiddenChar = (c) => (HIDDEN_FORMAT.test(c) && !HIDDEN_NOT.test(c)) || HIDDEN_BLANK.test(c);

/**
 * Returns whether a hidden character has a use between its neighbours: a joiner in a script or an
 * emoji, a selector of the emoji form.
 * @param {string} c
 * @param {string} before
 * @param {string} after
 */
function hiddenBelongs(c, before, after) {
  /** @param {string} other */
  const joined = (other) => other > '\x7f' && (!isHiddenChar(other) || other === '\ufe0f');
  if (c === '\u200c' || c === '\u200d') return joined(before) && joined(after);
  if (c === '\ufe0e' || c === '\ufe0f') return /^[#*0-9]$/.test(before) || (joined(before) && before !== '\ufe0f');
  return false;
}

/**
 * Splits a text into texts and hidden characters to mark. In prose only characters that change the
 * order are marked, because many languages use the others.
 * @param {string} value
 * @param {boolean} isCode
 * @returns {{ text: string, mark: boolean }[]}
 */
export function splitHidden(value, isCode) {
  if (HIDDEN_NOTHING.test(value)) return value === '' ? [] : [{ text: value, mark: false }];
  /** @type {{ text: string, mark: boolean }[]} */
  const parts = [];
  let plain = '';
  const chars = [...value];
  chars.forEach((c, at) => {
    const control = HIDDEN_CONTROL.test(c) && c !== '\n' && c !== '\t';
    const marked = isCode
      ? c !== '\n' && c !== '\t' && isHiddenChar(c) && !hiddenBelongs(c, chars[at - 1] ?? '', chars[at + 1] ?? '')
      : HIDDEN_REORDERS.test(c);
    if (!marked) {
      plain += control ? HIDDEN_REPLACEMENT : c;
      return;
    }
    if (plain) parts.push({ text: plain, mark: false });
    plain = '';
    parts.push({ text: c, mark: true });
  });
  if (plain) parts.push({ text: plain, mark: false });
  return parts;
}

/**
 * Removes characters that change the order of the text around them, for texts that stand beside
 * others outside of a page.
 * @param {string} value
 */
export const withoutReordering = (value) => value.replace(/[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/g, '');

/** Returns the nodes of texts with marks, at most a number of marks for all of them. */
export function hiddenMarker() {
  let left = HIDDEN_MARKS_MAX;
  /**
   * @param {string} value
   * @param {boolean} isCode
   * @returns {(Node | string)[]}
   */
  return (value, isCode) => splitHidden(value, isCode).map(({ text, mark }) => {
    if (!mark) return text;
    if (left === 0) return HIDDEN_REPLACEMENT;
    left -= 1;
    const point = `U+${(text.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
    const node = el('span', { class: 'hidden-char', title: point }, point);
    later(({ HIDDEN_NAMES }) => { node.title = `${point} ${HIDDEN_NAMES[text] ?? 'invisible character'}`; });
    return node;
  });
}
