// The facts that views show. Views read them and subscribe; session, outbox, actions and the start
// of the page (`connection.js`, `same_user.js`) change them, by `apply` only. It has no DOM and no
// timers.
import { folded } from '../kit/folded.js';
import { ChatEntry } from './chat_entry.js';
import { ChatWindow } from './window.js';
import { NoticeList } from './notices.js';

/** @typedef {import('./types.js').Event} Event */
/** @typedef {import('./types.js').Chat} Chat */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./types.js').Pending} Pending */
/** @typedef {import('./types.js').User} User */
/** @typedef {import('./types.js').Mark} Mark */
/** @typedef {import('./types.js').Notification} Notification */

/**
 * A change of the facts.
 * @typedef {{ type: 'me', me: import('./types.js').Me }
 *   | { type: 'clear' }
 *   | { type: 'chats', chats: Chat[], token: number }
 *   | { type: 'chat_gone', chat_id: number }
 *   | { type: 'skip', chat_id: number, head: number }
 *   | { type: 'reset', chat_id: number, head: number }
 *   | { type: 'event', event: Event }
 *   | { type: 'window', chat_id: number }
 *   | { type: 'page', chat_id: number, from: number, to: number, events: Event[], as_of: number }
 *   | { type: 'messages', chat_id: number, messages: Message[], as_of: number }
 *   | { type: 'focus', chat_id: number, seq: number }
 *   | { type: 'marks', chat_id: number, marks: Mark[], unread_count?: number, hidden?: boolean, is_live?: boolean }
 *   | { type: 'participants', chat_id: number, items: import('./types.js').Participant[] }
 *   | { type: 'typing', chat_id: number, user_id: number }
 *   | { type: 'typing_over', chat_id: number }
 *   | { type: 'presence', users: { user_id: number, status: import('./types.js').Presence, version: number }[] }
 *   | { type: 'session_over' }
 *   | { type: 'users', users: { id: number, username: string, display_name: string, active?: boolean, avatar?: string }[], asked?: number[], is_pushed?: boolean }
 *   | { type: 'users_outdated' }
 *   | { type: 'chat_avatar', chat_id: number, avatar?: string }
 *   | { type: 'notification', notification: Notification }
 *   | { type: 'notifications_read', notification_id?: number, chat_id?: number, seq?: number, read_at: string }
 *   | { type: 'notifications', items: Notification[], newest?: number, has_more: boolean }
 *   | { type: 'notifications_failed', problem: string }
 *   | { type: 'notify', chat_id: number, level: 'all' | 'mentions' | 'none' }
 *   | { type: 'pending', chat_id: number, items: Pending[] }
 *   | { type: 'connection', connection: import('./types.js').Connection }} Fact
 */

/** Chats with loaded events. */
export const STORE_WINDOWS_MAX = 20;
const STORE_USERS_MAX = 5000;
const STORE_WANTED_MAX = 1000;
const STORE_PRESENCE_MAX = 20_000;
const STORE_MARKS_MAX = 1000;
const STORE_NAMES_MAX = 10_000;
const TYPING_SHOWN_MS = 6000;
/** The server sends typing up to half a second late: it may arrive after the message. */
const TYPING_LATE_MS = 1000;

/** @typedef {ReturnType<typeof createStore>} Store */

/**
 * Returns an empty store.
 * @param {{ me?: import('./types.js').Me, now: () => number, clock?: () => number }} options
 */
