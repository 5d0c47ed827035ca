// The head of the open chat, and the line that names the users who type.

import { api } from '../kit/api.js';
import { el, fill, text } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { ask, problemText } from './ask.js';
import { chatName, peerOf, presenceMark, presenceWord } from './presence_mark.js';

const RENAME_MAX = 100;

/** @typedef {Omit<import('./types.js').Context, 'router'> & { router: import('./router.js').Router }} AroundContext */
/** @typedef {'all' | 'mentions' | 'none'} NotifyLevel */

/** @type {readonly (readonly [NotifyLevel, string])[]} */
const NOTIFY_LEVELS = [['all', 'Everything that concerns you'], ['mentions', 'Only when you are named'], ['none', 'Nothing: mute this chat']];

/**
 * @param {HTMLElement} root
 * @param {AroundContext} ctx
 */
export function createHead(root, ctx) {
  const { store, actions, router, announce } = ctx;
  const title = el('h1', { dir: 'auto' });
  const state = el('span', { class: 'chat-state muted' });
  const back = el('a', { class: 'back icon-button', href: '/chat', 'aria-label': 'All chats', title: 'All chats' }, icon('left'));
  const people = el('button', { type: 'button', class: 'plain icon-button', dataset: { panel: 'people' }, 'aria-expanded': 'false', 'aria-controls': 'panel' }, icon('people'), el('span', { class: 'word' }, 'People'));
  const pins = el('button', { type: 'button', class: 'plain icon-button', dataset: { panel: 'pins' }, 'aria-expanded': 'false', 'aria-controls': 'panel' }, icon('pin'), el('span', { class: 'word' }, 'Pins'));
  const summary = el('summary', { class: 'icon-button', 'aria-label': 'More about this chat', title: 'More about this chat' }, icon('more'));
  const popup = el('div', { class: 'popup chat-menu' });
  const menu = el('details', { class: 'menu', dataset: { menu: '' } }, summary, popup);
  fill(root, back, title, state, el('div', { class: 'end' }, people, pins, menu));
  const join = el('button', { type: 'button', class: 'primary', hidden: true, dataset: { join: '' } }, 'Join');
  const refusal = el('span', { class: 'problem', role: 'alert' });
  root.append(join, refusal);
  let titled = '';
  let missing = 0;

  const open = () => {
    const { page, chat } = router.current();
    return page === 'chat' && chat !== undefined ? store.chat(chat) : undefined;
  };

  function draw() {
    const chat = open();
    if (!chat) return drawMissing();
    root.hidden = false;
    missing = 0;
    for (const node of [people, pins, menu]) node.hidden = false;
    for (const node of [join, refusal]) node.hidden = true;
    const name = chatName(store, chat);
    const peer = peerOf(store, chat);
    const presence = chat.kind === 'direct' ? (peer === undefined ? 'offline' : store.presence(peer)) : '';
    const drawn = [chat.id, chat.kind, name, chat.project_id, presence, chat.archived, chat.active, chat.notify].join('\n');
    const { panel } = router.current();
    for (const button of [people, pins]) button.setAttribute('aria-expanded', String(panel === button.dataset.panel));
    if (drawn === titled) return;
    titled = drawn;
    const glyph = chat.kind === 'direct' ? presenceMark(presence) : icon(chat.kind === 'group' ? 'people' : chat.project_id === undefined ? 'hash' : 'project');
    const label = chat.project_id !== undefined && chat.name ? el('a', { href: `/${chat.name.split('/').map(encodeURIComponent).join('/')}` }, name) : el('span', null, name);
    fill(title, glyph, label);
    const words = [presence && presenceWord(presence), chat.active === false && 'deactivated', chat.archived && 'archived', chat.notify === 'none' && 'muted', chat.notify === 'mentions' && 'mentions only'];
    text(state, words.filter(Boolean).join(' · '));
    people.hidden = chat.kind === 'direct';
  }

  /** The address names a chat that the user is not in, or that does not exist. */
  function drawMissing() {
    const { page, chat: id } = router.current();
    root.hidden = page !== 'chat' || id === undefined || store.connection().state !== 'online';
    if (root.hidden || id === undefined || missing === id) return;
    missing = id;
    titled = '';
    fill(title, el('span', null, 'Chat not found'));
    text(state, '');
    text(refusal, '');
    for (const node of [people, pins, menu, join, refusal]) node.hidden = true;
    /** @param {{ status?: number }} answer 403: the user must join first */
    const known = (answer) => { join.hidden = missing !== id || (answer.status !== undefined && answer.status !== 403); };
    api('GET', `/api/chats/${id}`).then(() => known({}), known);
  }

  async function joinMissing() {
    const id = missing;
    join.disabled = true;
    try {
      await actions.join(id);
      router.go(`/chat/${id}`);
    } catch (error) {
      refusal.hidden = false;
      text(refusal, problemText(error));
    }
    join.disabled = false;
  }

  /** @param {import('./types.js').Chat} chat */
  function drawMenu(chat) {
    const isFree = chat.kind !== 'direct' && chat.project_id === undefined;
    const rules = chat.role === undefined || chat.role === 'owner' || chat.role === 'admin';
    const item = (/** @type {string} */ act, /** @type {string} */ word, danger = false) => el('li', null, el('button', { type: 'button', class: danger ? 'plain danger' : 'plain', dataset: { act } }, word));
    const date = el('input', { type: 'date', id: 'chat-date' });
    const levels = NOTIFY_LEVELS.map(([level, word]) => el('div', { class: 'choice' },
      el('input', { type: 'radio', name: 'notify', id: `notify-${level}`, value: level, checked: (chat.notify ?? 'all') === level }), el('label', { for: `notify-${level}` }, word)));
    fill(popup,
      el('ul', null,
        item('read', 'Mark this chat as read'), item('read-all', 'Mark all chats as read'),
        isFree && rules ? item('rename', 'Rename') : null,
        isFree && rules ? item('archive', chat.archived ? 'Reopen' : 'Archive') : null,
        chat.kind === 'direct' ? item('hide', 'Hide until the next message') : null,
        isFree ? item('leave', 'Leave', true) : null),
      el('form', { class: 'date-form' }, el('label', { for: 'chat-date' }, 'Go to a day'), el('div', { class: 'with-button' }, date, el('button', null, 'Go'))),
      el('fieldset', null, el('legend', null, 'Notify me of'), ...levels),
      el('p', { class: 'problem', role: 'alert' }));
  }

  /** @param {unknown} error */
  function refused(error) {
    const place = popup.querySelector('.problem');
    if (place) place.textContent = problemText(error);
  }

  function closeMenu() {
    if (!menu.open) return;
    menu.open = false;
    summary.focus();
  }

  /**
   * @param {string} act
   * @param {import('./types.js').Chat} chat
   */
  async function run(act, chat) {
    const name = chatName(store, chat);
    if (act === 'read') await actions.read(chat.id, chat.last_seq);
    else if (act === 'read-all') await actions.readAll();
    else if (act === 'hide') {
      await actions.hide(chat.id, true);
      router.go('/chat');
    }
    closeMenu();
    if (act === 'read') announce(`${name} is read.`);
    if (act === 'read-all') announce('All chats are read.');
    if (act === 'rename') ask(ctx.root, { title: `Rename ${name}`, action: 'Rename', field: { label: 'Name', value: chat.name ?? '', max: RENAME_MAX } }, (to) => actions.rename(chat.id, to));
    if (act === 'archive' && chat.archived) await actions.archive(chat.id, false);
    else if (act === 'archive') ask(ctx.root, { title: `Archive ${name}?`, detail: 'Its messages stay readable. Owners and admins can reopen it.', action: 'Archive' }, () => actions.archive(chat.id, true));
    if (act === 'leave') {
      ask(ctx.root, { title: `Leave ${name}?`, detail: chat.kind === 'group' ? 'You can read it again only after another member adds you.' : 'You can join this channel again at any time.', action: 'Leave', danger: true }, async () => {
        await actions.leave(chat.id);
        router.go('/chat');
      });
    }
  }

  /**
   * @param {import('./types.js').Chat} chat
   * @param {string} day
   */
  async function goToDay(chat, day) {
    const start = dayStart(day);
    if (!start) return;
    const { seq } = await api('GET', `/api/chats/${chat.id}/seq?at=${encodeURIComponent(start.toISOString())}`);
    closeMenu();
    router.go(`/chat/${chat.id}/${seq}`);
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    const button = event.target instanceof Element ? event.target.closest('button') : null;
    if (button === join) return void joinMissing();
    const chat = open();
    if (!button || !chat) return;
    const { panel, act } = button.dataset;
    if (act) void run(act, chat).catch(refused);
    else if (panel === 'people' || panel === 'pins') {
      if (router.current().panel === panel) router.closePanel();
      else router.go(`/chat/${chat.id}`, { panel });
    }
  }

  /** @param {Event} event */
  function changed(event) {
    const chat = open();
    if (!chat || !(event.target instanceof HTMLInputElement) || event.target.name !== 'notify') return;
    void actions.notify(chat.id, /** @type {NotifyLevel} */ (event.target.value)).catch(refused);
  }

  /** @param {SubmitEvent} event */
  function submitted(event) {
    event.preventDefault();
    const chat = open();
    const field = popup.querySelector('#chat-date');
    if (chat && field instanceof HTMLInputElement) void goToDay(chat, field.value).catch(refused);
  }

  /** @param {KeyboardEvent} event */
  function pressed(event) {
    if (event.key !== 'Escape' || !menu.open) return;
    event.preventDefault();
    event.stopPropagation();
    closeMenu();
  }

  const toggled = () => {
    const chat = open();
    if (!menu.open || !chat) return;
    drawMenu(chat);
    if (chat.role !== undefined || chat.kind === 'direct') return;
    // Members may not rename or archive: the menu leaves out what the server would refuse.
    actions.participants(chat.id).then(() => {
      const now = open();
      if (menu.open && now?.id === chat.id && now.role !== undefined && now.role !== 'owner' && now.role !== 'admin') drawMenu(now);
    }, () => {});
  };
  const outside = (/** @type {Event} */ event) => {
    if (menu.open && event.target instanceof Node && !menu.contains(event.target)) menu.open = false;
  };
  root.addEventListener('click', clicked);
  root.addEventListener('change', changed);
  root.addEventListener('submit', submitted);
  root.addEventListener('keydown', pressed);
  menu.addEventListener('toggle', toggled);
  ctx.root.addEventListener('pointerdown', outside);
  const off = router.onChange((place, before) => {
    menu.open = false;
    draw();
    const isOther = place.page === 'chat' && place.chat !== undefined && (place.chat !== before.chat || before.page !== 'chat');
    if (!isOther) return;
    const chat = open();
    if (chat) announce(`${chatName(store, chat)} is open.`);
  });
  draw();
  return {
    /** @param {Set<string>} changes */
    update(changes) {
      if ([...changes].some((key) => key === 'chats' || key === 'presence' || key === 'connection' || key.startsWith('chat:') || key.startsWith('marks:'))) draw();
    },
    destroy() {
      off();
      ctx.root.removeEventListener('pointerdown', outside);
      fill(root);
    },
  };
}

