// A clock for durations.

/** A wall clock that is ahead by more (milliseconds) has counted a sleep of the computer. */
const CLOCK_SLEPT_MS = 1000;
let clockWall = Date.now();
let clockSteps = 0;
let clockTotal = 1;

/** Returns milliseconds that never go back, and that count the sleep of the computer. */
export function clock() {
  const [wall, steps] = [Date.now(), globalThis.performance?.now() ?? 0];
  const [byWall, bySteps] = [wall - clockWall, steps - clockSteps];
  clockTotal += byWall > bySteps + CLOCK_SLEPT_MS ? byWall : bySteps;
  clockWall = wall;
  clockSteps = steps;
  return clockTotal;
}
