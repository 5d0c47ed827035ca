// The one rule for scrolling: what the reader sees keeps its place.
//
// Only this module writes `scrollTop`. The end is a place of its own: a reader who is at the end
// stays there. Otherwise the first row that begins on the screen keeps its distance to the top edge.
// The rule applies to every change: rows before, after, edited, removed; a composer that grows; a
// window resize.

/** A reader who is this near to the end is at the end, in pixels. */
const ANCHOR_END_PX = 100;
/** The same after the reader scrolled up, until they are back at the end. */
const ANCHOR_BACK_PX = 2;
/** A reader who scrolled up within this time is not at the end, in milliseconds. */
const ANCHOR_UP_MS = 150;
/** Rows that are remembered, in case that the first of them is removed. */
const ANCHOR_ROWS_MAX = 12;

/**
 * Returns whether the view is at the end.
 * @param {{ top: number, height: number, full: number, sinceUpMs: number }} at `sinceUpMs`: Infinity
 *   for a reader who has not scrolled up since they were at the end
 */
export function isAtEnd({ top, height, full, sinceUpMs }) {
  return full - height - top <= (sinceUpMs < Infinity ? ANCHOR_BACK_PX : ANCHOR_END_PX) && sinceUpMs > ANCHOR_UP_MS;
}

/**
 * @typedef {object} Anchor
 * @property {(change: () => void, isAppended?: boolean) => void} keep changes rows; what the reader
 *   sees stays in place. `isAppended`: new rows are at the end
 * @property {() => void} end scrolls to the end, and stays there
 * @property {(node: Element, place: 'start' | 'center' | 'nearest', offset?: number) => void} show
 * @property {(px: number) => void} by scrolls by pixels
 * @property {() => boolean} atEnd
 * @property {() => Element | null} first the first visible row
 * @property {(node: Element) => number} topOf the distance of a row to the top edge
 */

/**
 * Keeps the place of the rows of `list`, which scrolls in `scroller`.
 * @param {HTMLElement} scroller
 * @param {HTMLElement} list its children are the rows, in order
 * @param {{ moved?: () => void, isHeld?: () => boolean, hasEnd?: () => boolean }} options `moved`: called after every change
 *   of the place or of the size; `isHeld`: new rows do not move the reader
 * @returns {Anchor}
 */
export function createAnchor(scroller, list, { moved = () => {}, isHeld = () => false, hasEnd = () => true }) {
  /** The end of the rows is a place to stay only if no more rows follow. @param {number} px the distance to the end */
  const isEnd = (px) => hasEnd() && isAtEnd({ top: 0, height: 0, full: px, sinceUpMs: now() - upAt });
  /** The place when it was last known to be right. */
  const place = { end: true, top: 0, max: 0, rows: /** @type {{ node: Element, y: number }[]} */ ([]) };
  let upAt = -Infinity;
  const now = () => performance.now();

  const topOf = (/** @type {Element} */ node) => node.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
  const max = () => Math.max(0, scroller.scrollHeight - scroller.clientHeight);

  /** Returns the index of the first row whose bottom is below the top edge. */
  function firstIndex() {
    const edge = scroller.getBoundingClientRect().top;
    let [low, high] = [0, list.children.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((list.children[middle]?.getBoundingClientRect().bottom ?? 0) > edge + 0.5) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Remembers the place. @param {boolean} end */
  function record(end) {
    place.end = end;
    place.top = scroller.scrollTop;
    place.max = max();
    place.rows = [];
    if (end) return;
    const from = firstIndex();
    for (let at = from; at < Math.min(from + ANCHOR_ROWS_MAX, list.children.length); at += 1) {
      const node = list.children[at];
      if (node) place.rows.push({ node, y: topOf(node) });
    }
    // A row that is cut by the edge may change its height itself: the rows below it are what
    // is read.
    const [cut, next] = place.rows;
    if (cut && next && cut.y < -1 && next.y < scroller.clientHeight / 2) place.rows.push(...place.rows.splice(0, 1));
  }

  /** @param {number} top */
  function write(top) {
    const wanted = Math.min(Math.max(0, top), max());
    if (Math.abs(wanted - scroller.scrollTop) > 0.01) scroller.scrollTop = wanted;
  }

  /**
   * Reads what the reader did since the place was recorded: they may have scrolled, before the
   * browser reports it. A position that only became impossible is not a movement.
   */
  function readMovement() {
    const byReader = scroller.scrollTop - place.top;
    if (Math.abs(byReader) < 1) return;
    const isClamped = byReader < 0 && scroller.scrollTop >= max() - 1 && max() < place.top;
    if (isClamped) return;
    if (byReader < 0) upAt = now();
    else if (max() - scroller.scrollTop <= ANCHOR_BACK_PX) upAt = -Infinity;
    const wasMax = place.max;
    place.top = scroller.scrollTop;
    for (const row of place.rows) row.y -= byReader;
    const end = isEnd(wasMax - place.top);
    if (end) place.end = true;
    else if (place.end) record(false);
  }

  /** Puts the rows where they were. */
  function restore() {
    if (place.end) {
      write(max());
    } else {
      const kept = place.rows.find(({ node }) => node.parentNode === list);
      if (kept) write(scroller.scrollTop + (topOf(kept.node) - kept.y));
    }
    record(place.end);
    moved();
  }

  /** @param {() => void} change @param {boolean} [isAppended] */
  function keep(change, isAppended = false) {
    readMovement();
    if (place.end && now() - upAt <= ANCHOR_UP_MS) record(false);
    // New rows take a reader along who is near to the end. Other changes do not move the reader.
    if (isAppended && isEnd(place.max - place.top)) place.end = true;
    if (isAppended && place.end && isHeld()) {
      upAt = now();
      record(false);
    }
    change();
    restore();
  }

  /** The reader chose this place. */
  function settle() {
    record(isEnd(max() - scroller.scrollTop));
    moved();
  }

  const scrolled = () => {
    readMovement();
    // Rows that changed before this event report their sizes after it.
    if (max() !== place.max) restore();
    else settle();
  };
  /** A wheel moves up before the first pixel has moved. @param {WheelEvent} event */
  const wheeled = (event) => { if (event.deltaY < 0) upAt = now(); };
  const sizes = new ResizeObserver(() => keep(() => {}));
  sizes.observe(scroller);
  sizes.observe(list);
  scroller.addEventListener('scroll', scrolled, { passive: true });
  scroller.addEventListener('wheel', wheeled, { passive: true });
  record(true);

  return {
    keep,
    end() {
      upAt = -Infinity;
      place.end = true;
      write(max());
      record(true);
      moved();
    },
    show(node, where, offset = 0) {
      readMovement();
      const height = scroller.clientHeight;
      const box = node.getBoundingClientRect();
      const top = topOf(node);
      let by = top - offset;
      if (where === 'center') by = top - Math.max(offset, (height - box.height) / 2);
      if (where === 'nearest') {
        const isAbove = top < offset;
        const isBelow = top + box.height > height - 8;
        if (isBelow) by = box.height > height - offset ? top - offset : top + box.height - height + 8;
        if (!isAbove && !isBelow) by = 0;
      }
      write(scroller.scrollTop + Math.round(by));
      // A place near the end that was chosen is not the end, unless it is exactly there.
      record(max() - scroller.scrollTop < 1 && (where !== 'nearest' || place.end));
      moved();
    },
    by(px) {
      write(scroller.scrollTop + px);
      if (px < 0) upAt = now();
      settle();
    },
    atEnd: () => place.end,
    first: () => list.children[firstIndex()] ?? null,
    topOf,
  };
}
