// Where the New line stands, and what is new since the reader left the end. No DOM.

/** Returns the state of one open chat. */
export function createUnread() {
  /** The read cursor on entry; undefined: nothing was unread. @type {number | undefined} */
  let newAfter;
  let onEntry = 0;
  /** Whether the reader has had the New line on the screen. */
  let isLineSeen = false;
  /** Whether the window lost the focus, and no message has arrived since. */
  let isAbsent = false;
  /** The first seq that is new since the reader left the end. */
  let awayFrom = 0;
  return {
    /** @param {number} readSeq @param {number} count @param {number} last */
    open(readSeq, count, last) {
      newAfter = count > 0 ? readSeq : undefined;
      [onEntry, isLineSeen, awayFrom] = [count, false, last + 1];
    },
    newAfter: () => newAfter,
    awayFrom: () => awayFrom,
    /** The reader is at the end. @param {number} last */
    atEnd(last) {
      awayFrom = last + 1;
    },
    /** The New line is on the screen. */
    lineShown() {
      if (newAfter !== undefined) isLineSeen = true;
    },
    /**
     * Returns the messages that were unread on entry, if the first of them is above the screen and
     * the reader has not been there; else 0.
     * @param {number} firstSeq the first event on the screen
     */
    above(firstSeq) {
      return newAfter !== undefined && !isLineSeen && firstSeq > newAfter + 1 ? onEntry : 0;
    },
    /** The reader marked the messages after a seq as unread. @param {number} seq */
    hold(seq) {
      [newAfter, isLineSeen] = [seq, true];
    },
    /** The window lost the focus. */
    left() {
      isAbsent = true;
    },
    /**
     * Messages arrived. The first ones after the reader left get the New line, if the former one
     * was seen.
     * @param {number} others
     * @param {number} readSeq
     */
    arrived(others, readSeq) {
      if (others === 0) return;
      if (isAbsent && (newAfter === undefined || isLineSeen)) [newAfter, isLineSeen] = [readSeq, false];
      isAbsent = false;
    },
  };
}
