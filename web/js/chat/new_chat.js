// The dialog that begins a chat: direct, group or channel, or joins a channel.

import { el, fill } from '../kit/dom.js';
import { failedNote } from './failed.js';
import { problemText } from './problem.js';
import { userPicker } from './user_picker.js';

const CHAT_NAME_MAX = 100;
const JOINABLE_ROWS_MAX = 500;

/** @typedef {'direct' | 'group' | 'channel' | 'join'} NewChatKind */

/** @type {readonly (readonly [NewChatKind, string, string])[]} */
const NEW_CHAT_KINDS = [
  ['direct', 'Direct', 'A chat between you and one other user.'],
  ['group', 'Group', 'Only users who are added can read a group.'],
  ['channel', 'Channel', 'Every user of this server can find and join a channel.'],
  ['join', 'Find channels', 'Channels that you can join.'],
];

/**
 * Opens the dialog.
 * @param {import('./types.js').Context} ctx
 * @param {NewChatKind} [begin]
 */
export function newChat(ctx, begin = 'direct') {
  const { actions, router, store, root } = ctx;
  /** @type {NewChatKind} */
  let kind = begin;
  /** @type {Map<string, import('./types.js').User>} */
  const chosen = new Map();
  const tabs = el('div', { class: 'switch', role: 'group', 'aria-label': 'Kind of chat' });
  const help = el('p', { class: 'help', id: 'new-chat-help' });
  const chips = el('ul', { class: 'chips', 'aria-label': 'Chosen users', hidden: true });
  const name = el('input', { id: 'new-chat-name', maxlength: CHAT_NAME_MAX, autocomplete: 'off', dir: 'auto' });
  const named = el('div', { class: 'field' }, el('label', { for: 'new-chat-name' }, 'Name'), name);
  const picker = userPicker({ label: 'User name', find: actions.findUsers, pick: add, accepts: (user) => user.id !== store.me.id && !chosen.has(user.username) });
  const channels = el('div', { class: 'joinable' });
  const problem = el('p', { class: 'problem', role: 'alert' });
  const create = el('button', { class: 'primary' });
  const close = el('button', { type: 'button', class: 'plain' }, 'Cancel');
  const form = el('form', { method: 'dialog' }, el('h2', { id: 'new-chat-title' }, 'New chat'), tabs, help, named, chips, picker.node, channels, problem, el('div', { class: 'actions' }, create, close));
  const dialog = el('dialog', { class: 'chat-dialog', 'aria-labelledby': 'new-chat-title' }, form);

  /** @param {import('./types.js').User} user */
  function add(user) {
    if (kind === 'direct') chosen.clear();
    chosen.set(user.username, user);
    draw();
    (kind === 'direct' ? create : picker.input).focus();
  }

  function draw() {
    fill(tabs, ...NEW_CHAT_KINDS.map(([key, word]) => el('button', { type: 'button', 'aria-pressed': String(key === kind), dataset: { kind: key } }, word)));
    help.textContent = NEW_CHAT_KINDS.find(([key]) => key === kind)?.[2] ?? '';
    named.hidden = kind === 'direct' || kind === 'join';
    name.required = !named.hidden;
    picker.node.hidden = kind === 'join';
    const label = picker.node.querySelector('label');
    if (label) label.textContent = kind === 'direct' ? 'User name' : 'Members';
    channels.hidden = kind !== 'join';
    create.hidden = kind === 'join';
    create.disabled = kind === 'direct' && chosen.size !== 1;
    create.textContent = kind === 'direct' ? 'Open chat' : kind === 'group' ? 'Create group' : 'Create channel';
    close.textContent = kind === 'join' ? 'Close' : 'Cancel';
    chips.hidden = chosen.size === 0 || kind === 'join';
    fill(chips, ...[...chosen.values()].map((user) => el('li', { class: 'chip' }, el('span', { dir: 'auto' }, user.display_name || user.username),
      el('button', { type: 'button', class: 'plain', dataset: { drop: user.username }, 'aria-label': `Remove ${user.username}` }, '×'))));
  }

  /** @param {string} [cursor] */
  async function list(cursor) {
    if (!cursor) fill(channels, el('p', { class: 'muted' }, 'Loading…'));
    try {
      const page = await actions.joinable(cursor);
      const rows = page.items.map((chat) => el('li', null, el('span', { class: 'name', dir: 'auto' }, `# ${chat.name ?? chat.id}`),
        el('button', { type: 'button', dataset: { join: chat.id }, 'aria-label': `Join ${chat.name ?? chat.id}` }, 'Join')));
      const old = channels.querySelector('ul');
      const target = cursor && old ? old : el('ul', { class: 'rows' });
      target.append(...rows);
      const isFull = target.children.length >= JOINABLE_ROWS_MAX;
      const more = page.next && !isFull ? el('button', { type: 'button', dataset: { more: page.next } }, 'Show more') : null;
      fill(channels, target.children.length ? target : el('p', { class: 'muted' }, 'No other channel exists. Create one with "Channel".'), more);
    } catch (error) {
      const page = cursor ? channels.querySelector('ul') : null;
      fill(channels, page, failedNote(error, () => list(cursor)));
    }
  }

  /** @param {NewChatKind} next */
  function choose(next) {
    kind = next;
    if (kind === 'direct' && chosen.size > 1) chosen.clear();
    problem.textContent = '';
    draw();
    if (kind === 'join') void list();
  }

  /** @param {number} chatId */
  function opened(chatId) {
    dialog.close();
    router.go(`/chat/${chatId}`);
  }

  dialog.addEventListener('click', async (event) => {
    const button = event.target instanceof Element ? event.target.closest('button') : null;
    if (!(button instanceof HTMLButtonElement)) return;
    const { kind: next, drop, join, more } = button.dataset;
    if (next) {
      choose(/** @type {NewChatKind} */ (next));
      const pressed = tabs.querySelector('[aria-pressed=true]');
      if (pressed instanceof HTMLElement) pressed.focus();
    } else if (drop) {
      chosen.delete(drop);
      draw();
      picker.input.focus();
    } else if (more) {
      void list(more);
    } else if (join) {
      button.disabled = true;
      try {
        await actions.join(Number(join));
        opened(Number(join));
      } catch (error) {
        button.disabled = false;
        problem.textContent = problemText(error);
      }
    }
  });
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (kind === 'join') return;
    problem.textContent = '';
    create.disabled = true;
    try {
      const participants = [...chosen.keys()];
      const chat = await actions.create(kind === 'direct' ? { kind, participants } : { kind, name: name.value.trim(), participants });
      opened(chat.id);
    } catch (error) {
      problem.textContent = problemText(error);
      create.disabled = false;
    }
  });
  (root.getElementById('main') ?? root.body).append(dialog);
  choose(begin);
  dialog.showModal();
  if (begin !== 'join') picker.input.focus();
}
