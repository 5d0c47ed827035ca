// The way to the messages of a day.
import { api } from '../kit/api.js';
import { el } from '../kit/dom.js';
import { problemText } from './problem.js';
import { showPopover } from './popover.js';

/**
 * Returns the beginning of a local day, if the text is a date.
 * @param {string} day `2026-11-29`
 */
export function dayStart(day) {
  const found = /^(\d{4,6})-(\d\d)-(\d\d)$/.exec(day);
  return found ? new Date(Number(found[1]), Number(found[2]) - 1, Number(found[3])) : undefined;
}

/**
 * Returns the seq of the first event of a day; undefined if the text is not a date.
 * @param {number} chatId
 * @param {string} day
 * @returns {Promise<number | undefined>}
 */
export async function seqOfDay(chatId, day) {
  const start = dayStart(day);
  return start && (await api('GET', `/api/chats/${chatId}/seq?at=${encodeURIComponent(start.toISOString())}`)).seq;
}

/**
 * Asks for a day in a popover, and goes there.
 * @param {import('./types.js').Context} ctx
 * @param {number} chatId
 * @param {{ near: HTMLElement, parent: HTMLElement }} place
 * @param {(seq: number) => Promise<unknown>} go
 */
export function askDay(ctx, chatId, { near, parent }, go) {
  const field = el('input', { type: 'date', id: 'jump-date', max: localDay(ctx.now()), required: true });
  const problem = el('p', { class: 'problem', role: 'alert' });
  const form = el('form', { class: 'jump-date-form' }, el('label', { for: 'jump-date' }, 'Jump to a date'), el('div', { class: 'with-button' }, field, el('button', { class: 'primary' }, 'Go')), problem);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    try {
      const seq = await seqOfDay(chatId, field.value);
      if (seq !== undefined) await go(seq);
      form.hidePopover();
    } catch (error) {
      problem.textContent = problemText(error);
    }
  });
  showPopover(form, near, parent);
  field.focus();
}

/** @param {number} ms */
function localDay(ms) {
  const date = new Date(ms);
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
