// Loads `more.js`, the second part of the program: see docs/WEB.md. The first part calls it only for an
// action of the user, or for the contents of a message.

import { el } from '../kit/dom.js';
import { showProblem } from './problem.js';

/** @typedef {typeof import('./more.js').MORE} More */

/** The id of the style sheet of the second part. */
const LATER_SHEET = 'later-sheet';

const LATER_FAILED = 'A part of this page did not load: the server cannot be reached, or has a new version.';

/** @type {((part: More) => void)[]} */
const moreListeners = [];
/** @type {Promise<More> | undefined} */
let loadingMore;

/**
 * Returns the second part of the program; loads it at the first call. A failure is shown in the
 * state bar, and the next call loads again.
 * @returns {Promise<More>}
 */
export async function more() {
  loadingMore ??= Promise.all([import('./more.js'), loadSheet()]).then(([{ MORE }]) => {
    for (const fn of moreListeners) fn(MORE);
    return MORE;
  });
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
 * Runs a function when the second part of the program is there, before it is used.
 * @param {(part: More) => void} fn
 */
export function whenMore(fn) {
  moreListeners.push(fn);
}

/**
 * Runs a function with the second part of the program, if it can be loaded.
 * @param {(part: More) => unknown} run
 */
export function later(run) {
  void more().then(run, () => {}); // The state bar shows the failure.
}

/** Loads the style sheet of the second part. It stands beside that of the first. */
function loadSheet() {
  const first = document.querySelector('link[rel=stylesheet][href$="/chat.css"]');
  if (!first || document.getElementById(LATER_SHEET)) return undefined;
  const href = first.getAttribute('href')?.replace(/chat\.css$/, 'chat-more.css');
  const link = el('link', { id: LATER_SHEET, rel: 'stylesheet', href });
  first.after(link);
  return new Promise((done, failed) => {
    link.addEventListener('load', done);
    link.addEventListener('error', () => {
      link.remove();
      failed(new Error('the style sheet did not load'));
    });
  });
}

/** The problem that is shown. */
let laterProblem = '';

/** Returns whether the last load failed: then the pointer alone does not load again. */
export const hasLaterFailed = () => laterProblem !== '';

/** @param {string} problem */
function showLater(problem) {
  if (problem === laterProblem) return;
  laterProblem = problem;
  showProblem(problem, 'reload');
}
