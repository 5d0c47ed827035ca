// Finds the first event of a day: events are in the order of their times.

/**
 * Returns the seq of the first event at or after a time; `last` if all are older. It asks for at
 * most 60 events.
 * @param {number} wantedMs
 * @param {number} last the newest seq
 * @param {(seq: number) => Promise<number | null>} timeAt the time of the first event at or after a
 *   seq; null if there is none
 */
export async function seqAtTime(wantedMs, last, timeAt) {
  let low = 1;
  let high = Math.max(1, last);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const time = await timeAt(middle);
    if (time === null || time >= wantedMs) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Returns the beginning of a local day; NaN if the text is not a date.
 * @param {string} day `2026-11-29`
 */
export function dayStart(day) {
  const found = /^(\d{4,6})-(\d\d)-(\d\d)$/.exec(day);
  return found ? new Date(Number(found[1]), Number(found[2]) - 1, Number(found[3])).getTime() : NaN;
}