/**
 * Returns the beginning of a local day, if the text is a date.
 * @param {string} day `2026-11-29`
 */
export function dayStart(day) {
  const found = /^(\d{4,6})-(\d\d)-(\d\d)$/.exec(day);
  return found ? new Date(Number(found[1]), Number(found[2]) - 1, Number(found[3])) : undefined;
}

/**
 * Returns the sentence about the users who type; empty for none.
 * @param {string[]} names
 */
export function typingText(names) {
  const [one, two, three] = names;
  if (!one) return '';
  if (!two) return `${one} is typing…`;
  if (!three) return `${one} and ${two} are typing…`;
  if (names.length === 3) return `${one}, ${two} and ${three} are typing…`;
  return `${one}, ${two}, ${three} and others are typing…`;
}

/**
 * The line between timeline and composer. It has a fixed height, so that nothing moves.
 * @param {HTMLElement} root
 * @param {AroundContext} ctx
 */
export function createTyping(root, ctx) {
  const { store, router } = ctx;
  function draw() {
    const { page, chat } = router.current();
    const users = page === 'chat' && chat !== undefined ? store.typing(chat).map((id) => store.user(id)) : [];
    text(root, typingText(users.map((user) => user.display_name || user.username)));
  }
  const off = router.onChange(draw);
  draw();
  return {
    /** @param {Set<string>} changes */
    update(changes) {
      if (changes.has('users') || [...changes].some((key) => key.startsWith('typing:'))) draw();
    },
    destroy: off,
  };
}
