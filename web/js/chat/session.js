// The session over /ws: section 16 of PROTOCOL.md. The connection itself is in wire.js.
//
// The store keeps `last` of each chat: everything up to it is applied. The session applies an event
// only if it is the next one, and resumes the chat otherwise.
import { LATER_CODES, RequestProblem, createWire, offlineProblem } from './wire.js';

/** @typedef {import('./types.js').Event} Event */
/** @typedef {import('./types.js').Chat} Chat */
/** @typedef {import('./store.js').Store} Store */

/**
 * @typedef {object} SessionOptions
 * @property {Store} store
 * @property {import('./wire.js').WireOptions['connect']} connect
 * @property {() => number} now milliseconds
 * @property {() => number} [clock] milliseconds for durations: it never goes back
 * @property {(ms: number, fn: () => void) => () => void} after returns the function that cancels it
 * @property {() => number} random 0 to 1
 * @property {(epoch: number, userId: number) => void} [welcomed] after the chats of `Welcome` are in
 *   the store
 * @property {(epoch: number) => void} [cleared] the history of the server was replaced
 * @property {string} [deviceId]
 * @property {number} [epoch] of the facts that the store has already
 */

/** Cursors in one `Resume`: the packet stays far below 64 KiB. */
const SESSION_CURSORS_MAX = 1000;
const SESSION_HIDDEN_MS = 30_000;
/** After the page was hidden, an answer must arrive within this time. */
const SESSION_PROBE_MS = 5000;
const SESSION_RECOUNT_MS = 1000;

/** @typedef {ReturnType<typeof createSession>} Session */

