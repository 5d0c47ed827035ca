// A server in memory that follows docs/PROTOCOL.md, for tests of the session and the store.

/**
 * @typedef {object} ModelChat
 * @property {number} id
 * @property {'direct' | 'group' | 'channel'} kind
 * @property {string} name
 * @property {boolean} archived
 * @property {Map<number, { role: string, read: number, hidden: boolean }>} members
 * @property {any[]} events those that are kept, ascending
 * @property {number} last
 * @property {number} trimmed
 */

/** @typedef {{ user: number, push: (packet: any) => void, answer: (packet: any) => void, close: () => void, isDead: boolean, isLimited: boolean, welcomed: boolean, live: Map<number, boolean>, catching: Map<number, number> }} ModelSession */

export class ModelServer {
  /** @param {{ random: () => number, now: () => number, after: (ms: number, fn: () => void) => unknown, replayMax?: number, pageMax?: number, listMax?: number }} options */
  constructor({ random, now, after, replayMax = 12, pageMax = 100, listMax = 3 }) {
    Object.assign(this, { random, now, after, replayMax, pageMax, listMax });
    this.random = random;
    this.now = now;
    this.after = after;
    this.replayMax = replayMax;
    this.pageMax = pageMax;
    this.listMax = listMax;
    this.epoch = 1000;
    this.nextMessage = 1;
    this.nextChat = 1;
    /** @type {Map<number, ModelChat>} */
    this.chats = new Map();
    /** @type {Map<string, any>} by sender and client_id */
    this.sent = new Map();
    /** @type {Set<ModelSession>} */
    this.sessions = new Set();
    /** Returns a refusal for a SendMessage, to test those. @type {(packet: any) => any} */
    this.refuse = () => undefined;
  }

  at() { return new Date(this.now()).toISOString(); }

  /** @param {number[]} users @param {string} name */
  create(users, name) {
    /** @type {ModelChat} */
    const chat = { id: this.nextChat, kind: 'group', name, archived: false, members: new Map(), events: [], last: 0, trimmed: 0 };
    this.nextChat += 1;
    this.chats.set(chat.id, chat);
    for (const user of users) this.join(chat, users[0], user);
    return chat;
  }

