// The actions of the user: every change of the program begins here. Views call the actions, which
// call the session, the outbox or the HTTP API. `actions_more.js` has those of views that open on
// demand.
import { api } from '../kit/api.js';
import { problemText } from './problem.js';
import { RequestProblem, offlineProblem } from './wire.js';

/** @typedef {import('./types.js').Message} Message */

const TYPING_EVERY_MS = 2500;
/** Pages of notifications that are loaded at the start: all unread ones. */
const NOTICE_PAGES_MAX = 4;
export const NOTICE_PAGE = 100;
const MARK_TRIES_MAX = 5;

/**
 * @typedef {object} ActionOptions
 * @property {import('./store.js').Store} store
 * @property {import('./session.js').Session} session
 * @property {import('./outbox.js').Outbox} outbox
 * @property {() => number} now
 * @property {() => number} [clock] for durations
 * @property {typeof api} [call] the HTTP API
 */

/** @typedef {{ store: import('./store.js').Store, now: () => number, call: typeof api, change: (packet: Record<string, any>) => Promise<void>, noticeCursor: string | undefined, reading: Map<number, number> }} ActionParts */
/** @typedef {Omit<import('./types.js').Actions, keyof import('./actions_more.js').MoreActions> & { parts: ActionParts }} FirstActions */

/**
 * Returns the actions that are needed before `more.js` is there.
 * @param {ActionOptions} options
 * @returns {FirstActions}
 */
export function createActions({ store, session, outbox, now, clock = now, call = api }) {
  /** The seq up to which each chat is read, not acknowledged yet. @type {Map<number, number>} */
  const reading = new Map();
  /** @type {Set<number>} */
  const marking = new Set();
  /** @type {Map<number, number>} */
  const typedAt = new Map();
  /** Pages that are being loaded. @type {Map<string, Promise<void>>} */
  const pages = new Map();
  let isLoadingNotices = false;
  /** The parts that the actions of `actions_more.js` need. @type {ActionParts} */
  const parts = { store, now, call, change, noticeCursor: undefined, reading };

  /**
   * Sends a packet that changes something, once.
   * @param {Record<string, any>} packet
   */
  async function change(packet) {
    if (!session.isOnline()) throw offlineProblem();
    await session.request(packet);
  }

  /**
   * Calls `read` until it is not interrupted by the end of a connection.
   * @template T
   * @param {() => Promise<T>} read
   * @returns {Promise<T>}
   */
  async function patiently(read) {
    for (;;) {
      await session.online();
      try {
        return await read();
      } catch (problem) {
        if (!(problem instanceof RequestProblem) || problem.code !== 'offline') throw problem;
      }
    }
  }

  /** @param {number} chatId */
  async function mark(chatId) {
    if (marking.has(chatId)) return;
    marking.add(chatId);
    try {
      for (let tries = 0; tries < MARK_TRIES_MAX; tries += 1) {
        const seq = reading.get(chatId);
        if (seq === undefined || seq <= (store.chat(chatId)?.read_seq ?? 0)) return;
        await patiently(async () => { if (reading.get(chatId) === seq) await session.request({ packet_type: 'Mark', chat_id: chatId, read_seq: seq }); });
        if (reading.get(chatId) === seq) return;
      }
    } finally {
      reading.delete(chatId);
      marking.delete(chatId);
    }
  }

  /** Loads the unread notifications and the newest page of all. A failure is a fact, which the inbox shows. */
  async function loadNotifications() {
    if (isLoadingNotices) return;
    isLoadingNotices = true;
    try {
      for (let round = 0; round < 3; round += 1) {
        const removed = store.noticesToken();
        const newest = store.notifications()[0]?.id ?? 0;
        const all = await call('GET', `/api/notifications?limit=${NOTICE_PAGE}`);
        const items = [...all.items];
        let next = '';
        for (let page = 0; page < NOTICE_PAGES_MAX && all.next; page += 1) {
          const unread = await call('GET', `/api/notifications?unread=true&limit=${NOTICE_PAGE}${next}`);
          items.push(...unread.items);
          if (!unread.next) break;
          next = `&cursor=${encodeURIComponent(unread.next)}`;
        }
        // A message that was deleted meanwhile took its notification with it.
        if (removed !== store.noticesToken()) continue;
        parts.noticeCursor = all.next ?? undefined;
        store.apply({ type: 'notifications', items, newest, has_more: parts.noticeCursor !== undefined });
        return;
      }
      throw new Error('notifications are removed faster than they are read');
    } catch (problem) {
      store.apply({ type: 'notifications_failed', problem: problemText(problem) });
    } finally {
      isLoadingNotices = false;
    }
  }
  store.onNeed(() => {
    if (!store.needs.notices) return;
    store.needs.notices = false;
    void loadNotifications();
  });

  return {
    async send(chatId, content, options) { return outbox.add(chatId, content, options); },
    async retry(clientId) { outbox.retry(clientId); },
    async discard(clientId) { outbox.discard(clientId); },
    async read(chatId, seq) {
      store.apply({ type: 'focus', chat_id: chatId, seq });
      if (seq <= Math.max(reading.get(chatId) ?? 0, store.chat(chatId)?.read_seq ?? 0)) return;
      reading.set(chatId, seq);
      await mark(chatId);
    },
    async typing(chatId) {
      if (!session.isOnline() || clock() - (typedAt.get(chatId) ?? -Infinity) < TYPING_EVERY_MS) return;
      typedAt.set(chatId, clock());
      await session.request({ packet_type: 'Typing', chat_id: chatId }).catch(() => {}); // The next key sends it again.
    },
    status: (status) => session.setStatus(status),
    page(chatId, { before, after, around, limit = 50 }) {
      const range = around !== undefined ? { after_seq: Math.max(0, around - Math.ceil(limit / 2)), limit }
        : { before_seq: before, after_seq: after, limit };
      const key = `${chatId}:${JSON.stringify(range)}`;
      const running = pages.get(key) ?? patiently(() => session.page(chatId, range)).finally(() => pages.delete(key));
      pages.set(key, running);
      return running;
    },
    async participants(chatId, cursor) {
      const answer = await call('GET', `/api/chats/${chatId}/participants?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
      store.apply({ type: 'participants', chat_id: chatId, items: answer.items });
      return { items: answer.items, next: answer.next ?? null };
    },
    reconnect: () => session.nudge(),
    parts,
    loadNotifications,
  };
}
