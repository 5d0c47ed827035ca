// The note in the place of a list or text that did not load.
import { el } from '../kit/dom.js';
import { problemText } from './problem.js';

/**
 * Returns the sentence of a failure, with a button that tries again.
 * @param {unknown} error
 * @param {() => unknown} again
 */
export function failedNote(error, again) {
  const button = el('button', { type: 'button', class: 'plain' }, 'Try again');
  // A failure makes another note.
  button.addEventListener('click', () => {
    button.disabled = true;
    again();
  });
  return el('p', { class: 'problem note', role: 'alert' }, `${problemText(error)} `, button);
}
