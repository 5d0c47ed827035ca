// The chat program: creates the parts of the page and keeps them up to date. The facts are in the
// store, the connection in connection.js; this module only joins them with the views.
// The order of the imports here, in timeline.js, composer.js, row.js and connection.js is that of the
// linked script: it is smaller when similar modules are near each other.
import { createTimeline } from './timeline.js';
import { createSidebar } from './sidebar.js';
import { createHead, createTyping } from './head.js';
import { NARROW_SCREEN, createRouter } from './router.js';
import { createTitle } from './title.js';
import { el, fill } from '../kit/dom.js';
import { later } from './later.js';
import { menus } from '../kit/menus.js';
import { createKeys } from './keys.js';
import { createStateBar } from './state_bar.js';
import { createComposer } from './composer.js';
import { createAnnounce } from '../kit/announce.js';
import { createLocal } from '../kit/local.js';
import { createConnection } from './connection.js';

/** Changes of a hidden page are drawn this late (milliseconds): no frames are made then. */
const HIDDEN_DRAW_MS = 250;
/** Chats that the switcher offers first. */
const RECENT_CHATS_MAX = 30;

/** Returns the state block of the page; null if it is absent. */
function pageState() {
  try {
    return JSON.parse(document.getElementById('state')?.textContent || 'null');
  } catch {
    return null;
  }
}

/** @param {string} id */
function partOf(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

function startChat() {
  const local = createLocal('netbit:');
  const router = createRouter(document);
  const { store, actions, drafts, now } = createConnection(pageState(), local);
  const announce = createAnnounce(document.getElementById('announce'));
  const ctx = { store, actions, router, local, drafts, announce, now, root: document };
  /** The key of a setting of this user. @param {string} name */
  const mine = (name) => `${name}:${store.me.id}`;

  const main = partOf('main');
  const bar = el('div', { id: 'state-bar' });
  const inboxRoot = el('section', { id: 'inbox', hidden: true, 'aria-labelledby': 'inbox-title' });
  const headRoot = el('header', { class: 'chat-head' });
  const timelineRoot = el('div', { class: 'timeline' });
  const typingRoot = el('p', { id: 'typing', class: 'typing' });
  const composerRoot = el('div', { class: 'composer-place' });
  main.prepend(bar);
  fill(partOf('chat'), headRoot, timelineRoot, typingRoot, composerRoot);
  partOf('chat').after(inboxRoot);

  const timeline = createTimeline(timelineRoot, ctx);
  const composer = createComposer(composerRoot, ctx);
  const sidebar = createSidebar(partOf('sidebar'), ctx);
  /** @type {{ update: (changes: Set<string>) => void }[]} */
  const views = [timeline, composer, sidebar, createHead(headRoot, ctx), createTyping(typingRoot, ctx), createStateBar(bar, ctx), createTitle(ctx)];

  /** The views of `more.js`. @type {ReturnType<import('./later.js').More['createMoreViews']> | undefined} */
  let others;
  const startedAt = now();
  /** The newest notification that needs no notice of the desktop; -1: the list was not read yet. */
  let handled = -1;

  /** Runs a function with the views that open on demand. @param {(made: NonNullable<typeof others>) => void} [run] */
  function withOthers(run) {
    later(({ createMoreViews }) => {
      if (!others) {
        others = createMoreViews(ctx, { main, panelRoot: partOf('panel'), inboxRoot }, { timeline, sidebar }, handled);
        views.push(...others.views);
      }
      run?.(others);
    });
  }

  /** A new notification may become a notice of the desktop, if the user wants them. */
  function notice() {
    const all = store.notifications();
    // The first list is not new, except for what happened since the start.
    if (handled < 0) handled = all.find(({ created_at: at }) => Date.parse(at) < startedAt)?.id ?? 0;
    const newest = all[0]?.id ?? 0;
    if (newest > handled && local.get(mine('desktop')) === true) withOthers();
    else handled = Math.max(handled, newest);
  }

  /** @type {Set<string>} */
  let pending = new Set();
  let isQueued = false;
  function draw() {
    isQueued = false;
    const changes = pending;
    pending = new Set();
    openLast();
    if (!others && changes.has('notifications')) notice();
    for (const view of views) view.update(changes);
  }
  store.subscribe((changes) => {
    for (const key of changes) pending.add(key);
    if (isQueued) return;
    isQueued = true;
    if (document.hidden) setTimeout(draw, HIDDEN_DRAW_MS);
    else requestAnimationFrame(draw);
  });
  // A frame that was requested before the page was hidden may never come.
  document.addEventListener('visibilitychange', () => { if (isQueued) draw(); });

  /** `/chat` leads to the chat that was open last, where there is space for it beside the list. */
  function openLast() {
    const place = router.current();
    if (place.page !== 'chat' || place.chat !== undefined || matchMedia(NARROW_SCREEN).matches) return;
    const known = store.chats();
    const last = known.find((chat) => chat.id === local.get(mine('last_chat'))) ?? known[0];
    if (last) router.go(`/chat/${last.id}`, { replace: true });
  }

  function openPlace() {
    const place = router.current();
    if (place.page !== 'chat') return;
    if (place.chat === undefined) return openLast();
    local.set(mine('last_chat'), place.chat);
    timeline.open(place.chat, { seq: place.seq });
    composer.open(place.chat, { seq: place.seq, thread: place.thread });
    // Only a page that was loaded attaches lines, once: a link in a message must not add to a text.
    if (place.code && !history.state) {
      later(({ parseCodeRef }) => {
        if (router.current() !== place) return;
        history.replaceState({}, '');
        composer.attach({ code: parseCodeRef(place.code) ?? null });
      });
    }
  }

  /** Shows the inbox or a panel, if the address names them. @param {boolean} [isEntered] */
  function openOther(isEntered = false) {
    const { page, panel } = router.current();
    if (!others && (page === 'inbox' || panel)) withOthers(({ inbox }) => { if (isEntered && page === 'inbox') inbox.enter(); });
  }

  router.onChange(({ chat }, before) => {
    if (chat !== undefined && chat !== before.chat) remember(`chat:${chat}`);
    openPlace();
    openOther(true);
  });
  main.addEventListener('chat:open-thread', (event) => {
    const { chat, message } = /** @type {CustomEvent} */ (event).detail;
    router.go(`/chat/${chat}/thread/${message}`);
  });
  main.addEventListener('chat:run', (event) => withOthers(({ run }) => run(/** @type {CustomEvent} */ (event).detail)));
  // Before the keys: Escape closes a menu and nothing else.
  menus(document);
  createKeys(ctx, (command) => {
    // The next typed letters belong to the filter.
    if (command === 'filter') sidebar.focusFilter();
    else withOthers(({ run }) => run(command));
  });
  const isSwitching = location.search === '?switch=1';
  openPlace();
  openOther();
  if (isSwitching) withOthers(({ run }) => run('switcher'));

  /** Remembers a chat for the switcher. @param {string} key */
  function remember(key) {
    const kept = local.get(mine('recents'));
    const recents = Array.isArray(kept) ? kept.filter((other) => other !== key) : [];
    local.set(mine('recents'), [key, ...recents].slice(0, RECENT_CHATS_MAX));
  }
}

startChat();
