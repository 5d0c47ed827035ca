// Whether the user is away: without input for a while. No DOM and no timers: tested in node.

/** Without input for this long the user is away (milliseconds). A hidden page gets none. */
export const IDLE_MS = 5 * 60_000;

/**
 * @param {() => number} clock for durations
 * @param {(isIdle: boolean) => void} tell called by each check, also without a change: it may have
 *   failed before
 */
export function createAway(clock, tell) {
  let activeAt = clock();
  const isIdle = () => clock() - activeAt >= IDLE_MS;
  const check = () => tell(isIdle());
  return {
    /** Called often. */
    check,
    /** The user gave input, or sees the page again. */
    active() {
      const wasIdle = isIdle();
      activeAt = clock();
      if (wasIdle) check();
    },
  };
}
