// The buttons over the timeline: the date with the way to another date, the way to the present, the
// way to the first unread message.
import { el, text } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { dayLabel } from '../kit/time.js';

/** @typedef {{ at: string | number | undefined, count: number, isShown: boolean, unread: number }} PillState */

/**
 * Creates the buttons.
 * @param {HTMLElement} root
 * @param {import('./types.js').Context} ctx
 * @param {{ onPresent: () => void, onUnread: () => void, onDate: (near: HTMLElement) => void }} acts
 */
export function createPill(root, ctx, { onPresent, onUnread, onDate }) {
  const day = el('span', null);
  const words = el('span', null);
  const arrow = icon('down');
  const date = el('button', { type: 'button', class: 'pill-date', title: 'Jump to a date', 'aria-haspopup': 'dialog' }, icon('clock'), day);
  const present = el('button', { type: 'button', class: 'pill-present' }, words, arrow);
  const pill = el('div', { class: 'timeline-pill', hidden: true }, date, present);
  const unreadWords = el('span', null);
  const unread = el('button', { type: 'button', class: 'pill-unread', hidden: true }, icon('up'), unreadWords);
  root.append(unread, pill);
  date.addEventListener('click', () => onDate(date));
  present.addEventListener('click', onPresent);
  unread.addEventListener('click', onUnread);

  return {
    /** @param {PillState} state */
    show(state) {
      pill.hidden = !state.isShown;
      pill.classList.toggle('has-new', state.count > 0);
      const name = state.at === undefined ? '' : dayLabel(state.at, ctx.now());
      text(day, name.charAt(0).toUpperCase() + name.slice(1));
      date.hidden = name === '';
      text(words, state.count > 0 ? `${state.count.toLocaleString()} new` : 'Jump to present');
      unread.hidden = state.unread === 0;
      text(unreadWords, `Jump to first unread (${state.unread.toLocaleString()})`);
    },
  };
}
