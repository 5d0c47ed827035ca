// Messages that the server has not acknowledged, and drafts. Both survive a reload. Those of histories
// that were replaced are handled by `old_texts.js`.
//
// Each message has its own key in the storage, so tabs never overwrite each other's messages. A
// message is sent by the tab in which it was written; another tab sends it when it stays unsent.
// Two tabs may send the same message: the server writes a client_id once.
import { uuid7 } from '../kit/uuid7.js';
import { LATER_CODES } from './wire.js';

/** @typedef {import('./types.js').Pending} Pending */
/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('../kit/local.js').Local} Local */

/** A message of another tab is sent by this one when it is unsent for so long. */
const OUTBOX_ADOPT_MS = 30_000;
const OUTBOX_RETRY_MAX_MS = 60_000;
export const OUTBOX_MESSAGES_MAX = 500;

/**
 * @typedef {object} OutboxOptions
 * @property {Store} store
 * @property {Local} local
 * @property {() => number} now
 * @property {(ms: number, fn: () => void) => () => void} after
 * @property {(packet: Record<string, any>) => Promise<any>} request of the session
 * @property {() => boolean} isOnline
 * @property {() => string} [newId]
 */

/** @typedef {Pending & { title: string, tries: number, isBusy?: boolean, isLoose?: boolean, ackSeq?: number, adoptAt: number }} Item */

/** @typedef {ReturnType<typeof createOutbox>} Outbox */

