// Decides which messages were read: a row that was visible for half a second, while the window had
// the focus and the tab was visible. No DOM.

/** A row counts as read after this time on the screen, in milliseconds. */
const READ_VISIBLE_MS = 500;
/** Marks are sent at most this often, in milliseconds. */
const READ_EVERY_MS = 1000;

/**
 * Returns whether enough of a row is on the screen: its end, or of a tall one half of the screen.
 * @param {number} top
 * @param {number} end
 * @param {number} height of the screen
 */
export const isRowSeen = (top, end, height) => end <= height + 4 || Math.min(end, height) - Math.max(top, 0) >= height / 2;

/**
 * Returns the marks of one chat.
 * @param {() => number} now
 */
export function createReadMarks(now) {
  /** The visible rows by their first seq: later events may belong to a row. @type {Map<number, { at: number, through: number }>} */
  let since = new Map();
  let sentAt = -Infinity;
  let sent = 0;
  let isHeld = false;
  return {
    /**
     * Takes the rows that are visible now.
     * @param {{ seq: number, through: number }[]} rows
     */
    see(rows) {
      const at = now();
      since = new Map(rows.map(({ seq, through }) => [seq, { at: since.get(seq)?.at ?? at, through }]));
    },
    /** No row is visible: the window has lost the focus, or another chat is open. */
    leave() {
      since = new Map();
    },
    /** Stops until `reset`: the user marked messages as unread. */
    hold() {
      isHeld = true;
    },
    /** @param {number} readSeq */
    reset(readSeq) {
      since = new Map();
      sent = readSeq;
      sentAt = -Infinity;
      isHeld = false;
    },
    /**
     * Returns the seq to mark as read; 0 if there is none now.
     * @returns {number}
     */
    due() {
      const at = now();
      if (isHeld || at - sentAt < READ_EVERY_MS) return 0;
      let seq = 0;
      for (const { at: began, through } of since.values()) if (at - began >= READ_VISIBLE_MS && through > seq) seq = through;
      if (seq <= sent) return 0;
      sent = seq;
      sentAt = at;
      return seq;
    },
    /** Returns whether a later call of `due` may have a mark. */
    waits() {
      return !isHeld && [...since.values()].some(({ through }) => through > sent);
    },
  };
}
