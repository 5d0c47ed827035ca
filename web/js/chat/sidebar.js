// The list of chats: unread ones first, then by kind. Its order is stable while the pointer is
// inside.

import { el, fill } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { later } from './later.js';
import { placeChildren } from './place_children.js';
import { chatGlyph, chatName, peerOf, presenceWord } from './presence_mark.js';
import { SECTION_TITLES, arrange, filtered, wantsAttention } from './sections.js';

/** Chats that are drawn. The filter finds the others. */
const SIDEBAR_ROWS_MAX = 500;

/** @typedef {import('./types.js').Chat} Chat */

/**
 * @param {HTMLElement} root
 * @param {import('./types.js').Context} ctx
 */
export function createSidebar(root, ctx) {
  const { store, router } = ctx;
  const search = el('input', { type: 'search', id: 'chat-filter', placeholder: 'Filter', autocomplete: 'off', spellcheck: 'false', 'aria-label': 'Filter chats' });
  const add = el('button', { type: 'button', class: 'plain icon-button', dataset: { new: '' }, 'aria-label': 'New chat', title: 'New chat' }, icon('plus'));
  const list = el('div', { class: 'chat-list', tabindex: -1 });
  const above = el('button', { type: 'button', class: 'pill pill-above', hidden: true });
  const below = el('button', { type: 'button', class: 'pill pill-below', hidden: true });
  const title = el('h1', { class: 'sidebar-title' }, 'Chats');
  fill(root, title, el('div', { class: 'sidebar-head' }, search, add), el('div', { class: 'sidebar-body' }, above, list, below));
  /** @type {import('./sections.js').Section[]} */
  let sections = [];
  /** @type {Map<number, { node: HTMLLIElement, drawn: string }>} */
  const rows = new Map();
  /** @type {Map<string, HTMLElement>} */
  const frames = new Map();
  let isInside = false;
  let isMeasuring = false;
  /** The place of the list. Reading it from the page costs a layout. */
  let top = 0;

  /** @param {Chat} chat */
  function rowOf(chat) {
    const unread = store.unread(chat.id);
    const isOpen = router.current().page === 'chat' && router.current().chat === chat.id;
    const peer = peerOf(store, chat);
    const presence = chat.kind === 'direct' ? (peer === undefined ? 'offline' : store.presence(peer)) : '';
    const asks = wantsAttention(chat, unread);
    const name = chatName(store, chat);
    const drawn = [name, chat.kind, presence, unread.count, unread.mentions, asks, isOpen, chat.notify, chat.archived, chat.active, chat.avatar].join('\n');
    const known = rows.get(chat.id);
    if (known?.drawn === drawn) return known.node;
    const node = known?.node ?? el('li', null, el('a', { href: `/chat/${chat.id}` }));
    const link = /** @type {HTMLAnchorElement} */ (node.firstElementChild);
    node.className = [asks && 'is-unread', chat.notify === 'none' && 'is-muted', chat.archived && 'is-archived'].filter(Boolean).join(' ');
    if (isOpen) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
    fill(link, chatGlyph(chat, presence, link.firstElementChild), el('span', { class: 'name', dir: 'auto' }, name), ...marksOf(chat, presence, unread, asks));
    rows.set(chat.id, { node, drawn });
    return node;
  }

  function draw() {
    const { chat: open, page } = router.current();
    const chats = store.chats();
    title.hidden = page !== 'chat' || open !== undefined;
    const isHeld = isInside && sections.length > 0;
    sections = arrange({ chats, unread: store.unread, before: sections, isHeld, open });
    let left = SIDEBAR_ROWS_MAX;
    const { activeElement } = ctx.root;
    const focused = activeElement instanceof HTMLElement && activeElement !== list && list.contains(activeElement) ? activeElement : null;
    /** @type {HTMLElement[]} */
    const shown = [];
    for (const { key, chats: all } of filtered(sections, search.value)) {
      const some = all.slice(0, left);
      left -= some.length;
      if (!some.length) break;
      const node = frames.get(key) ?? el('section', { 'aria-labelledby': `chats-${key}` }, el('h2', { id: `chats-${key}` }, SECTION_TITLES[key]), el('ul', null));
      frames.set(key, node);
      placeChildren(/** @type {Element} */ (node.lastElementChild), some.map(rowOf));
      shown.push(node);
    }
    if (!chats.length && store.connection().state !== 'online') shown.push(el('p', { class: 'muted note' }, 'Loading…'));
    else if (!chats.length) shown.push(el('div', { class: 'empty' }, el('p', null, 'You are not in a chat yet.'), el('button', { type: 'button', dataset: { new: '' } }, 'Start a chat')));
    else if (!shown.length) shown.push(el('p', { class: 'muted note' }, 'No chat has this name.'));
    else if (left <= 0) shown.push(el('p', { class: 'muted note' }, `The first ${SIDEBAR_ROWS_MAX} chats are shown. Filter to find others.`));
    placeChildren(list, shown);
    if (top) list.scrollTop = top;
    if (focused?.isConnected && focused !== ctx.root.activeElement) focused.focus({ preventScroll: true });
    for (const id of rows.keys()) if (!store.chat(id)) rows.delete(id);
    measure();
  }

  function measure() {
    if (isMeasuring) return;
    isMeasuring = true;
    requestAnimationFrame(() => {
      isMeasuring = false;
      const frame = list.getBoundingClientRect();
      let over = 0;
      let under = 0;
      for (const row of list.querySelectorAll('.is-unread')) {
        const box = row.getBoundingClientRect();
        if (box.bottom <= frame.top + 4) over += 1;
        else if (box.top >= frame.bottom - 4) under += 1;
      }
      above.hidden = over === 0;
      below.hidden = under === 0;
      above.textContent = `↑ ${over} unread above`;
      below.textContent = `↓ ${under} unread below`;
    });
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    const button = event.target instanceof Element ? event.target.closest('button') : null;
    if (button === above || button === below) later(({ scrollToUnread }) => scrollToUnread(list, button === above ? -1 : 1));
    else if (button?.hasAttribute('data-new')) later(({ newChat }) => newChat(ctx));
  }

  /** @param {KeyboardEvent} event */
  function pressed(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const links = [...list.querySelectorAll('a')];
    const at = links.findIndex((link) => link === ctx.root.activeElement);
    const isFilter = event.target === search;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      if (isFilter && event.key === 'ArrowUp') return;
      event.preventDefault();
      const next = links[isFilter ? 0 : at + (event.key === 'ArrowDown' ? 1 : -1)];
      if (next) next.focus();
      else if (at === 0) search.focus();
    } else if (isFilter && event.key === 'Enter') {
      event.preventDefault();
      const first = links[0];
      if (!first) return;
      search.value = '';
      router.go(first.pathname);
      draw();
    } else if (isFilter && event.key === 'Escape' && search.value) {
      event.preventDefault();
      event.stopPropagation();
      search.value = '';
      draw();
    }
  }

  root.addEventListener('click', clicked);
  root.addEventListener('keydown', pressed);
  root.addEventListener('pointerenter', () => { isInside = true; });
  root.addEventListener('pointerleave', () => { isInside = false; sections = []; draw(); });
  search.addEventListener('input', draw);
  list.addEventListener('scroll', () => { top = list.scrollTop; measure(); }, { passive: true });
  new ResizeObserver(measure).observe(list);
  router.onChange(() => {
    draw();
    list.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest' });
  });
  draw();

  return {
    /** @param {Set<string>} changes */
    update(changes) {
      const isOwn = [...changes].some((key) => key === 'chats' || key === 'presence' || key === 'notifications' || key === 'connection' || key.startsWith('chat:') || key.startsWith('marks:'));
      if (isOwn) draw();
    },
    focus() {
      const current = list.querySelector('[aria-current]') ?? list.querySelector('a');
      if (current instanceof HTMLElement) current.focus();
      else add.focus();
    },
    focusFilter: () => search.focus(),
    sections: () => sections,
  };
}

