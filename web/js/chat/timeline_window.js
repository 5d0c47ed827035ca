// The part of a chat's history that is on the page: a range of seqs. No DOM.
//
// A window grows at either end, within loaded ranges; beyond them it names the page to request. It
// is trimmed at the end that is far from the reader. A window with `tail` follows new events, and
// only such a window contains gaps.

/** Rows on the page at most. */
export const WINDOW_ROWS_MAX = 300;
/** Events by which a window grows, and of a page that is requested. */
const WINDOW_STEP = 50;
/** Gaps that are shown at most; older ones are left out with their older rows. */
const WINDOW_GAPS_MAX = 20;

/** @typedef {import('./types.js').TimelineFacts} TimelineFacts */
/** @typedef {import('./types.js').Range} Range */
/** @typedef {{ first: number, last: number, tail: boolean }} Window an empty one has `first > last` */
/** @typedef {{ window: Window, need?: { before?: number, after?: number, around?: number } }} Step */

/**
 * Returns the loaded range that contains a seq.
 * @param {TimelineFacts} facts
 * @param {number} seq
 * @returns {Range | undefined}
 */
export function rangeAt(facts, seq) {
  return facts.ranges.find((range) => range.from <= seq && seq <= range.to);
}

/**
 * Returns the window at the end of the chat.
 * @param {TimelineFacts} facts
 * @param {number} [size]
 * @returns {Step}
 */
export function windowAtEnd(facts, size = WINDOW_STEP * 2) {
  const { last } = facts;
  if (last < facts.first_known) return { window: { first: facts.first_known, last, tail: true } };
  const range = rangeAt(facts, last);
  if (!range) return { window: { first: last + 1, last, tail: true }, need: { before: last + 1 } };
  return { window: { first: Math.max(range.from, last - size + 1), last, tail: true } };
}

/**
 * Returns the window around a seq. Without `need` the seq is in the window.
 * @param {TimelineFacts} facts
 * @param {number} seq
 * @param {number} [size]
 * @returns {Step}
 */
export function windowAround(facts, seq, size = WINDOW_STEP * 2) {
  const range = rangeAt(facts, seq);
  if (!range) return { window: { first: seq, last: seq - 1, tail: false }, need: { around: seq } };
  const half = Math.floor(size / 2);
  const first = Math.max(range.from, Math.min(seq - half, range.to - size + 1));
  const last = Math.min(range.to, Math.max(seq + half, first + size - 1));
  return { window: { first, last, tail: last === facts.last } };
}

/**
 * Grows the window towards older events.
 * @param {Window} window
 * @param {TimelineFacts} facts
 * @returns {Step}
 */
export function growUp(window, facts) {
  if (window.first <= facts.first_known) return { window };
  const range = rangeAt(facts, window.first - 1);
  if (!range) return { window, need: { before: window.first } };
  return { window: { ...window, first: Math.max(range.from, window.first - WINDOW_STEP) } };
}

/**
 * Grows the window towards newer events.
 * @param {Window} window
 * @param {TimelineFacts} facts
 * @returns {Step}
 */
export function growDown(window, facts) {
  if (window.last >= facts.last) return { window: { ...window, last: facts.last, tail: true } };
  const range = rangeAt(facts, window.last + 1);
  if (!range) return { window, need: { after: window.last } };
  const last = Math.min(range.to, window.last + WINDOW_STEP);
  return { window: { ...window, last, tail: last === facts.last } };
}

/**
 * Returns the window after facts changed: a window with `tail` reaches to the newest event.
 * @param {Window} window
 * @param {TimelineFacts} facts
 * @returns {Window}
 */
export function followTail(window, facts) {
  return window.tail ? { ...window, last: facts.last } : window;
}

/**
 * Returns the gaps within the window, ascending.
 * @param {Window} window
 * @param {TimelineFacts} facts
 * @returns {Range[]}
 */
export function gapsIn(window, facts) {
  const gaps = [];
  let next = window.first;
  for (const range of facts.ranges) {
    if (range.to < next) continue;
    if (range.from > window.last) break;
    if (range.from > next) gaps.push({ from: next, to: range.from - 1 });
    next = range.to + 1;
  }
  if (next <= window.last) gaps.push({ from: next, to: window.last });
  return gaps.slice(-WINDOW_GAPS_MAX);
}

/**
 * Returns the page that begins to close a gap.
 * @param {Range} gap
 * @param {'up' | 'down'} direction in which the reader moves
 */
export function pageOfGap(gap, direction) {
  return direction === 'up' ? { before: gap.to + 1 } : { after: gap.from - 1 };
}

/**
 * Removes rows at one end of the window, then at the other, until its weight is within the limits.
 * @param {Window} window
 * @param {{ seq: number, through: number, weight: number }[]} rows ascending; rows without a seq are
 *   not part of it
 * @param {'top' | 'bottom'} side
 * @param {{ rows: number, weight: number }} max
 * @param {{ from: number, to: number }} [keep] the indices of rows that stay
 * @returns {Window}
 */
export function trimWindow(window, rows, side, max, keep = side === 'top' ? { from: rows.length - 1, to: rows.length } : { from: 0, to: 1 }) {
  let weight = rows.reduce((sum, row) => sum + row.weight, 0);
  let [from, to] = [0, rows.length];
  while (to - from > max.rows || weight > max.weight) {
    const [mayTop, mayBottom] = [from < keep.from, to > keep.to];
    if (!mayTop && !mayBottom) break;
    if (side === 'top' ? mayTop : !mayBottom) {
      weight -= rows[from]?.weight ?? 0;
      from += 1;
    } else {
      to -= 1;
      weight -= rows[to]?.weight ?? 0;
    }
  }
  if (from === 0 && to === rows.length) return window;
  const first = from > 0 ? rows[from]?.seq ?? window.first : window.first;
  return to < rows.length ? { first, last: rows[to - 1]?.through ?? window.last, tail: false } : { ...window, first };
}