  /** @param {ModelChat} chat @param {number} actor @param {number} user */
  join(chat, actor, user) {
    chat.members.set(user, { role: 'member', read: chat.last + 1, hidden: false });
    for (const session of this.#of(user)) { session.live.set(chat.id, !session.isLimited); }
    this.event(chat, { kind: 'join', actor_id: actor, user_id: user, role: 'member' }, user);
  }

  /** @param {ModelChat} chat @param {number} actor @param {number} user */
  leave(chat, actor, user) {
    this.event(chat, { kind: 'leave', actor_id: actor, user_id: user, role: chat.members.get(user)?.role });
    chat.members.delete(user);
    for (const session of this.#of(user)) session.live.delete(chat.id);
  }

  /** @param {ModelChat} chat */
  remove(chat) {
    this.chats.delete(chat.id);
    for (const session of this.sessions) {
      if (!chat.members.has(session.user)) continue;
      session.live.delete(chat.id);
      if (session.welcomed) session.push({ packet_type: 'Reset', chat_id: chat.id });
    }
  }

  /** @param {number} user */
  #of(user) { return [...this.sessions].filter((session) => session.user === user && session.welcomed); }

  /** Commits an event and pushes it. @param {ModelChat} chat @param {any} fields @param {number} [joiner] */
  event(chat, fields, joiner) {
    chat.last += 1;
    const event = { chat_id: chat.id, seq: chat.last, created_at: this.at(), ...fields };
    if (event.message) event.message.seq = chat.last;
    if (event.kind === 'message') this.#moveSender(chat, event.message);
    chat.events.push(event);
    for (const user of chat.members.keys()) {
      for (const session of this.#of(user)) {
        if (session.live.get(chat.id) !== true) continue;
        const more = user === joiner ? { chat: this.summary(chat, user) } : {};
        session.push({ packet_type: 'Event', ...copied(event), ...more });
      }
    }
    return event;
  }

  /** An own message moves the cursor of its sender. @param {ModelChat} chat @param {any} message */
  #moveSender(chat, message) {
    for (const [user, member] of chat.members) {
      member.hidden = false;
      if (user !== message.sender_id) continue;
      const isBetween = chat.events.some((event) => event.kind === 'message' && event.message.sender_id !== user && event.seq > member.read);
      if (!isBetween) member.read = chat.last;
    }
  }

  /** @param {ModelChat} chat @param {number} user */
  unread(chat, user) {
    const read = chat.members.get(user)?.read ?? 0;
    return chat.events.filter((event) => event.kind === 'message' && event.seq > read && event.message.sender_id !== user && !event.message.deleted).length;
  }

  /** @param {ModelChat} chat @param {number} user */
  summary(chat, user) {
    const member = chat.members.get(user);
    return {
      id: chat.id, kind: chat.kind, name: chat.name, last_seq: chat.last, read_seq: member?.read ?? 0, unread_count: this.unread(chat, user),
      ...(chat.archived ? { archived: true } : {}), ...(member?.hidden ? { hidden: true } : {}),
    };
  }

  /** @param {number} user @param {number} after */
  list(user, after) {
    const own = [...this.chats.values()].filter((chat) => chat.members.has(user) && chat.id > after).sort((a, b) => a.id - b.id);
    return { chats: own.slice(0, this.listMax).map((chat) => this.summary(chat, user)), has_more: own.length > this.listMax };
  }

  /** @param {ModelChat} chat @param {number} id */
  message(chat, id) {
    return chat.events.find((event) => event.kind === 'message' && event.message.id === id)?.message;
  }

  /** @param {ModelChat} chat @param {number} sender @param {any} fields */
  post(chat, sender, fields) {
    const message = { id: this.nextMessage, chat_id: chat.id, seq: 0, sender_id: sender, created_at: this.at(), ...fields };
    this.nextMessage += 1;
    this.sent.set(`${sender}:${fields.client_id}`, message);
    this.event(chat, { kind: 'message', actor_id: sender, message });
    return message;
  }

  /** Changes a message; returns the event, or undefined without an effect. @param {ModelChat} chat @param {number} user @param {any} message @param {string} kind @param {string} [value] */
  change(chat, user, message, kind, value = '') {
    if (message.deleted) return undefined;
    const seq = chat.last + 1;
    const fields = { kind, actor_id: user, message_id: message.id };
    if (kind === 'edit') {
      if (message.content === value) return undefined;
      Object.assign(message, { content: value, edited_at: this.at() });
    } else if (kind === 'delete') {
      Object.assign(message, { content: '', deleted: true });
      for (const key of ['metadata', 'reactions', 'pinned']) delete message[key];
    } else if (kind === 'pin' || kind === 'unpin') {
      if (Boolean(message.pinned) === (kind === 'pin')) return undefined;
      if (kind === 'pin') message.pinned = true; else delete message.pinned;
    } else if (!react(message, user, value, kind === 'react')) return undefined;
    message.updated_seq = seq;
    if (kind === 'edit') return this.event(chat, { kind, actor_id: user, editing: message });
    return this.event(chat, kind === 'react' || kind === 'unreact' ? { ...fields, emoji: value } : fields);
  }

  /** @param {ModelChat} chat @param {number} user @param {number} to */
  trim(chat, user, to) {
    chat.trimmed = Math.max(chat.trimmed, to);
    this.event(chat, { kind: 'trim', actor_id: user, to_seq: to });
    const changes = ['edit', 'delete', 'react', 'unreact', 'pin', 'unpin'];
    chat.events = chat.events.filter((event) => event.seq > to || (event.kind === 'message' ? event.message.pinned : !changes.includes(event.kind)));
  }

  /** @param {number} user @param {ModelChat} chat */
  #marked(user, chat) {
    const member = chat.members.get(user);
    const packet = {
      packet_type: 'Marks', chat_id: chat.id, marks: [{ user_id: user, read_seq: member?.read, delivered_seq: member?.read }],
      unread_count: this.unread(chat, user), ...(member?.hidden ? { hidden: true } : {}),
    };
    for (const session of this.#of(user)) session.push(packet);
  }

  /** @param {number} user @param {ModelChat} chat @param {number} seq */
  mark(user, chat, seq) {
    const member = chat.members.get(user);
    if (!member || Math.min(seq, chat.last) <= member.read) return;
    member.read = Math.min(seq, chat.last);
    this.#marked(user, chat);
  }

  /** @param {number} user @param {ModelChat} chat @param {number} from */
  markUnread(user, chat, from) {
    const member = chat.members.get(user);
    if (!member || from - 1 >= member.read) return;
    member.read = Math.max(0, from - 1);
    this.#marked(user, chat);
  }

  /** @param {number} user @param {ModelChat} chat @param {boolean} hidden */
  hide(user, chat, hidden) {
    const member = chat.members.get(user);
    if (!member || member.hidden === hidden) return;
    member.hidden = hidden;
    this.#marked(user, chat);
  }

  /** @param {number} user @param {any} packet */
  page(user, packet) {
    const chat = this.chats.get(packet.chat_id);
    if (!chat?.members.has(user)) return undefined;
    const { before_seq: before, after_seq: after, limit = 50 } = packet;
    const found = chat.events.filter((event) => (before === undefined || event.seq < before) && (after === undefined || event.seq > after));
    const count = Math.min(limit, this.pageMax);
    const events = after === undefined ? found.slice(-count) : found.slice(0, count);
    return { packet_type: 'Events', chat_id: chat.id, events: events.map(copied), has_more: found.length > count, as_of: chat.last };
  }

  /** Drops the pushes of a session that reads too slowly. @param {ModelSession} session */
  limit(session) {
    if (!session.welcomed || session.isLimited) return;
    session.isLimited = true;
    for (const id of session.live.keys()) session.live.set(id, false);
    session.catching.clear();
    session.push({ packet_type: 'Limited' });
  }

  /** @param {ModelSession} session @param {number} id */
  #replay(session, id) {
    const cursor = session.catching.get(id);
    if (cursor === undefined || session.isDead) return;
    session.catching.delete(id);
    const chat = this.chats.get(id);
    if (!chat?.members.has(session.user)) return session.push({ packet_type: 'Reset', chat_id: id });
    session.live.set(id, true);
    if (cursor > chat.last) return session.push({ packet_type: 'Reset', chat_id: id, head: chat.last });
    const missing = chat.events.filter((event) => event.seq > cursor);
    if (missing.length !== chat.last - cursor || missing.length > this.replayMax) {
      return session.push({ packet_type: 'Limited', chat_id: id, from: cursor + 1, head: chat.last });
    }
    for (const event of missing) session.push({ packet_type: 'Event', ...copied(event) });
    session.push({ packet_type: 'Synced', chat_id: id, seq: chat.last });
  }

