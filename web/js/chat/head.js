// The head of the open chat, and the line that names the users who type.

import { el, fill, text } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { encodedPath } from '../kit/path.js';
import { later } from './later.js';
import { chatGlyph, chatName, peerOf, presenceWord } from './presence_mark.js';

/**
 * @param {HTMLElement} root
 * @param {import('./types.js').Context} ctx
 */
export function createHead(root, ctx) {
  const { store, router, announce } = ctx;
  const title = el('h1', { dir: 'auto' });
  const state = el('span', { class: 'chat-state muted' });
  const back = el('a', { class: 'back icon-button', href: '/chat', 'aria-label': 'All chats', title: 'All chats' }, icon('left'));
  const people = el('button', { type: 'button', class: 'plain icon-button', dataset: { panel: 'people' }, 'aria-expanded': 'false', 'aria-controls': 'panel' }, icon('people'), el('span', { class: 'word' }, 'People'));
  const pins = el('button', { type: 'button', class: 'plain icon-button', dataset: { panel: 'pins' }, 'aria-expanded': 'false', 'aria-controls': 'panel' }, icon('pin'), el('span', { class: 'word' }, 'Pins'));
  const summary = el('summary', { class: 'icon-button', 'aria-label': 'More about this chat', title: 'More about this chat' }, icon('more'));
  const popup = el('div', { class: 'popup chat-menu' });
  const menu = el('details', { class: 'menu', dataset: { menu: '' } }, summary, popup);
  fill(root, back, title, state, el('div', { class: 'end' }, people, pins, menu));
  const join = el('div', { class: 'end', hidden: true });
  root.append(join);
  /** @type {(() => void) | undefined} */
  let showMenu;
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
    people.hidden = chat.kind === 'direct';
    pins.hidden = menu.hidden = false;
    join.hidden = true;
    const name = chatName(store, chat);
    const peer = peerOf(store, chat);
    const presence = chat.kind === 'direct' ? (peer === undefined ? 'offline' : store.presence(peer)) : '';
    const drawn = [chat.id, chat.kind, name, chat.project_id, presence, chat.archived, chat.active, chat.notify, chat.avatar].join('\n');
    const { panel } = router.current();
    for (const button of [people, pins]) button.setAttribute('aria-expanded', String(panel === button.dataset.panel));
    if (drawn === titled) return;
    titled = drawn;
    const label = chat.project_id !== undefined && chat.name ? el('a', { href: `/${encodedPath(chat.name)}`, title: 'Open the project' }, name) : el('span', null, name);
    fill(title, chatGlyph(chat, presence, title.firstElementChild), label);
    const words = [presence && presenceWord(presence), chat.active === false && 'deactivated', chat.archived && 'archived', chat.notify === 'none' && 'muted', chat.notify === 'mentions' && 'mentions only'];
    text(state, words.filter(Boolean).join(' · '));
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
    for (const node of [people, pins, menu, join]) node.hidden = true;
    later(({ offerJoin }) => offerJoin(ctx, id, join, () => missing === id));
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    const panel = event.target instanceof Element ? event.target.closest('button')?.dataset.panel : undefined;
    const chat = open();
    if (!chat || (panel !== 'people' && panel !== 'pins')) return;
    if (router.current().panel === panel) router.closePanel();
    else router.go(`/chat/${chat.id}`, { panel });
  }

  function toggled() {
    if (!menu.open || !open()) return;
    later(({ createHeadMenu }) => {
      showMenu ??= createHeadMenu(ctx, { menu, summary, popup }, open);
      showMenu();
    });
  }

  root.addEventListener('click', clicked);
  menu.addEventListener('toggle', toggled);
  router.onChange((place, before) => {
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
  };
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
 * @param {import('./types.js').Context} ctx
 */
export function createTyping(root, ctx) {
  const { store, router } = ctx;
  function draw() {
    const { page, chat } = router.current();
    const users = page === 'chat' && chat !== undefined ? store.typing(chat).map((id) => store.user(id)) : [];
    text(root, typingText(users.map((user) => user.display_name || user.username)));
  }
  router.onChange(draw);
  draw();
  return {
    /** @param {Set<string>} changes */
    update(changes) {
      if (changes.has('users') || [...changes].some((key) => key.startsWith('typing:'))) draw();
    },
  };
}
