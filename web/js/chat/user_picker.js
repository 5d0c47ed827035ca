// A field that finds users while their name is typed. It is a combobox with a list.

import { el, fill } from '../kit/dom.js';

const PICKER_DELAY_MS = 150;
const PICKER_ROWS = 8;

let pickerCount = 0;

/**
 * @typedef {object} PickerOptions
 * @property {string} label
 * @property {(prefix: string) => Promise<import('./types.js').User[]>} find
 * @property {(user: import('./types.js').User) => void} pick
 * @property {(user: import('./types.js').User) => boolean} [accepts] users who are not listed: false
 */

/**
 * Returns the field with its list.
 * @param {PickerOptions} options
 */
export function userPicker({ label, find, pick, accepts = () => true }) {
  pickerCount += 1;
  const id = `users-${pickerCount}`;
  const input = el('input', { id, role: 'combobox', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', maxlength: 64, 'aria-autocomplete': 'list', 'aria-expanded': 'false', 'aria-controls': `${id}-list` });
  const list = el('ul', { id: `${id}-list`, role: 'listbox', 'aria-label': label, class: 'options', hidden: true });
  const note = el('p', { class: 'help', role: 'status' });
  const node = el('div', { class: 'field picker-field' }, el('label', { for: id }, label), input, list, note);
  /** @type {import('./types.js').User[]} */
  let users = [];
  let active = 0;
  let timer = 0;

  function draw() {
    const items = users.map((user, at) => el('li', { id: `${id}-${at}`, role: 'option', 'aria-selected': String(at === active), dataset: { at } },
      el('span', { class: 'name', dir: 'auto' }, user.display_name || user.username), user.display_name ? el('span', { class: 'muted' }, ` ${user.username}`) : null));
    fill(list, ...items);
    list.hidden = items.length === 0;
    input.setAttribute('aria-expanded', String(items.length > 0));
    if (items.length) input.setAttribute('aria-activedescendant', `${id}-${active}`);
    else input.removeAttribute('aria-activedescendant');
  }

  async function search() {
    const prefix = input.value.trim().replace(/^@/, '');
    if (!prefix) {
      users = [];
      note.textContent = '';
      return draw();
    }
    try {
      const found = await find(prefix);
      if (prefix !== input.value.trim().replace(/^@/, '')) return;
      users = found.filter(accepts).slice(0, PICKER_ROWS);
      note.textContent = users.length ? '' : `No user was found for "${prefix}". Users with whom you share no chat are found by their whole user name.`;
    } catch {
      users = [];
      note.textContent = 'The server did not answer. Type again to retry.';
    }
    active = 0;
    draw();
  }

  /** @param {number} at */
  function choose(at) {
    const user = users[at];
    if (!user) return;
    users = [];
    input.value = '';
    draw();
    pick(user);
  }

  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(search, PICKER_DELAY_MS);
  });
  input.addEventListener('keydown', (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && users.length) {
      event.preventDefault();
      active = (active + (event.key === 'ArrowDown' ? 1 : users.length - 1)) % users.length;
      draw();
    } else if (event.key === 'Enter' && users.length) {
      event.preventDefault();
      choose(active);
    } else if (event.key === 'Escape' && users.length) {
      event.preventDefault();
      event.stopPropagation();
      users = [];
      draw();
    }
  });
  list.addEventListener('mousedown', (event) => event.preventDefault());
  list.addEventListener('click', (event) => {
    const item = event.target instanceof Element ? event.target.closest('[data-at]') : null;
    if (item instanceof HTMLElement) choose(Number(item.dataset.at));
  });
  return { node, input, isOpen: () => users.length > 0 };
}
