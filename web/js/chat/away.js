// Whether the user is away: without input for a while. No DOM and no timers: tested in node.

/** Without input for this long the user is away (milliseconds). A hidden page gets none. */
export const IDLE_MS = 5 * 60_000;

/**
 * @param {() => number} clock for durations
 * @param {(isIdle: boolean) => void} report called by each check, also without a change: an
 *   earlier call may have failed
 */
export function createAway(clock, report) {
  let activeAt = clock();
  const isIdle = () => clock() - activeAt >= IDLE_MS;
  const check = () => report(isIdle());
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