  /** @param {number} user @param {(packet: any) => void} push @param {(packet: any) => void} answer @param {() => void} close @returns {ModelSession} */
  connect(user, push, answer, close) {
    const session = { user, push, answer, close, isDead: false, isLimited: false, welcomed: false, live: new Map(), catching: new Map() };
    this.sessions.add(session);
    return session;
  }

  /** @param {ModelSession} session */
  disconnect(session) {
    session.isDead = true;
    this.sessions.delete(session);
  }

  /** @param {ModelSession} session @param {any} packet */
  receive(session, packet) {
    const { request_id, packet_type: kind } = packet;
    const user = session.user;
    const chat = this.chats.get(packet.chat_id);
    const isIn = chat?.members.has(user) === true;
    /** @param {any} answer */
    const answer = (answer) => session.answer({ request_id, ...answer });
    const ack = (more = {}) => answer({ packet_type: 'Ack', success: true, ...more });
    /** @param {string} code @param {any} [more] */
    const nack = (code, more = {}) => answer({ packet_type: 'Ack', success: false, code, error: `refused: ${code}`, ...more });
    if (kind === 'Hello') {
      session.welcomed = true;
      for (const own of this.chats.values()) if (own.members.has(user)) session.live.set(own.id, true);
      return session.push({ packet_type: 'Welcome', request_id, user_id: user, username: `user${user}`, session_id: 1, epoch: this.epoch, heartbeat_ms: 30_000, max_frame_bytes: 65536, window: 64, ...this.list(user, 0) });
    }
    if (kind === 'Ping') {
      const own = [...this.chats.values()].filter((one) => one.members.has(user));
      return session.push({ packet_type: 'Pong', request_id, chats: own.length, heads_sum: own.reduce((sum, one) => sum + one.last, 0) });
    }
    if (kind === 'GetChats') return answer({ packet_type: 'Chats', ...this.list(user, packet.after_chat_id ?? 0) });
    if (kind === 'GetUsers') return answer({ packet_type: 'Users', people: packet.user_ids.map((/** @type {number} */ id) => ({ id, username: `user${id}`, display_name: '' })) });
    if (kind === 'Status') return ack({ status: packet.status, version: packet.version });
    if (kind === 'Resume') return this.#resume(session, packet, ack);
    if (kind === 'SendMessage') {
      const held = this.sent.get(`${user}:${packet.message.client_id}`);
      if (held) return held.original === packet.message.content ? ack({ message_id: held.id, seq: held.seq, duplicate: true }) : nack('client_id_reused');
      const refusal = this.refuse(packet);
      if (refusal && !refusal.after) return nack(refusal.code, refusal);
      if (!isIn || !chat) return nack('not_found');
      if (chat.archived) return nack('forbidden');
      const message = this.post(chat, user, { client_id: packet.message.client_id, content: packet.message.content });
      // Not a field of messages: a retry is compared with what was sent, not with a later edit.
      Object.defineProperty(message, 'original', { value: packet.message.content });
      return refusal ? nack(refusal.code, refusal) : ack({ message_id: message.id, seq: message.seq });
    }
    if (!isIn || !chat) return nack('not_found');
    if (kind === 'GetEvents') return answer(this.page(user, packet));
    if (kind === 'Mark') { this.mark(user, chat, packet.read_seq); return ack({ seq: chat.members.get(user)?.read }); }
    if (kind === 'MarkUnread') { this.markUnread(user, chat, packet.from_seq); return ack({ seq: chat.members.get(user)?.read }); }
    if (kind === 'Hide') { this.hide(user, chat, !packet.remove); return ack(); }
    const message = this.message(chat, packet.message_id);
    if (!message) return nack('not_found');
    const name = { EditMessage: 'edit', DeleteMessage: 'delete', React: packet.remove ? 'unreact' : 'react', Pin: packet.remove ? 'unpin' : 'pin' }[/** @type {string} */ (kind)];
    if (!name) return nack('bad_request');
    this.change(chat, user, message, name, packet.emoji ?? packet.message?.content);
    return ack({ message_id: message.id, seq: message.updated_seq ?? message.seq });
  }

