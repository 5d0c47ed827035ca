// Repeats a question while a page is visible.

/** A visible page asks this often (milliseconds). */
const EVERY_MS = 30_000;
/** It does not ask more often when it becomes visible. */
const LEAST_MS = 5_000;

/**
 * Asks at intervals, and when the page becomes visible again.
 * @param {Document} root
 * @param {() => Promise<void>} ask
 * @param {boolean} isKnown whether the page was made with the answer; otherwise, asks at once
 */
export function whileVisible(root, ask, isKnown) {
  let askedAt = isKnown ? performance.now() : -Infinity;

  function askAgain() {
    if (root.hidden || performance.now() - askedAt < LEAST_MS) return;
    askedAt = performance.now();
    void ask();
  }

  root.addEventListener('visibilitychange', askAgain);
  // The Back button may show an old page.
  addEventListener('pageshow', (event) => {
    if (!event.persisted) return;
    askedAt = -Infinity;
    askAgain();
  });
  setInterval(askAgain, EVERY_MS);
  askAgain();
}