export function createStore({ me = { id: 0, username: '' }, now, clock = now }) {
  /** @type {Map<number, ChatEntry>} */
  const chats = new Map();
  /** The chat used last is the last one. @type {Map<number, ChatWindow>} */
  const windows = new Map();
  /** @type {Map<number, User>} */
  const users = new Map();
  /** Users who may have changed: they are requested again when a view needs them. @type {Set<number>} */
  let outdated = new Set();
  /** @type {Map<string, number>} */
  const idsByName = new Map();
  /** The user of each name as it is compared; 0: several. @type {Map<string, number> | undefined} */
  let owners;
  /** @type {Map<number, { status: import('./types.js').Presence, version: number }>} */
  const presence = new Map();
  /** @type {Map<number, Pending[]>} */
  const pending = new Map();
  let notices = new NoticeList();
  /** @type {import('./types.js').Connection} */
  let connection = { state: 'connecting' };
  /** The number of own marks that arrived: a list that was requested before such a mark is outdated. */
  let ownMarks = 0;
  /** The number of the own mark of chats that are not listed yet. @type {Map<number, number>} */
  const earlyMarks = new Map();
  /** The number of removals of notifications. */
  let noticesRemoved = 0;

  /** Facts that must be requested from the server. */
  const needs = {
    /** Chats whose counts are uncertain. @type {Set<number>} */
    counts: new Set(),
    /** @type {Set<number>} */
    users: new Set(),
    /** Chats whose loaded messages may be outdated. @type {Set<number>} */
    stale: new Set(),
    notices: false,
  };
  /** @type {Set<(changes: Set<string>) => void>} */
  const subscribers = new Set();
  /** @type {Set<() => void>} */
  const needed = new Set();
  /** @type {Set<(clientId: string, chatId: number) => void>} */
  const arrivals = new Set();
  /** @type {Set<string>} */
  let changes = new Set();
  let isQueued = false;
  let isNeedQueued = false;
  /** @type {Chat[] | undefined} */
  let shown;
  /** @type {Notification[] | undefined} */
  let mentionsOf;
  /** @type {Map<number, number>} */
  let mentions = new Map();

  /** @param {...string} keys */
  function changed(...keys) {
    for (const key of keys) changes.add(key);
    if (isQueued) return;
    isQueued = true;
    queueMicrotask(() => {
      isQueued = false;
      const set = changes;
      changes = new Set();
      for (const fn of [...subscribers]) fn(set);
    });
  }

  function need() {
    if (isNeedQueued || needed.size === 0) return;
    isNeedQueued = true;
    queueMicrotask(() => {
      isNeedQueued = false;
      for (const fn of [...needed]) fn();
    });
  }

  /** @param {number} id */
  function chatChanged(id) {
    shown = undefined;
    changed('chats', `chat:${id}`);
  }

  /** @param {number} id */
  function recount(id) {
    needs.counts.add(id);
    need();
  }

  /** @param {number} id @param {number} last */
  function entryOf(id, last) {
    const found = chats.get(id);
    if (found) return found;
    const made = new ChatEntry(id, last);
    made.markedAt = earlyMarks.get(id) ?? 0;
    earlyMarks.delete(id);
    chats.set(id, made);
    return made;
  }

  /** Returns the window of a chat, as the one used last. @param {number} id */
  function windowOf(id) {
    const found = windows.get(id) ?? new ChatWindow(chats.get(id)?.last ?? 0);
    windows.delete(id);
    windows.set(id, found);
    const [oldest] = windows.keys();
    if (windows.size > STORE_WINDOWS_MAX && oldest !== undefined) dropWindow(oldest);
    return found;
  }

  /** @param {number} id */
  function dropWindow(id) {
    if (windows.delete(id)) changed(`timeline:${id}`);
  }

  /** @param {number} id */
  function dropChat(id) {
    dropWindow(id);
    needs.counts.delete(id);
    if (!chats.delete(id)) return;
    if (notices.drop((item) => item.chat_id === id)) { noticesRemoved += 1; changed('notifications'); }
    chatChanged(id);
  }

  /** @param {string} name @param {number} id */
  function addName(name, id) {
    idsByName.delete(name);
    idsByName.set(name, id);
    const [oldest] = idsByName.keys();
    if (idsByName.size > STORE_NAMES_MAX && oldest !== undefined) idsByName.delete(oldest);
  }

  /** @param {User} user */
  function addUser(user) {
    owners = undefined;
    outdated.delete(user.id);
    users.delete(user.id);
    users.set(user.id, user);
    if (!user.missing) addName(user.username, user.id);
    const [oldest] = users.keys();
    if (users.size <= STORE_USERS_MAX || oldest === undefined) return;
    idsByName.delete(users.get(oldest)?.username ?? '');
    users.delete(oldest);
  }

  /** @param {number} id */
  function want(id) {
    if (id <= 0 || needs.users.has(id) || needs.users.size >= STORE_WANTED_MAX) return;
    needs.users.add(id);
    need();
  }

  /** An own message that arrived is not pending any more. @param {Message} message */
  function arrived(message) {
    if (message.sender_id !== store.me.id || !message.client_id) return;
    const list = pending.get(message.chat_id);
    if (!list?.some((item) => item.client_id === message.client_id)) return;
    setPending(message.chat_id, list.filter((item) => item.client_id !== message.client_id));
    for (const fn of arrivals) fn(message.client_id, message.chat_id);
  }

  /** @param {number} chatId @param {Pending[]} items */
  function setPending(chatId, items) {
    if (items.length > 0) pending.set(chatId, items);
    else pending.delete(chatId);
    changed(`pending:${chatId}`);
  }

  /** @param {Event} event */
  function applyEvent(event) {
    const entry = entryOf(event.chat_id, event.seq - 1);
    if (event.chat && !entry.isListed) { entry.learn({ ...event.chat }, ownMarks); }
    entry.last = event.seq - 1;
    if (!entry.count(event, store.me.id)) recount(entry.id);
    applyFields(entry, event);
    if (windows.has(event.chat_id)) {
      windows.get(event.chat_id)?.append(event);
      changed(`timeline:${event.chat_id}`);
    }
    if (event.message) applySender(entry, event.message, event.kind);
    if (event.kind === 'delete' && notices.drop((item) => item.message_id === event.message_id)) {
      noticesRemoved += 1;
      changed('notifications');
    }
    if (event.kind === 'trim' && notices.items.some((item) => item.chat_id === event.chat_id)) {
      needs.notices = true;
      need();
    }
    chatChanged(event.chat_id);
  }

  /** @param {ChatEntry} entry @param {Message} message @param {string} kind */
  function applySender(entry, message, kind) {
    if (kind !== 'message') return;
    arrived(message);
    if ((entry.typing.get(message.sender_id) ?? 0) > 0) changed(`typing:${entry.id}`);
    entry.typing.set(message.sender_id, -clock());
  }

  /** @param {ChatEntry} entry @param {Event} event */
  function applyFields(entry, event) {
    const isOwn = event.user_id === store.me.id;
    if (isOwn && (event.kind === 'join' || event.kind === 'role')) entry.role = event.role;
    if (event.kind === 'leave' && event.user_id !== undefined) {
      if (entry.marks.delete(event.user_id)) changed(`marks:${entry.id}`);
      if (entry.typing.delete(event.user_id)) changed(`typing:${entry.id}`);
    }
    if (event.kind === 'join' && event.user_id !== undefined && users.get(event.user_id)?.missing) {
      users.delete(event.user_id);
      want(event.user_id);
    }
    entry.change(event);
  }

  /** @param {Extract<Fact, { type: 'chats' }>} fact */
  function applyChats(fact) {
    for (const chat of fact.chats) {
      const entry = entryOf(chat.id, chat.last_seq);
      if (entry.learn(chat, fact.token)) needs.counts.delete(chat.id);
      else recount(chat.id);
      chatChanged(chat.id);
    }
  }

  /** @param {number} id @param {number} head */
  function skip(id, head) {
    const entry = entryOf(id, head);
    if (!entry.skip(head)) recount(id);
    const window = windows.get(id);
    if (window) {
      window.skip(head);
      if (window.stale.length > 0) { needs.stale.add(id); need(); }
      changed(`timeline:${id}`);
    }
    chatChanged(id);
  }

  /** The held facts of the chat belong to another history. @param {number} id @param {number} head */
  function reset(id, head) {
    const entry = chats.get(id);
    if (!entry) return;
    dropWindow(id);
    entry.counted = 0;
    entry.fieldsAt = 0;
    entry.head = head;
    skip(id, head);
    recount(id);
  }

  /** @param {Extract<Fact, { type: 'marks' }>} fact */
  function applyMarks(fact) {
    const entry = chats.get(fact.chat_id);
    if (!entry) {
      if (earlyMarks.size < STORE_MARKS_MAX) earlyMarks.set(fact.chat_id, ownMarks += 1);
      return;
    }
    for (const mark of fact.marks) {
      const held = entry.marks.get(mark.user_id);
      if (held || entry.marks.size < STORE_MARKS_MAX) entry.marks.set(mark.user_id, { read_seq: mark.read_seq, delivered_seq: mark.delivered_seq });
      if (mark.user_id !== store.me.id) continue;
      ownMarks += 1;
      if (!entry.mark(mark.read_seq, fact.unread_count, ownMarks, fact.hidden, fact.is_live !== false)) recount(entry.id);
      if (notices.read({ chat_id: entry.id, seq: mark.read_seq, read_at: new Date(now()).toISOString() })) changed('notifications', `chat:${entry.id}`);
      chatChanged(entry.id);
    }
    changed(`marks:${entry.id}`);
  }

  /** @param {Extract<Fact, { type: 'participants' }>} fact */
  function applyParticipants(fact) {
    const entry = chats.get(fact.chat_id);
    for (const item of fact.items) {
      const { user_id: id, read_seq, delivered_seq } = item;
      if (!users.has(id)) want(id);
      if (!entry) continue;
      const held = entry.marks.get(id);
      if (held || entry.marks.size < STORE_MARKS_MAX) {
        entry.marks.set(id, { read_seq: Math.max(read_seq, held?.read_seq ?? 0), delivered_seq: Math.max(delivered_seq, held?.delivered_seq ?? 0) });
      }
      addName(item.username, id);
      if (id === store.me.id && entry.role !== item.role) { entry.role = item.role; entry.view = undefined; chatChanged(entry.id); }
    }
    changed(`marks:${fact.chat_id}`, 'users');
  }

  /** @param {Extract<Fact, { type: 'presence' }>} fact */
  function applyPresence(fact) {
    const wantsPeers = [...chats.values()].some((entry) => entry.fields.kind === 'direct' && !idsByName.has(entry.fields.peer ?? ''));
    for (const item of fact.users) {
      const held = presence.get(item.user_id);
      if (held ? held.version >= item.version : presence.size >= STORE_PRESENCE_MAX) continue;
      presence.set(item.user_id, { status: item.status, version: item.version });
      if (wantsPeers && !users.has(item.user_id)) want(item.user_id);
    }
    changed('presence');
  }

  /** @param {Extract<Fact, { type: 'users' }>} fact */
  function applyUsers(fact) {
    for (const user of fact.users) {
      // A change of a user whom no view needs.
      if (fact.is_pushed && user.id !== store.me.id && !users.has(user.id) && !needs.users.has(user.id)) continue;
      addUser({ id: user.id, username: user.username, display_name: user.display_name, active: user.active !== false, avatar: user.avatar });
      if (user.id === store.me.id) store.me = { ...store.me, display_name: user.display_name, avatar: user.avatar };
      needs.users.delete(user.id);
    }
    for (const id of fact.asked ?? []) {
      if (!users.has(id)) addUser(missingUser(id));
      outdated.delete(id);
      needs.users.delete(id);
    }
    changed('users');
  }

  /** @param {Extract<Fact, { type: 'chat_avatar' }>} fact */
  function applyChatAvatar(fact) {
    const entry = chats.get(fact.chat_id);
    ownMarks += 1;
    // A list that is on its way may be older: the chat is requested again after it.
    if (entry) entry.show(fact.avatar, ownMarks);
    else if (earlyMarks.size < STORE_MARKS_MAX) earlyMarks.set(fact.chat_id, ownMarks);
    if (!entry) return;
    chatChanged(entry.id);
  }

  /** @param {Extract<Fact, { type: 'page' }>} fact */
  function applyPage(fact) {
    const entry = chats.get(fact.chat_id);
    if (!entry) return false;
    entry.head = Math.max(entry.head, fact.as_of);
    if (!windowOf(fact.chat_id).addPage(fact.from, fact.to, fact.events, fact.as_of)) return false;
    for (const event of fact.events) if (event.message) arrived(event.message);
    changed(`timeline:${fact.chat_id}`);
    return true;
  }

  /** @param {Extract<Fact, { type: 'messages' }>} fact */
  function applyMessages(fact) {
    if (!chats.has(fact.chat_id) || !windowOf(fact.chat_id).addMessages(fact.messages, fact.as_of)) return false;
    fact.messages.forEach(arrived);
    changed(`timeline:${fact.chat_id}`);
    return true;
  }

  function clearFacts() {
    for (const id of [...chats.keys()]) dropChat(id);
    windows.clear();
    pending.clear();
    notices = new NoticeList();
    needs.counts.clear();
    needs.stale.clear();
    needs.users.clear();
    users.clear();
    outdated.clear();
    owners = undefined;
    idsByName.clear();
    presence.clear();
    changed('notifications', 'users', 'presence');
  }

  /** @param {Fact} fact */
  function applySoft(fact) {
    if (fact.type === 'marks') applyMarks(fact);
    else if (fact.type === 'participants') applyParticipants(fact);
    else if (fact.type === 'presence') applyPresence(fact);
    else if (fact.type === 'users') applyUsers(fact);
    else if (fact.type === 'chat_avatar') applyChatAvatar(fact);
    else if (fact.type === 'users_outdated') {
      outdated = new Set(users.keys());
      changed('users');
    } else if (fact.type === 'typing') {
      const typing = chats.get(fact.chat_id)?.typing;
      const end = typing?.get(fact.user_id) ?? 0;
      if (end < 0 && clock() + end < TYPING_LATE_MS) return;
      typing?.set(fact.user_id, clock() + TYPING_SHOWN_MS);
      changed(`typing:${fact.chat_id}`);
    } else if (fact.type === 'typing_over') {
      const typing = chats.get(fact.chat_id)?.typing;
      for (const [id, end] of typing ?? []) if (end < 0 ? clock() + end >= TYPING_LATE_MS : end <= clock()) typing?.delete(id);
      changed(`typing:${fact.chat_id}`);
    } else if (fact.type === 'session_over') {
      presence.clear();
      earlyMarks.clear();
      for (const entry of chats.values()) if (entry.typing.size > 0) { entry.typing.clear(); changed(`typing:${entry.id}`); }
      changed('presence');
    } else if (fact.type === 'connection') {
      connection = fact.connection;
      // The facts belong to a user who has logged out here.
      if (connection.state === 'logged_out' || connection.state === 'replaced') clearFacts();
      changed('connection');
    }
  }

  /** @param {Fact} fact */
  function applyNotices(fact) {
    if (fact.type === 'notification') notices.add([fact.notification]);
    else if (fact.type === 'notifications_read') notices.read(fact);
    else if (fact.type === 'notifications_failed') notices.problem = fact.problem;
    else if (fact.type === 'notifications') {
      if (fact.newest === undefined) notices.add(fact.items);
      else {
        notices.replace(fact.items, fact.newest);
        notices.problem = '';
      }
      notices.hasMore = fact.has_more;
      needs.notices = false;
    } else return;
    shown = undefined;
    changed('notifications', 'chats');
  }

  const store = {
    me,
    /** @param {Fact} fact @returns {boolean} false: the page is outdated, request it again */
    apply(fact) {
      switch (fact.type) {
        case 'me': store.me = { ...store.me, ...fact.me }; changed('users'); break;
        case 'clear': clearFacts(); break;
        case 'chats': applyChats(fact); break;
        case 'chat_gone': dropChat(fact.chat_id); break;
        case 'skip': skip(fact.chat_id, fact.head); break;
        case 'reset': reset(fact.chat_id, fact.head); break;
        case 'event': applyEvent(fact.event); break;
        case 'window': if (chats.has(fact.chat_id)) windowOf(fact.chat_id); break;
        case 'page': return applyPage(fact);
        case 'messages': return applyMessages(fact);
        case 'focus': { const window = windows.get(fact.chat_id); if (window) { windowOf(fact.chat_id); window.focus = fact.seq; } break; }
        case 'notify': { const entry = chats.get(fact.chat_id); if (entry) { entry.fields = { ...entry.fields, notify: fact.level }; entry.view = undefined; chatChanged(entry.id); } break; }
        case 'pending': setPending(fact.chat_id, fact.items); break;
        default: applyNotices(fact); applySoft(fact);
      }
      return true;
    },

    chats() {
      shown ??= [...chats.values()].filter((entry) => entry.isListed && !entry.fields.hidden).map((entry) => entry.chat()).sort((a, b) => a.id - b.id);
      return shown;
    },
    /** @param {number} id */
    chat(id) { const entry = chats.get(id); return entry?.isListed ? entry.chat() : undefined; },
    /** @param {number} id */
    timeline(id) { return { ranges: windows.get(id)?.ranges ?? [], last: chats.get(id)?.last ?? 0, first_known: 1 }; },
    /** @param {number} id @param {number} from @param {number} to @returns {Event[]} */
    events(id, from, to) { return windows.get(id)?.between(from, to) ?? []; },
    /** Keeps what the timeline shows. @param {number} id @param {number} from @param {number} to */
    show(id, from, to) { windows.get(id)?.show(from, to); },
    /** @param {number} id @returns {Message | undefined} */
    message(id) {
      for (const window of windows.values()) { const found = window.message(id); if (found) return found; }
      return undefined;
    },
    /** @param {number} chatId */
    pending(chatId) { return pending.get(chatId) ?? []; },
    /** @param {number} id @returns {User} */
    user(id) {
      const found = users.get(id);
      if (found && !outdated.has(id)) return found;
      want(id);
      return found ?? missingUser(id);
    },
    /** Whether the display name of a user is a name of another one, too. @param {number} id */
    isShared(id) {
      if (!owners) {
        owners = new Map();
        for (const { id: of, username, display_name: shown } of users.values()) {
          for (const name of new Set([comparedName(username), comparedName(shown)])) owners.set(name, owners.has(name) ? 0 : of);
        }
      }
      return owners.get(comparedName(users.get(id)?.display_name ?? '')) === 0;
    },
    users() { return [...users.values()].filter((user) => !user.missing); },
    /** The other user of a direct chat, once known. @param {number} chatId */
    peer(chatId) { return idsByName.get(chats.get(chatId)?.fields.peer ?? ''); },
    /** @param {number} userId */
    presence(userId) { return presence.get(userId)?.status ?? 'offline'; },
    /** @param {number} chatId */
    typing(chatId) {
      const at = clock();
      return [...chats.get(chatId)?.typing ?? []].filter(([id, until]) => until > at && id !== store.me.id).map(([id]) => id);
    },
    /** @param {number} chatId */
    marks(chatId) { return chats.get(chatId)?.marks ?? new Map(); },
    /** @param {number} chatId */
    unread(chatId) {
      if (mentionsOf !== notices.items) { mentions = notices.mentions(); mentionsOf = notices.items; }
      return { count: chats.get(chatId)?.unread ?? 0, mentions: mentions.get(chatId) ?? 0 };
    },
    unreadTotal() {
      return store.chats().reduce((sum, chat) => sum + (chat.notify === 'none' ? 0 : store.unread(chat.id).count), 0);
    },
    notifications() { return notices.items; },
    notificationsUnread() { return notices.unread(); },
    notificationsHaveMore() { return notices.hasMore; },
    notificationsProblem() { return notices.problem; },
    connection() { return connection; },
    /** @param {(changes: Set<string>) => void} fn */
    subscribe(fn) { subscribers.add(fn); return () => { subscribers.delete(fn); }; },

    // For session, outbox and actions.
    /** Calls `fn` when the server must be asked for something. @param {() => void} fn */
    onNeed(fn) { needed.add(fn); need(); },
    /** Calls `fn` with the client_id of each own message that arrived. @param {(clientId: string, chatId: number) => void} fn */
    onArrival(fn) { arrivals.add(fn); },
    needs,
    /** The seq up to which everything of a chat is applied. @param {number} id */
    last(id) { return chats.get(id)?.last; },
    /** Returns `last` of each chat. @returns {[number, number][]} */
    lasts() { return [...chats.values()].map((entry) => [entry.id, entry.last]); },
    /** @param {number} id */
    hasWindow(id) { return windows.has(id); },
    /** The ranges that must be loaded again. @param {number} id */
    stale(id) { return windows.get(id)?.stale ?? []; },
    /** Drops what is loaded of a chat. @param {number} id */
    unload(id) { dropWindow(id); },
    /** The chat whose window was used last. */
    recent() { return [...windows.keys()].at(-1); },
    marksToken() { return ownMarks; },
    noticesToken() { return noticesRemoved; },
  };
  return store;
}

/** @param {string} name */
const comparedName = (name) => folded(name).replace(/\s+/gu, ' ').trim();

/** @param {number} id @returns {User} */
function missingUser(id) {
  return { id, username: `user ${id}`, display_name: '', active: true, missing: true };
}