  /** @param {ModelSession} session @param {any} packet @param {() => void} ack */
  #resume(session, packet, ack) {
    if (packet.epoch !== this.epoch) {
      ack();
      return session.push({ packet_type: 'Reset', epoch: this.epoch });
    }
    for (const [id, cursor] of Object.entries(packet.cursors)) {
      if (session.live.has(Number(id))) session.live.set(Number(id), false);
      session.catching.set(Number(id), Number(cursor));
      this.after(this.random() * 60, () => this.#replay(session, Number(id)));
    }
    session.isLimited = false;
    return ack();
  }
}

/** Returns an event with the current state of its message. @param {any} event */
function copied(event) {
  const { editing, ...rest } = event;
  const message = editing ?? rest.message;
  return JSON.parse(JSON.stringify(message ? { ...rest, message } : rest));
}

/** @param {any} message @param {number} user @param {string} emoji @param {boolean} on */
function react(message, user, emoji, on) {
  const list = message.reactions ?? [];
  const found = list.find((/** @type {any} */ reaction) => reaction.emoji === emoji);
  const has = found?.user_ids.includes(user) === true;
  if (has === on) return false;
  if (on && found) found.user_ids.push(user);
  else if (on) message.reactions = [...list, { emoji, user_ids: [user] }];
  else {
    found.user_ids = found.user_ids.filter((/** @type {number} */ id) => id !== user);
    message.reactions = list.filter((/** @type {any} */ reaction) => reaction.user_ids.length > 0);
    if (message.reactions.length === 0) delete message.reactions;
  }
  return true;
}
