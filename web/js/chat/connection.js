// Joins session, store, outbox and actions with the browser: socket, timers, visibility.
import { uuid7 } from '../kit/uuid7.js';
import { createActions } from './actions.js';
import { createDrafts, createOutbox } from './outbox.js';
import { createSession } from './session.js';
import { createAway } from './away.js';
import { publishUser, watchUser } from './same_user.js';
import { later, whenMore } from './later.js';
import { el } from '../kit/dom.js';
import { createStore } from './store.js';
import { clock } from '../kit/clock.js';

/** The status is checked this often (milliseconds). */
const AWAY_EVERY_MS = 60_000;
const INPUT_EVENTS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'];

/**
 * Starts the program without its views.
 * @param {import('./types.js').PageState | null} state the state block of the page
 * @param {import('../kit/local.js').Local} local
 */
export function createConnection(state, local) {
  const now = () => Date.now();
  /** @param {number} ms @param {() => void} fn */
  const after = (ms, fn) => {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  };
  const store = createStore({ now, clock, me: state?.me });
  let epoch = state?.epoch ?? 0;
  /** @type {import('./session.js').Session} */
  const session = createSession({
    store, now, clock, after, random: Math.random, connect: openSocket, epoch: state?.epoch, deviceId: `web-${uuid7()}`,
    cleared: () => actions.parts.reading.clear(),
    welcomed(newEpoch, userId) {
      hideChats(false);
      epoch = newEpoch;
      openOutbox(userId);
      publishUser(local, store.me);
      if (local.keys('removal:').length > 0) later(({ resendRemovals }) => resendRemovals());
      void actions.loadNotifications();
    },
  });
  const outbox = createOutbox({ store, local, now, after, request: session.request, isOnline: session.isOnline });
  const actions = createActions({ store, session, outbox, now, clock });
  /** @param {number} userId */
  function openOutbox(userId) {
    outbox.open(epoch, userId);
    if (outbox.old().length > 0) later(({ rescueUnsent }) => rescueUnsent({ outbox, local, now }));
  }
  const space = () => `${epoch}:${store.me.id}`;
  const drafts = createDrafts(local, space);
  whenMore(({ addActions, keepRemovals }) => {
    addActions(actions);
    keepRemovals({ store, local, space });
  });
  if (state) applyPageState(store, state);
  if (state) openOutbox(state.me.id);
  publishUser(local, store.me);
  watchUser(local, store, session.stop);
  followPage(session, actions);
  store.subscribe(() => { if (['logged_out', 'replaced'].includes(store.connection().state)) hideChats(true); });
  session.start();
  // Views that use the other actions are in `more.js`, too.
  const all = /** @type {import('./types.js').Actions} */ (/** @type {unknown} */ (actions));
  return { store, session, actions: all, drafts, now };
}

/** Hides everything but the state bar, or shows it again. @param {boolean} isHidden */
function hideChats(isHidden) {
  const main = document.getElementById('main');
  const title = document.getElementById('hidden-title');
  main?.toggleAttribute('data-hidden', isHidden);
  if (!isHidden) title?.remove();
  else if (!title) main?.append(el('h1', { id: 'hidden-title', class: 'sr' }, 'Chat'));
}

/**
 * Takes the facts of the page: they are as of its last_seqs, and the session resumes from there.
 * @param {import('./store.js').Store} store
 * @param {import('./types.js').PageState} state
 */
export function applyPageState(store, state) {
  store.apply({ type: 'chats', chats: state.chats, token: 0 });
  store.apply({ type: 'users', users: state.users });
  const open = state.open;
  const last = open ? store.last(open.chat_id) : undefined;
  if (!open || last === undefined) return;
  // The events were read beside the list. Those above its seq are pushed again; if they are older
  // than the list, the store refuses them.
  const events = open.events.filter((event) => event.seq <= last);
  const newest = open.events.at(-1)?.seq ?? 0;
  const from = open.has_more ? events[0]?.seq ?? last + 1 : 1;
  store.apply({ type: 'page', chat_id: open.chat_id, from, to: Math.min(last, newest), events, as_of: newest });
}

/**
 * Opens a socket to this server.
 * @param {import('./wire.js').TransportEvents} events
 * @returns {import('./wire.js').Transport}
 */
function openSocket(events) {
  const url = new URL('/ws', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(url);
  socket.onopen = () => events.opened();
  socket.onmessage = (event) => { if (typeof event.data === 'string') events.message(event.data); };
  socket.onclose = () => events.closed();
  return {
    send: (text) => { if (socket.readyState === WebSocket.OPEN) socket.send(text); },
    close: () => {
      socket.onclose = null;
      socket.close();
    },
  };
}

/**
 * Follows network, visibility and input. A page with an open socket cannot be kept for the Back
 * button, so the socket is closed when the page is left.
 * @param {import('./session.js').Session} session
 * @param {import('./actions.js').FirstActions} actions
 */
function followPage(session, actions) {
  // A status that was refused is sent by the next check.
  const { active, check } = createAway(clock, (isIdle) => { session.setIdle(isIdle).catch(() => {}); });
  for (const name of INPUT_EVENTS) window.addEventListener(name, active, { passive: true, capture: true });
  window.addEventListener('online', () => actions.reconnect());
  window.addEventListener('pagehide', (event) => {
    session.stop();
    // The Back button may show this page to another user: `Welcome` shows the chats again.
    if (event.persisted) hideChats(true);
  });
  window.addEventListener('pageshow', (event) => { if (event.persisted) session.start(); });
  document.addEventListener('visibilitychange', () => {
    session.visible(document.hidden);
    if (document.hidden) check();
    else active();
  });
  if (document.hidden) session.visible(true);
  setInterval(check, AWAY_EVERY_MS);
}
