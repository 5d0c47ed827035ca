// The inbox: notifications by chat or repository. Enter opens the message, `e` marks it as read.

import { api } from '../kit/api.js';
import { el, fill } from '../kit/dom.js';
import { relativeTime } from '../kit/relative_time.js';
import { fullTime } from '../kit/time.js';
import { avatar } from './avatar.js';
import { noticesState } from './desktop.js';
import { excerptsWanted, firstLine, groupNotices, noticeHref, reasonOf } from './inbox_groups.js';
import { failedNote } from './failed.js';
import { chatName } from './presence_mark.js';
import { problemText } from './problem.js';

/** Notifications whose messages are requested: those on the first screen. */
const EXCERPTS_MAX = 20;
/** Messages that are requested for each of their chats. */
const EXCERPT_MESSAGES = 20;
const INBOX_ROWS_MAX = 400;

/**
 * @param {HTMLElement} root
 * @param {import('./types.js').Context} ctx
 * @param {{ allow: () => Promise<unknown> }} [desktop]
 */
export function createInbox(root, ctx, desktop) {
  const { store, actions, router, local } = ctx;
  const title = el('h1', { id: 'inbox-title', tabindex: -1 }, 'Inbox');
  const count = el('span', { class: 'muted', role: 'status' });
  const tabs = el('div', { class: 'switch', role: 'group', 'aria-label': 'Shown notifications' },
    el('button', { type: 'button', dataset: { show: 'unread' } }, 'Unread'), el('button', { type: 'button', dataset: { show: 'all' } }, 'All'));
  const readAll = el('button', { type: 'button', class: 'plain', dataset: { all: '' }, title: 'Mark all as read (Shift-E)' }, 'Mark all as read');
  const notices = el('button', { type: 'button', class: 'plain', dataset: { allow: '' } }, 'Show desktop notices');
  const problem = el('p', { class: 'problem', role: 'alert' });
  const groups = el('div', { class: 'inbox-groups' });
  const more = el('button', { type: 'button', dataset: { more: '' }, hidden: true }, 'Show older ones');
  fill(root, el('div', { class: 'inbox-page' }, el('header', { class: 'inbox-head' }, title, count, el('div', { class: 'end' }, tabs, readAll, notices)), problem, groups, more));
  let isUnreadOnly = local.get(`inbox-all:${store.me.id}`) !== true;
  /** Notifications that were read here stay in the list until it is opened again. */
  const kept = new Set();
  let isShown = false;

  /** First lines of messages that the store does not have; empty if the message cannot be read. @type {Map<number, string>} */
  const lines = new Map();

  /** Requests the messages of the notifications on the screen, once each. @param {import('./inbox_groups.js').Notice[]} notices */
  function readLines(notices) {
    const wanted = excerptsWanted(notices, (id) => lines.has(id) || store.message(id) !== undefined, EXCERPTS_MAX);
    for (const [chat, { before, ids }] of wanted) {
      for (const id of ids) lines.set(id, '');
      void api('GET', `/api/chats/${chat}/messages?before_seq=${before}&limit=${EXCERPT_MESSAGES}`).then(({ items }) => {
        for (const { id, content, deleted } of items) if (lines.has(id) && !deleted) lines.set(id, firstLine(content ?? ''));
        draw();
      }, () => {}); // The entry leads to the message.
    }
  }

  const nameOf = (/** @type {number} */ id) => {
    const chat = store.chat(id);
    return chat ? chatName(store, chat) : `Chat ${id}`;
  };

  /** @param {import('./inbox_groups.js').Notice} notice */
  function rowOf(notice) {
    const actor = notice.actor_id === undefined ? null : store.user(notice.actor_id);
    const message = notice.message_id === undefined ? undefined : store.message(notice.message_id);
    const excerpt = message ? (message.deleted ? '' : firstLine(message.content)) : lines.get(notice.message_id ?? 0);
    const isUnread = !notice.read_at;
    return el('li', { class: isUnread ? 'notice-row is-unread' : 'notice-row', dataset: { id: notice.id } },
      actor ? avatar(actor) : el('span', { class: 'avatar-space' }),
      el('div', { class: 'what' },
        el('a', { href: noticeHref(notice), class: 'notice-link', dir: 'auto' }, isUnread ? el('span', { class: 'sr' }, 'Unread: ') : null, notice.text),
        excerpt ? el('p', { class: 'excerpt', dir: 'auto' }, excerpt) : null,
        el('p', { class: 'muted small' }, reasonOf(notice))),
      el('time', { class: 'muted small', datetime: notice.created_at, title: fullTime(notice.created_at) }, relativeTime(notice.created_at, ctx.now())),
      isUnread ? el('button', { type: 'button', class: 'plain', dataset: { read: notice.id }, 'aria-label': `Mark as read: ${notice.text}`, title: 'Mark as read (e)' }, 'Mark as read') : el('span', { class: 'muted small read-word' }, 'Read'));
  }

  function draw() {
    isShown = router.current().page === 'inbox';
    root.hidden = !isShown;
    if (!isShown) return;
    const unread = store.notificationsUnread();
    /** @type {import('./inbox_groups.js').Notice[]} */
    const all = store.notifications().slice(0, INBOX_ROWS_MAX);
    const wanted = isUnreadOnly ? all.filter((notice) => !notice.read_at || kept.has(notice.id)) : all;
    readLines(wanted);
    const missing = store.notificationsProblem();
    count.textContent = unread > 0 ? `${unread} unread` : missing === '' ? 'Nothing unread' : '';
    for (const button of tabs.querySelectorAll('button')) button.setAttribute('aria-pressed', String((button.dataset.show === 'unread') === isUnreadOnly));
    readAll.disabled = unread === 0;
    notices.hidden = noticesState(ctx) !== 'ask' || !desktop;
    const active = ctx.root.activeElement;
    const focused = active instanceof HTMLElement && groups.contains(active) ? active.closest('li')?.getAttribute('data-id') : null;
    /** @type {HTMLElement[]} */
    const sections = groupNotices(wanted, nameOf, false).map((group, at) => el('section', { 'aria-labelledby': `inbox-group-${at}` },
      el('h2', { id: `inbox-group-${at}` }, el('a', { href: group.href, dir: 'auto' }, group.title)), el('ul', { class: 'rows' }, ...group.notices.map(rowOf))));
    if (missing) sections.unshift(failedNote({ detail: `The notifications did not load. ${missing}` }, actions.loadNotifications));
    if (missing === undefined && !sections.length) fill(groups, el('p', { class: 'muted note' }, 'Loading…'));
    else if (sections.length) fill(groups, ...sections);
    else fill(groups, el('div', { class: 'empty' }, el('p', null, isUnreadOnly ? 'You have read everything.' : 'No notifications yet. Mentions, replies and pushes appear here.'), isUnreadOnly ? el('button', { type: 'button', dataset: { show: 'all' } }, 'Show all') : null));
    more.hidden = !hasMore() || all.length >= INBOX_ROWS_MAX;
    const again = focused && groups.querySelector(`[data-id="${focused}"] a`);
    if (again instanceof HTMLElement) again.focus({ preventScroll: true });
  }

  const hasMore = () => store.notificationsHaveMore();

  /** @param {Promise<unknown>} done */
  function tried(done) {
    problem.textContent = '';
    done.catch((error) => { problem.textContent = problemText(error); });
  }

  /** @param {number} id */
  function read(id) {
    kept.add(id);
    tried(actions.readNotification(id));
  }

  function all() {
    for (const notice of store.notifications()) if (!notice.read_at) kept.add(notice.id);
    tried(actions.readNotifications().then(() => ctx.announce('All notifications are read.')));
  }

  /** @param {'unread' | 'all'} which */
  function show(which) {
    isUnreadOnly = which === 'unread';
    kept.clear();
    local.set(`inbox-all:${store.me.id}`, !isUnreadOnly);
    draw();
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    if (!(event.target instanceof Element)) return;
    const button = event.target.closest('button');
    if (button) {
      const { show: which, read: id, all: isAll, allow, more: isMore } = button.dataset;
      if (which === 'unread' || which === 'all') show(which);
      else if (id) read(Number(id));
      else if (isAll !== undefined) all();
      else if (isMore !== undefined) tried(actions.moreNotifications());
      else if (allow !== undefined && desktop) tried(desktop.allow().then(draw));
      return;
    }
    const row = event.target.closest('a.notice-link')?.closest('li');
    const notice = row && store.notifications().find((one) => one.id === Number(row.getAttribute('data-id')));
    if (notice && !notice.read_at) tried(actions.readNotification(notice.id));
  }

  const rowLinks = () => /** @type {HTMLElement[]} */ ([...groups.querySelectorAll('a.notice-link')]);

  root.addEventListener('click', clicked);
  router.onChange((place, before) => {
    if (place.page === 'inbox' && before.page !== 'inbox') {
      kept.clear();
      draw();
      title.focus({ preventScroll: true });
      root.scrollTop = 0;
    } else draw();
  });
  draw();
  return {
    /** @param {Set<string>} changes */
    update(changes) {
      if (isShown && (changes.has('notifications') || changes.has('users') || changes.has('chats'))) draw();
    },
    enter: () => title.focus({ preventScroll: true }),
    /**
     * Moves the focus over the notifications.
     * @param {number} step
     */
    move(step) {
      const links = rowLinks();
      const row = ctx.root.activeElement?.closest('li');
      const at = links.findIndex((link) => link.closest('li') === row);
      const next = links[at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(at + step, links.length - 1))];
      next?.focus();
      next?.scrollIntoView({ block: 'nearest' });
    },
    /** @param {'first' | 'last'} which */
    edge(which) {
      rowLinks().at(which === 'first' ? 0 : -1)?.focus();
    },
    /** Marks the focused notification as read and goes to the next one. */
    readFocused() {
      const row = ctx.root.activeElement?.closest('li[data-id]');
      if (!row || !groups.contains(row)) return;
      read(Number(row.getAttribute('data-id')));
      this.move(1);
    },
    readAll: all,
    focus: () => (rowLinks()[0] ?? title).focus(),
  };
}
