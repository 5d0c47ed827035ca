// Refusals and failures: their sentence, and the state bar as their place where no other is near.

/**
 * Returns the sentence of a refusal.
 * @param {unknown} error
 */
export function problemText(error) {
  const detail = /** @type {{ detail?: unknown } | null} */ (error)?.detail;
  return typeof detail === 'string' && detail ? `${detail.charAt(0).toUpperCase()}${detail.slice(1)}` : 'This did not work. Try again.';
}

/**
 * Shows a problem in the state bar; '' removes it.
 * @param {string} problem
 * @param {'reload' | 'close'} [action] what the button of the bar does
 */
export function showProblem(problem, action = 'close') {
  document.getElementById('main')?.dispatchEvent(new CustomEvent('chat:problem', { detail: { problem, action } }));
}