/** @param {OutboxOptions} options */
export function createOutbox({ store, local, now, after, request, isOnline, newId = () => uuid7() }) {
  /** In the order in which they were written. @type {Map<string, Item>} */
  let items = new Map();
  let space = '';
  /** @type {(() => void) | null} */
  let cancelWake = null;

  /** @param {string} id */
  const keyOf = (id) => `unsent:${space}:${id}`;

  /** @param {Item} item */
  function save(item) {
    const { isBusy: _, ackSeq: __, adoptAt: ___, isLoose: ____, ...kept } = item;
    item.isLoose = !local.set(keyOf(item.client_id), kept);
    if (!item.isLoose) return;
    // Only now: some browsers do not keep a page with this listener for the Back button.
    globalThis.addEventListener?.('beforeunload', leaving);
    if (item.state === 'sending') item.error = { code: 'not_stored', detail: 'Not stored: keep this page open' };
  }

  /** @param {BeforeUnloadEvent} event */
  function leaving(event) {
    if ([...items.values()].some((item) => item.isLoose && item.ackSeq === undefined)) event.preventDefault();
  }

  /** @param {number} chatId */
  function publish(chatId) {
    const list = [...items.values()].filter((item) => item.chat_id === chatId);
    store.apply({ type: 'pending', chat_id: chatId, items: list.map(pendingOf) });
  }

  /** @param {string} id */
  function drop(id) {
    const item = items.get(id);
    local.remove(keyOf(id));
    if (items.delete(id) && item) publish(item.chat_id);
  }

  /** Reads a message that another tab or an earlier page wrote. @param {string} id @param {number} adoptAt */
  function read(id, adoptAt) {
    const kept = local.get(keyOf(id));
    if (typeof kept?.content !== 'string' || typeof kept.chat_id !== 'number' || items.has(id)) return;
    items.set(id, { ...kept, client_id: id, isBusy: false, adoptAt });
  }

  function sort() {
    items = new Map([...items].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Sends what can be sent: for each chat its oldest message, so that the order is kept. */
  function flush() {
    if (space === '' || !isOnline()) return;
    const at = now();
    const seen = new Set();
    let wake = Infinity;
    for (const item of items.values()) {
      if (item.state === 'failed' || item.ackSeq !== undefined) continue;
      if (item.adoptAt > at) { wake = Math.min(wake, item.adoptAt); continue; }
      if (seen.has(item.chat_id)) continue;
      seen.add(item.chat_id);
      if (item.isBusy) continue;
      if ((item.retry_at ?? 0) > at) { wake = Math.min(wake, item.retry_at ?? 0); continue; }
      void deliver(item);
    }
    cancelWake?.();
    cancelWake = wake === Infinity ? null : after(Math.max(1, wake - at), flush);
  }

  /** @param {Item} item */
  async function deliver(item) {
    item.isBusy = true;
    const mine = space;
    const { client_id, content, reply_to, metadata, files } = item;
    try {
      const answer = await request({ packet_type: 'SendMessage', chat_id: item.chat_id, message: { client_id, content, reply_to, metadata, ...(files && { files: files.map(({ id }) => id) }) } });
      if (mine === space) acknowledged(item, answer);
    } catch (problem) {
      item.isBusy = false;
      if (mine === space) refused(item, /** @type {any} */ (problem));
    }
    if (mine === space) flush();
  }

  /** @param {Item} item @param {any} answer */
  function acknowledged(item, answer) {
    item.isBusy = false;
    local.remove(keyOf(item.client_id));
    // The row stays until the event arrives, unless it arrived before.
    if ((store.last(item.chat_id) ?? Infinity) >= (answer.seq ?? 0)) return drop(item.client_id);
    item.ackSeq = answer.seq ?? 0;
  }

  /** @param {Item} item @param {{ code: string, detail: string, retryAfterMs?: number }} problem */
  function refused(item, problem) {
    if (!items.has(item.client_id)) return;
    // Without an answer the outcome is unknown: the same message is sent again by the next session.
    if (problem.code === 'offline' || problem.code === 'unauthenticated') return;
    if (LATER_CODES.has(problem.code)) {
      item.tries += 1;
      const wait = Math.min(1000 * 2 ** Math.min(item.tries - 1, 6), OUTBOX_RETRY_MAX_MS);
      item.retry_at = now() + Math.max(problem.retryAfterMs ?? 0, problem.code === 'internal' || problem.retryAfterMs === undefined ? wait : 0);
    } else {
      item.state = 'failed';
      item.error = { code: problem.code, detail: problem.detail };
      save(item);
    }
    publish(item.chat_id);
  }

  /** Removes acknowledged messages whose chat is applied beyond them. @param {Set<string>} changes */
  function settle(changes) {
    for (const item of [...items.values()]) {
      if (item.ackSeq === undefined || !changes.has(`chat:${item.chat_id}`)) continue;
      if ((store.last(item.chat_id) ?? Infinity) >= item.ackSeq) drop(item.client_id);
    }
  }

  /** Another tab wrote or removed a message. @param {string} key */
  function otherTab(key) {
    const begin = keyOf('');
    if (space === '' || !key.startsWith(begin)) return;
    const id = key.slice(begin.length);
    const kept = local.get(key);
    const held = items.get(id);
    if (kept === undefined) {
      // The other tab has the acknowledgement, or the user discarded the message there.
      if (held && !held.isBusy && held.ackSeq === undefined) drop(id);
      return;
    }
    if (held && !held.isBusy) items.set(id, { ...held, ...kept, client_id: id });
    if (!held) { read(id, now() + OUTBOX_ADOPT_MS); sort(); }
    publish(kept.chat_id);
    flush();
  }

  store.onArrival((clientId) => { if (items.has(clientId)) drop(clientId); });
  store.subscribe(settle);
  local.onChange(otherTab);

  return {
    /**
     * Begins with the unsent messages of a user in a history of the server.
     * @param {number} epoch
     * @param {number} userId
     */
    open(epoch, userId) {
      const wanted = `${epoch}:${userId}`;
      if (space !== wanted) {
        const chats = new Set([...items.values()].map((item) => item.chat_id));
        items = new Map();
        space = wanted;
        for (const key of local.keys(keyOf(''))) read(key.slice(keyOf('').length), 0);
        sort();
        for (const item of items.values()) chats.add(item.chat_id);
        chats.forEach(publish);
      }
      flush();
    },
    /**
     * Keeps a message, then sends it. Returns its client_id.
     * @param {number} chatId
     * @param {string} content
     * @param {import('./types.js').SendOptions} [options]
     */
    add(chatId, content, options = {}) {
      if (items.size >= OUTBOX_MESSAGES_MAX) throw Object.assign(new Error('too many unsent messages'), { code: 'overloaded', detail: `There are ${OUTBOX_MESSAGES_MAX} unsent messages. Wait until some are sent.` });
      const id = newId();
      /** @type {Item} */
      const item = { client_id: id, chat_id: chatId, content, state: 'sending', created_at: now(), tries: 0, adoptAt: 0, title: titleOf(chatId) };
      if (options.reply_to !== undefined) item.reply_to = options.reply_to;
      if (options.metadata !== undefined) item.metadata = options.metadata;
      if (options.files !== undefined) item.files = options.files;
      items.set(id, item);
      save(item);
      publish(chatId);
      flush();
      return id;
    },
    /**
     * Sends a failed message again.
     * @param {string} clientId
     */
    retry(clientId) {
      const item = items.get(clientId);
      if (!item || item.isBusy) return;
      // A used client_id belongs to another message: this one needs its own.
      const isUsed = item.error?.code === 'client_id_reused';
      const id = isUsed ? newId() : clientId;
      const { error: _, retry_at: __, ...rest } = item;
      items.delete(clientId);
      /** @type {Item} */
      const next = { ...rest, client_id: id, state: 'sending', tries: 0, adoptAt: 0 };
      items.set(id, next);
      save(next);
      if (isUsed) local.remove(keyOf(clientId));
      sort();
      publish(item.chat_id);
      flush();
    },
    /** @param {string} clientId */
    discard(clientId) { drop(clientId); },
    /** Returns the keys of messages of this user in histories that were replaced. */
    old: () => local.keys('unsent:').filter((key) => !key.startsWith(keyOf('')) && key.split(':')[2] === space.split(':')[1]),
    /** Takes a message that was kept elsewhere, under a new id. @param {Omit<Item, 'client_id' | 'adoptAt'>} kept */
    take(kept) {
      const item = /** @type {Item} */ ({ ...kept, client_id: newId(), adoptAt: 0 });
      items.set(item.client_id, item);
      save(item);
      publish(item.chat_id);
    },
    titleOf,
  };

  /** @param {number} chatId */
  function titleOf(chatId) {
    const chat = store.chat(chatId);
    return chat?.name ?? chat?.peer ?? '';
  }
}

/** @param {Item} item @returns {Pending} */
function pendingOf({ title: _, tries: __, isBusy: ___, ackSeq: ____, adoptAt: _____, isLoose: ______, ...pending }) {
  return pending;
}

/**
 * Returns the drafts of a user. Those of another user, or of a history that was replaced, have
 * other keys: ids have other meanings there.
 * @param {Local} local
 * @param {() => string} space epoch and user
 * @returns {import('./types.js').Drafts}
 */
export function createDrafts(local, space) {
  const keyOf = (/** @type {string} */ at, /** @type {number | string} */ name = '') => `draft:${at}:${name}`;
  return {
    space,
    get(at, name) {
      return local.get(keyOf(at, name)) ?? {};
    },
    set(at, name, change) {
      const { title, at: _, ...kept } = { ...this.get(at, name), ...change };
      const all = Object.entries(kept).filter(([, value]) => value);
      if (all.length) local.set(keyOf(at, name), { ...Object.fromEntries(all), title, at: Date.now() });
      else local.remove(keyOf(at, name));
    },
    old: () => local.keys('draft:').filter((key) => !key.startsWith(keyOf(space())) && key.split(':')[2] === space().split(':')[1]),
    onChange(fn) {
      return local.onChange((key) => {
        if (key.startsWith(keyOf(space()))) fn(Number(key.slice(keyOf(space()).length)));
      });
    },
  };
}
