// Questions in a dialog: a confirmation, or a text.

import { el } from '../kit/dom.js';
import { problemText } from './problem.js';

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {string} [detail]
 * @property {string} action the word on the button
 * @property {boolean} [danger]
 * @property {{ label: string, value: string, max: number }} [field]
 */

/**
 * Asks a question. `act` runs when the user agrees; its refusal is shown and the dialog stays open.
 * @param {Document} root
 * @param {Question} question
 * @param {(text: string) => Promise<unknown>} act
 */
export function ask(root, question, act) {
  const input = question.field && el('input', { id: 'ask-field', value: question.field.value, maxlength: question.field.max, required: true, autocomplete: 'off', dir: 'auto' });
  const problem = el('p', { class: 'problem', role: 'alert' });
  const button = el('button', { class: question.danger ? 'danger' : 'primary' }, question.action);
  const cancel = el('button', { type: 'button', class: 'plain' }, 'Cancel');
  const form = el('form', { method: 'dialog' },
    el('h2', { id: 'ask-title' }, question.title),
    question.detail ? el('p', null, question.detail) : null,
    input ? el('div', { class: 'field' }, el('label', { for: 'ask-field' }, question.field?.label), input) : null,
    problem,
    el('div', { class: 'actions' }, button, cancel));
  const dialog = el('dialog', { class: 'chat-dialog', 'aria-labelledby': 'ask-title' }, form);
  cancel.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await act(input?.value.trim() ?? '');
      dialog.close();
    } catch (error) {
      problem.textContent = problemText(error);
      button.disabled = false;
    }
  });
  (root.getElementById('main') ?? root.body).append(dialog);
  dialog.showModal();
  if (input) input.select();
  else if (question.danger) cancel.focus();
}
