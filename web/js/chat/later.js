// Loads `more.js`: what is not needed to show a chat, to read it, and to write plain text.

/** @typedef {typeof import('./more.js').MORE} More */

const LATER_FAILED = 'A part of this page did not load: the server cannot be reached, or has a new version.';

/** @type {Promise<More> | undefined} */
let loadingMore;

/**
 * Returns the second part of the program; loads it at the first call. A failure is shown in the
 * state bar, and the next call loads again.
 * @returns {Promise<More>}
 */
export async function more() {
  loadingMore ??= import('./more.js').then(({ MORE }) => MORE);
  try {
    const part = await loadingMore;
    showLater('');
    return part;
  } catch (error) {
    loadingMore = undefined;
    showLater(LATER_FAILED);
    throw error;
  }
}

/**
 * Runs a function with the second part of the program, if it can be loaded.
 * @param {(part: More) => unknown} run
 */
export function later(run) {
  void more().then(run, () => {});
}

/** The problem that is shown. */
let laterProblem = '';

/** @param {string} problem */
function showLater(problem) {
  if (problem === laterProblem) return;
  laterProblem = problem;
  document.getElementById('main')?.dispatchEvent(new CustomEvent('chat:problem', { detail: { problem } }));
}
