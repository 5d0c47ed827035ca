// The pinned messages of a chat in the panel.

import { el, fill } from '../kit/dom.js';
import { failedNote } from './failed.js';
import { problemText } from './problem.js';
import { renderMessage } from './row.js';
import { messageClicks } from './row_actions.js';

const PIN_ROWS_MAX = 200;
const PIN_WEIGHT_MAX = 3000;

/**
 * @param {HTMLElement} root
 * @param {import('./types.js').Context} ctx
 * @param {{ chat: number }} place
 */
export function createPins(root, ctx, { chat }) {
  const { store, actions } = ctx;
  const list = el('ul', { class: 'pin-list' });
  const note = el('div', { class: 'muted note', role: 'status' }, 'Loading…');
  fill(root, note, list);
  /** @type {Map<number, import('./types.js').Message>} */
  const pinned = new Map();
  let seen = store.chat(chat)?.last_seq ?? 0;
  let isGone = false;
  let isLoaded = false;
  const offClicks = messageClicks(root, ctx);

  function draw() {
    const shown = [...pinned.values()].map((message) => store.message(message.id) ?? message).filter((message) => message.pinned && !message.deleted);
    shown.sort((one, other) => other.seq - one.seq);
    const rows = [];
    let weight = 0;
    for (const message of shown.slice(0, PIN_ROWS_MAX)) {
      const row = el('li', null, renderMessage(message, ctx, { compact: true }),
        el('div', { class: 'actions' }, el('a', { class: 'button', href: `/chat/${chat}/${message.seq}` }, 'Show in chat'),
          el('button', { type: 'button', class: 'plain', dataset: { unpin: message.id } }, 'Unpin')));
      weight += row.getElementsByTagName('*').length;
      if (rows.length > 0 && weight > PIN_WEIGHT_MAX) break;
      rows.push(row);
    }
    fill(list, ...rows);
    const isCut = rows.length < shown.length;
    note.textContent = shown.length === 0 ? 'No message is pinned. Pin a message with its menu, or with the key p.' : isCut ? `The newest ${rows.length} of ${shown.length} are shown.` : '';
    note.hidden = note.textContent === '';
  }

  async function load() {
    try {
      const found = await actions.pins(chat);
      if (isGone) return;
      pinned.clear();
      for (const message of found) pinned.set(message.id, message);
      isLoaded = true;
      draw();
    } catch (error) {
      if (isGone) return;
      note.hidden = false;
      fill(note, failedNote(error, load));
    }
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    const button = event.target instanceof Element ? event.target.closest('button[data-unpin]') : null;
    if (!(button instanceof HTMLButtonElement)) return;
    button.disabled = true;
    const id = Number(button.dataset.unpin);
    void actions.pin(chat, id, false).then(() => {
      pinned.delete(id);
      draw();
      ctx.announce('Unpinned.');
    }, (error) => {
      button.disabled = false;
      note.hidden = false;
      note.textContent = problemText(error);
    });
  }

  root.addEventListener('click', clicked);
  void load();
  return {
    /** @param {Set<string>} changes */
    update(changes) {
      if (isLoaded && changes.has('users')) draw();
      if (!changes.has(`timeline:${chat}`)) return;
      const last = store.chat(chat)?.last_seq ?? seen;
      const isPin = store.events(chat, seen + 1, last).some((event) => event.kind === 'pin' || event.kind === 'unpin' || event.kind === 'delete' || event.kind === 'trim');
      seen = Math.max(seen, last);
      if (isPin) void load();
    },
    focus() {
      const first = list.querySelector('a, button');
      if (first instanceof HTMLElement) first.focus();
    },
    destroy() {
      isGone = true;
      offClicks();
      root.removeEventListener('click', clicked);
    },
  };
}