/** @param {SessionOptions} options */
export function createSession({ store, connect, now, clock = now, after, random, welcomed, cleared, deviceId, epoch: knownEpoch }) {
  let epoch = knownEpoch;
  let beatMs = 30_000;
  let statusVersion = 0;
  /** The status that the user chose; `online` is replaced by `away` while the page is idle. */
  let chosen = 'online';
  /** The status that the server has, or will have when the request on its way succeeds. */
  let statusSent = 'online';
  let isIdle = false;
  let hiddenAt = 0;
  /** Chats that are catching up. @type {Set<number>} */
  const resuming = new Set();
  /** The time at which a chat began to catch up or received something. */
  let resumedAt = 0;
  /** Chats seen in the listing in progress; null: none is in progress. @type {Set<number> | null} */
  let listed = null;
  /** Counts listings: the pages of an earlier one do not end a later one. */
  let listing = 0;
  /** Whether the listing in progress began with `Welcome`: its chats are live. */
  let isFirstListing = true;
  /** @type {Set<() => void>} */
  let onlineWaiters = new Set();
  /** @type {Set<(value?: unknown) => void>} */
  let listWaiters = new Set();
  let isRecounting = false;
  let isAskingUsers = false;
  /** Users whose change arrived while an answer with users, which may be older, is on its way. @type {Set<number>} */
  let changedUsers = new Set();

  const wire = createWire({
    connect, clock, after, random, received: handle, ended,
    hello() {
      statusSent = status();
      return { packet_type: 'Hello', device_id: deviceId, status: statusSent === 'online' ? undefined : statusSent };
    },
    show: (connection) => store.apply({ type: 'connection', connection }),
  });
  const { later, write, sendOnly, request } = wire;

  /** Nothing of the connection arrives any more. */
  function ended() {
    endListing();
    resuming.clear();
    isRecounting = false;
    isAskingUsers = false;
    store.apply({ type: 'session_over' });
  }

  /** @param {any} packet */
  function handle(packet) {
    switch (packet.packet_type) {
      case 'Welcome': return onWelcome(packet);
      case 'Event': return onEvent(packet);
      case 'Synced': return onSynced(packet);
      case 'Limited': return onLimited(packet);
      case 'Reset': return onReset(packet);
      case 'Goodbye': return wire.lost(packet.code === 'bye' ? {} : packet);
      case 'Pong': return onPong(packet);
      case 'Marks': return void store.apply({ ...packet, type: 'marks', is_live: !resuming.has(packet.chat_id) });
      case 'Presence': return void store.apply({ type: 'presence', users: packet.users ?? [] });
      case 'Typing': return onTyping(packet);
      case 'Users': return onUsers(packet);
      case 'ChatAvatar': return void store.apply({ type: 'chat_avatar', chat_id: packet.chat_id, avatar: packet.avatar });
      case 'Notification': return void store.apply({ type: 'notification', notification: packet.notification });
      case 'NotificationsRead': return void store.apply({ ...packet, type: 'notifications_read' });
      default:
    }
  }

  /** @param {any} packet */
  function onWelcome(packet) {
    if (store.me.id !== 0 && store.me.id !== packet.user_id) return wire.end('replaced');
    wire.welcome(packet.window);
    beatMs = packet.heartbeat_ms ?? 30_000;
    store.apply({ type: 'me', me: { id: packet.user_id, username: packet.username } });
    if (epoch !== packet.epoch) {
      const isFirst = epoch === undefined;
      epoch = packet.epoch;
      if (!isFirst) { store.apply({ type: 'clear' }); cleared?.(packet.epoch); }
    }
    listed = new Set();
    listing += 1;
    isFirstListing = true;
    sendOnly({ packet_type: 'Ping' });
    beat();
    onChats(packet, store.marksToken(), listing);
    welcomed?.(packet.epoch, packet.user_id);
    const waiters = onlineWaiters;
    onlineWaiters = new Set();
    for (const fn of waiters) fn();
    // Users of the page, or of an earlier connection, may have changed since then.
    store.apply({ type: 'users_outdated' });
    needs();
  }

  function beat() {
    later(beatMs, () => {
      if (clock() - wire.receivedAt() >= 2 * beatMs) return wire.again();
      // A chat whose answer does not come would end the check of the heartbeat permanently.
      if (resuming.size > 0 && clock() - resumedAt >= 2 * beatMs) {
        resuming.clear();
        list();
      }
      sendOnly({ packet_type: 'Ping' });
      beat();
    });
  }

  /**
   * @param {{ chats: Chat[], has_more: boolean }} packet
   * @param {number} token
   * @param {number} round
   */
  function onChats(packet, token, round) {
    const behind = [];
    for (const chat of packet.chats) {
      listed?.add(chat.id);
      const last = store.last(chat.id);
      // A chat without loaded events needs no replay: it is live from `Welcome` on.
      const isIdle = isFirstListing && !store.hasWindow(chat.id) && !resuming.has(chat.id);
      const jumps = last === undefined || (isIdle && last < chat.last_seq);
      if (jumps ? !isFirstListing : last !== chat.last_seq) behind.push(chat.id);
      store.apply({ type: 'chats', chats: [chat], token });
      if (jumps && last !== undefined) store.apply({ type: 'skip', chat_id: chat.id, head: chat.last_seq });
    }
    resume(behind);
    const end = packet.chats.at(-1)?.id;
    if (!listed || round !== listing) return;
    if (packet.has_more && end !== undefined) return list(end);
    const seen = listed;
    for (const [id] of store.lasts()) if (!seen.has(id)) store.apply({ type: 'chat_gone', chat_id: id });
    endListing();
  }

  function endListing() {
    listed = null;
    const waiters = listWaiters;
    listWaiters = new Set();
    for (const fn of waiters) fn();
  }

  /** @param {number} [afterId] */
  function list(afterId = 0) {
    if (afterId === 0) {
      listed = new Set();
      listing += 1;
      isFirstListing = false;
    }
    const token = store.marksToken();
    const round = listing;
    write({ packet_type: 'GetChats', after_chat_id: afterId }, {
      done: (answer) => onChats(answer, token, round),
      failed: (problem) => { if (problem.code !== 'offline') later(problem.retryAfterMs ?? 1000, () => { if (round === listing) list(); }); },
    });
  }

  /** @param {number[]} chats */
  function resume(chats) {
    const fresh = chats.filter((id) => !resuming.has(id));
    for (const id of fresh) resuming.add(id);
    resumedAt = clock();
    for (let at = 0; at < fresh.length; at += SESSION_CURSORS_MAX) {
      const part = fresh.slice(at, at + SESSION_CURSORS_MAX);
      const cursors = Object.fromEntries(part.map((id) => [String(id), store.last(id) ?? 0]));
      write({ packet_type: 'Resume', epoch, cursors }, { done: () => {}, failed: (problem) => notResumed(part, problem) });
    }
  }

  /** @param {number[]} chats @param {RequestProblem} problem */
  function notResumed(chats, problem) {
    if (problem.code === 'offline') return;
    for (const id of chats) resuming.delete(id);
    if (LATER_CODES.has(problem.code)) later(problem.retryAfterMs ?? 1000, () => resume(chats.filter((id) => store.last(id) !== undefined)));
  }

  /** @param {any} packet */
  function onEvent(packet) {
    const { packet_type: _, ...rest } = packet;
    const event = /** @type {Event} */ (rest);
    listed?.add(event.chat_id);
    const last = store.last(event.chat_id) ?? event.seq - 1;
    if (resuming.has(event.chat_id)) resumedAt = clock();
    if (event.seq > last + 1) return resume([event.chat_id]);
    if (event.seq <= last) return;
    store.apply({ type: 'event', event });
    if (event.kind === 'leave' && event.user_id === store.me.id && !resuming.has(event.chat_id)) {
      listed?.delete(event.chat_id);
      store.apply({ type: 'chat_gone', chat_id: event.chat_id });
    }
  }

  /** @param {any} packet */
  function onSynced(packet) {
    resuming.delete(packet.chat_id);
    needs();
  }

  /** @param {any} packet */
  function onLimited(packet) {
    if (packet.chat_id === undefined) {
      store.apply({ type: 'users_outdated' });
      resuming.clear();
      resume(store.lasts().map(([id]) => id));
      return list();
    }
    resuming.delete(packet.chat_id);
    const last = store.last(packet.chat_id);
    if (last !== undefined && packet.head > last) store.apply({ type: 'skip', chat_id: packet.chat_id, head: packet.head });
    needs();
  }

  /** @param {any} packet */
  function onReset(packet) {
    if (packet.epoch !== undefined) {
      // The next `Welcome` has the new epoch.
      return wire.lost({});
    }
    if (packet.chat_id === undefined) return;
    resuming.delete(packet.chat_id);
    if (packet.head !== undefined) return void store.apply({ type: 'reset', chat_id: packet.chat_id, head: packet.head });
    listed?.delete(packet.chat_id);
    store.apply({ type: 'chat_gone', chat_id: packet.chat_id });
  }

  /** @param {any} packet */
  function onPong(packet) {
    if (resuming.size > 0 || listed) return;
    const lasts = store.lasts();
    const sum = lasts.reduce((total, [, last]) => total + last, 0);
    if (packet.chats !== lasts.length || packet.heads_sum !== sum) list();
  }

  /** @param {any} packet */
  function onTyping(packet) {
    store.apply({ type: 'typing', chat_id: packet.chat_id, user_id: packet.user_id });
    later(6050, () => store.apply({ type: 'typing_over', chat_id: packet.chat_id }));
  }

  /** @param {any} packet */
  function onUsers({ request_id: asked, people }) {
    if (asked !== undefined) return;
    for (const { id } of people) changedUsers.add(id);
    store.apply({ type: 'users', users: people, is_pushed: true });
  }

  /** Asks the server for what the store misses: counts, users, pages that are outdated. */
  function needs() {
    if (!wire.isWelcomed()) return;
    recountSoon();
    requestUsers();
    for (const id of [...store.needs.stale]) {
      store.needs.stale.delete(id);
      if (id === store.recent()) void refresh(id);
      else store.unload(id);
    }
  }

  function recountSoon() {
    if (isRecounting || store.needs.counts.size === 0) return;
    isRecounting = true;
    later(SESSION_RECOUNT_MS, () => { isRecounting = false; void recount(); });
  }

  async function recount() {
    const chats = [...store.needs.counts].filter((id) => !resuming.has(id)).sort((a, b) => a - b);
    try {
      for (const id of chats) {
        // An earlier answer may have contained this chat.
        if (!store.needs.counts.has(id)) continue;
        const token = store.marksToken();
        const answer = await request({ packet_type: 'GetChats', after_chat_id: id - 1 });
        const wanted = answer.chats.filter((/** @type {Chat} */ chat) => store.needs.counts.has(chat.id) && !resuming.has(chat.id));
        store.apply({ type: 'chats', chats: wanted, token });
        if (answer.chats[0]?.id !== id) store.needs.counts.delete(id);
      }
    } catch {
      // The next list has the counts.
    }
    recountSoon();
  }

  function requestUsers() {
    const ids = [...store.needs.users].slice(0, 100);
    if (ids.length === 0 || isAskingUsers) return;
    isAskingUsers = true;
    changedUsers = new Set();
    request({ packet_type: 'GetUsers', user_ids: ids }).then(
      (answer) => { store.apply({ type: 'users', users: answer.people.filter((/** @type {{ id: number }} */ { id }) => !changedUsers.has(id)), asked: ids }); isAskingUsers = false; requestUsers(); },
      (problem) => { isAskingUsers = false; if (problem.code !== 'offline') later(problem.retryAfterMs ?? 5000, requestUsers); },
    );
  }

  /** Loads the outdated ranges of a chat again. @param {number} id */
  async function refresh(id) {
    try {
      for (let round = 0; round < 60; round += 1) {
        const range = store.stale(id)[0];
        if (!range) return;
        await page(id, { after_seq: range.from - 1, before_seq: range.to + 1, limit: 100 });
      }
      store.unload(id);
    } catch (problem) {
      if (problem instanceof RequestProblem && problem.code === 'offline') store.needs.stale.add(id);
      else store.unload(id);
    }
  }

  /**
   * Reads one page of events into the store.
   * @param {number} chatId
   * @param {{ before_seq?: number, after_seq?: number, limit?: number }} range
   */
  async function page(chatId, range) {
    if (listed && store.last(chatId) === undefined) await new Promise((done) => { listWaiters.add(done); });
    for (let round = 0; round < 5; round += 1) {
      // Only chats in the list are loaded: changes of others are not pushed.
      if (store.last(chatId) === undefined) throw wire.isWelcomed() ? new RequestProblem('not_found', 'You are not in this chat.') : offlineProblem();
      store.apply({ type: 'window', chat_id: chatId });
      const answer = await request({ packet_type: 'GetEvents', chat_id: chatId, ...range });
      const covered = coveredRange(range, answer);
      if (store.apply({ type: 'page', chat_id: chatId, ...covered, events: answer.events, as_of: answer.as_of })) return;
    }
    throw new RequestProblem('overloaded', 'The chat changes faster than it can be read. Try again.', 1000);
  }

  const status = () => (chosen === 'online' && isIdle ? 'away' : chosen);

  /** Sends the status if the server has another one. */
  async function sendStatus() {
    const [before, wanted] = [statusSent, status()];
    if (!wire.isWelcomed() || wanted === before) return;
    statusVersion = Math.max(statusVersion + 1, Math.floor(now()));
    statusSent = wanted;
    try {
      await request({ packet_type: 'Status', status: wanted, version: statusVersion });
    } catch (problem) {
      if (statusSent === wanted) statusSent = before;
      throw problem;
    }
  }

  store.onNeed(needs);

  return {
    start: wire.start,
    /** Ends the connection. `start` opens it again. */
    stop: () => wire.end('waiting'),
    /** Tries at once: the browser is online again, or the user wishes it. */
    nudge: wire.nudge,
    /** The page was hidden or shown. @param {boolean} isHidden */
    visible(isHidden) {
      if (isHidden) { hiddenAt ||= clock(); return; }
      const wasLong = hiddenAt > 0 && clock() - hiddenAt >= SESSION_HIDDEN_MS;
      hiddenAt = 0;
      if (!wasLong || wire.isStopped()) return;
      if (!wire.isWelcomed()) return wire.nudge();
      const sentAt = clock();
      sendOnly({ packet_type: 'Ping' });
      later(SESSION_PROBE_MS, () => { if (wire.receivedAt() < sentAt) wire.again(); });
    },
    request,
    page,
    /** Resolves when the session is welcomed. @returns {Promise<void>} */
    online() { return wire.isWelcomed() ? Promise.resolve() : new Promise((done) => { onlineWaiters.add(done); }); },
    isOnline: wire.isWelcomed,
    /** The user chose a status. @param {string} wanted */
    setStatus(wanted) {
      chosen = wanted;
      return sendStatus();
    },
    /** The user is away, or no longer. A call without a change sends what failed before. @param {boolean} idle */
    setIdle(idle) {
      isIdle = idle;
      return sendStatus();
    },
  };
}

/**
 * Returns the seqs that a page covers.
 * @param {{ before_seq?: number, after_seq?: number }} range
 * @param {{ events: Event[], has_more: boolean, as_of: number }} answer
 */
export function coveredRange({ before_seq: before, after_seq: after }, { events, has_more: hasMore, as_of: asOf }) {
  const first = events[0]?.seq;
  const last = events.at(-1)?.seq;
  const end = before === undefined ? asOf : Math.min(before - 1, asOf);
  if (after !== undefined) return { from: after + 1, to: hasMore && last !== undefined ? last : end };
  return { from: hasMore && first !== undefined ? first : 1, to: end };
}