/**
 * Returns the words and marks after the name.
 * @param {Chat} chat
 * @param {string} presence
 * @param {{ count: number, mentions: number }} unread
 * @param {boolean} asks
 */
function marksOf(chat, presence, unread, asks) {
  /** @type {HTMLElement[]} */
  const marks = [];
  if (presence) marks.push(el('span', { class: presence === 'offline' ? 'sr' : 'word muted' }, ` ${presenceWord(presence)}`));
  if (chat.notify === 'none') marks.push(el('span', { class: 'muted', title: 'Muted' }, icon('mute'), el('span', { class: 'sr' }, ', muted')));
  if (chat.archived) marks.push(el('span', { class: 'sr' }, ', archived'));
  if (unread.mentions) marks.push(el('span', { class: 'badge' }, el('span', { 'aria-hidden': 'true' }, countText(unread.mentions)), el('span', { class: 'sr' }, `, ${unread.mentions} ${unread.mentions === 1 ? 'mention' : 'mentions'}`)));
  else if (asks) marks.push(el('span', { class: 'word muted', 'aria-hidden': 'true' }, countText(unread.count)), el('span', { class: 'dot', 'aria-hidden': 'true' }));
  if (unread.count) marks.push(el('span', { class: 'sr' }, `, ${unread.count} unread`));
  return marks;
}

/**
 * Returns a count that fits into a badge.
 * @param {number} count
 */
const countText = (count) => (count > 999 ? '999+' : String(count));
