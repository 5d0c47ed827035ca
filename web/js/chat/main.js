// The chat program: creates the parts of the page and keeps them up to date. The facts are in the
// store, the connection in connection.js; this module only joins them with the views.
import { createAnnounce } from '../kit/announce.js';
import { el, fill } from '../kit/dom.js';
import { createLocal } from '../kit/local.js';
import { createComposer } from './composer.js';
import { createConnection } from './connection.js';
import { createHead, createTyping } from './head.js';
import { createRouter } from './router.js';
import { createSidebar } from './sidebar.js';
import { createStateBar } from './state_bar.js';
import { createTimeline } from './timeline.js';
import { createTitle } from './title.js';

/** A narrow window shows the list of chats alone. */
const NARROW = '(max-width: 700px)';
/** Changes of a hidden page are drawn this late (milliseconds): no frames are made then. */
const HIDDEN_DRAW_MS = 250;
/** The pause before `more.js` is loaded again (milliseconds). */
const MORE_AGAIN_MS = 5000;

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

  /** Loads panel, inbox, switcher and keys; again after a while if the server cannot be reached. */
  function loadMore() {
    import('./more.js').then(
      ({ createMoreViews }) => views.push(...createMoreViews(ctx, { main, panelRoot: partOf('panel'), inboxRoot }, { timeline, sidebar })),
      () => setTimeout(loadMore, MORE_AGAIN_MS),
    );
  }

  /** @type {Set<string>} */
  let pending = new Set();
  let isQueued = false;
  function draw() {
    isQueued = false;
    const changes = pending;
    pending = new Set();
    openLast();
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
    if (place.page !== 'chat' || place.chat !== undefined || matchMedia(NARROW).matches) return;
    const known = store.chats();
    const last = known.find((chat) => chat.id === local.get('last_chat')) ?? known[0];
    if (last) router.go(`/chat/${last.id}`, { replace: true });
  }

  function openPlace() {
    const place = router.current();
    if (place.page !== 'chat') return;
    if (place.chat === undefined) return openLast();
    local.set('last_chat', place.chat);
    timeline.open(place.chat, { seq: place.seq });
    composer.open(place.chat, { seq: place.seq, thread: place.thread });
    if (place.code) composer.attach({ code: place.code });
  }
  router.onChange(openPlace);
  openPlace();
  // Not in the frame of the messages.
  setTimeout(loadMore);
}

startChat();
