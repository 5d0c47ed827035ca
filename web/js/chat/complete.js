// The list that completes a word of the composer: users, chats, emoji, commands. The focus stays
// in the field; `aria-activedescendant` names the active option.

import { el, fill } from '../kit/dom.js';
import { completedAt } from './completed.js';

/**
 * @typedef {object} Option
 * @property {string} insert the text that replaces the word
 * @property {string} name
 * @property {string} [about]
 * @property {string} [sign] an emoji
 */

/** @typedef {import('./completed.js').Completed} Completed */

/** Options that are listed at most. */
export const OPTIONS_MAX = 8;

/**
 * @param {HTMLTextAreaElement} field
 * @param {HTMLElement} list
 * @param {object} parts
 * @param {(word: Completed, more: (options: Option[]) => void) => Option[]} parts.find returns what
 *   is known at once, and may pass more later
 * @param {(sentence: string) => void} parts.announce
 */
export function createComplete(field, list, { find, announce }) {
  /** @type {Completed | null} */
  let word = null;
  /** @type {Option[]} */
  let options = [];
  let active = 0;
  /** The word for which the user closed the list. */
  let closed = '';

  /** @param {Completed | null} other */
  const keyOf = (other) => (other ? `${other.trigger}${other.from}` : '');

  function draw() {
    const isOpen = options.length > 0;
    list.hidden = !isOpen;
    fill(list, ...options.map(({ name, about, sign }, at) => el('li', { id: `${list.id}-${at}`, role: 'option', 'aria-selected': String(at === active), dataset: { at } },
      sign ? el('span', { class: 'sign', 'aria-hidden': 'true' }, sign) : null, el('bdi', { class: 'name' }, name), about ? el('bdi', { class: 'muted' }, about) : null)));
    if (isOpen) {
      field.setAttribute('aria-activedescendant', `${list.id}-${active}`);
      list.children[active]?.scrollIntoView({ block: 'nearest' });
    } else {
      field.removeAttribute('aria-activedescendant');
    }
  }

  /** @param {Option[]} found */
  function show(found) {
    const wasOpen = options.length > 0;
    const chosen = options[active]?.insert;
    options = found.slice(0, OPTIONS_MAX);
    active = Math.max(0, wasOpen ? options.findIndex((option) => option.insert === chosen) : 0);
    draw();
    if (!wasOpen && options.length > 0) announce(`${options.length} ${options.length === 1 ? 'suggestion' : 'suggestions'}. Arrow keys choose, Enter inserts.`);
  }

  function close() {
    [word, options, active] = [null, [], 0];
    if (!list.hidden) draw();
  }

  /** @param {number} at */
  function accept(at) {
    const option = options[at];
    if (!option || !word) return;
    const { from, to } = word;
    close();
    insertAt(field, from, to, option.insert);
    closed = '';
    close();
  }

  return {
    isOpen: () => options.length > 0,
    close,

    /** Finds the word at the caret again, after the text or the caret changed. */
    update() {
      const isRange = field.selectionStart !== field.selectionEnd;
      const found = isRange ? null : completedAt(field.value, field.selectionStart);
      if (!found || keyOf(found) !== closed) closed = '';
      if (!found || closed) return close();
      if (keyOf(found) !== keyOf(word)) active = 0;
      word = found;
      const asked = found;
      show(find(found, (more) => { if (word === asked) show(more); }));
    },

    /**
     * Handles a key, if the list is open.
     * @param {KeyboardEvent} event
     * @returns {boolean}
     */
    key(event) {
      if (options.length === 0 || event.ctrlKey || event.metaKey || event.altKey) return false;
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        active = (active + (event.key === 'ArrowDown' ? 1 : options.length - 1)) % options.length;
        draw();
      } else if ((event.key === 'Enter' || event.key === 'Tab') && !event.shiftKey) {
        accept(active);
      } else if (event.key === 'Escape') {
        closed = keyOf(word);
        close();
      } else {
        return false;
      }
      event.preventDefault();
      event.stopPropagation();
      return true;
    },

    /**
     * Accepts the option that was clicked.
     * @param {Element} target
     */
    clicked(target) {
      const item = target.closest('[role=option]');
      if (item instanceof HTMLElement && list.contains(item)) accept(Number(item.dataset.at));
    },
  };
}

/**
 * Replaces a range of the field, so that the browser can undo it.
 * @param {HTMLTextAreaElement} field
 * @param {number} from
 * @param {number} to
 * @param {string} inserted
 */
function insertAt(field, from, to, inserted) {
  field.focus();
  // A space after the word is not doubled.
  const end = inserted.endsWith(' ') && field.value.charAt(to) === ' ' ? to + 1 : to;
  field.setSelectionRange(from, end);
  if (field.ownerDocument.execCommand('insertText', false, inserted)) return;
  field.setRangeText(inserted, from, end, 'end');
  field.dispatchEvent(new Event('input', { bubbles: true }));
}
