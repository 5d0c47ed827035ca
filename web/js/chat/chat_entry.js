// The counts of one chat: what is read, and how many messages are unread, by the server's rules.
//
// `counted` is the seq up to which `unread` is right: events up to it do not change the count.

/** @typedef {import('./types.js').Event} Event */
/** @typedef {import('./types.js').Chat} Chat */

/** Messages of other users that may be deleted while they are unread. */
const ENTRY_RECENT_MAX = 300;
/** Effects of events on the counts, for lists that are older than the newest event. */
const ENTRY_EFFECTS_MAX = 300;

export class ChatEntry {
  /** @param {number} id @param {number} last */
  constructor(id, last) {
    this.id = id;
    /** Everything up to here is applied. */
    this.last = last;
    /** The newest seq that the server named. */
    this.head = last;
    /** Whether a list named the chat. Others are not shown. */
    this.isListed = false;
    /** @type {Partial<Chat>} */
    this.fields = { kind: 'group' };
    /** @type {import('./types.js').Role | undefined} */
    this.role = undefined;
    this.read = 0;
    this.unread = 0;
    this.counted = last;
    /** The seq of the last exact count: of messages up to it the server counted the present ones. */
    this.exact = last;
    /** The effects of events above `effectsFrom` on the counts. @type {{ seq: number, unread: number, read: number }[]} */
    this.effects = [];
    this.effectsFrom = last;
    /** The seq of the list from which the fields are; then those of later changes. */
    this.fieldsAt = 0;
    this.nameAt = 0;
    this.archivedAt = 0;
    this.messageAt = 0;
    /** The seq as of which `hidden` is: a later message shows the chat again. */
    this.hiddenAt = 0;
    /** The newest message of another user among the events above `otherFrom`. */
    this.otherAt = 0;
    this.otherFrom = last;
    /** Messages of other users by id. @type {Map<number, { seq: number, isCounted: boolean }>} */
    this.recent = new Map();
    /** @type {Map<number, { read_seq: number, delivered_seq: number }>} */
    this.marks = new Map();
    /**
     * Users who type, with the time until which that is shown; users whose message arrived, with the
     * negative time of it.
     * @type {Map<number, number>}
     */
    this.typing = new Map();
    /** The number of own marks when the cursor moved last. */
    this.markedAt = 0;
    /** The number of own marks when the avatar was announced last. */
    this.avatarAt = 0;
    /** @type {Chat | undefined} */
    this.view = undefined;
  }

  /**
   * Takes a chat of a list.
   * @param {Chat} chat
   * @param {number} token the number of own marks when the list was requested
   * @returns {boolean} whether the counts were taken
   */
  learn(chat, token) {
    const isFirst = !this.isListed;
    this.isListed = true;
    this.view = undefined;
    this.head = Math.max(this.head, chat.last_seq);
    this.#describe(chat, token);
    return this.#recount(chat, isFirst && this.markedAt > token ? this.markedAt : token) && this.markedAt <= token;
  }

  /**
   * Takes the fields of a list, except for those that a later event changed.
   * @param {Chat} chat
   * @param {number} token
   */
  #describe(chat, token) {
    const { id: _, last_seq: at, read_seq: __, unread_count: ___, ...fields } = chat;
    if (at < this.fieldsAt) return;
    if (this.nameAt > at) fields.name = this.fields.name;
    if (this.archivedAt > at) fields.archived = this.fields.archived;
    if (this.avatarAt > token) fields.avatar = this.fields.avatar;
    if (this.markedAt > token) fields.hidden = this.fields.hidden;
    else this.hiddenAt = at;
    if (this.messageAt > this.hiddenAt) fields.hidden = undefined;
    this.fields = fields;
    this.fieldsAt = at;
  }

  /** @param {string | undefined} version @param {number} token the number of own marks, with this announcement */
  show(version, token) {
    this.fields = { ...this.fields, avatar: version };
    this.avatarAt = token;
    this.view = undefined;
  }

  /** Takes a new name or state of the chat. @param {Event} event */
  change(event) {
    if (event.seq <= this.fieldsAt) return;
    if (event.kind === 'rename') {
      this.fields = { ...this.fields, name: event.name };
      this.nameAt = event.seq;
    } else if (event.kind === 'archive') {
      this.fields = { ...this.fields, archived: event.archived || undefined };
      this.archivedAt = event.seq;
    }
  }

  /**
   * Takes the counts of a list, and adds the effects of later events.
   * @param {Chat} chat
   * @param {number} token
   */
  #recount(chat, token) {
    const at = chat.last_seq;
    if (this.markedAt > token || at < this.effectsFrom) return false;
    const later = this.effects.filter((effect) => effect.seq > at);
    const unread = later.reduce((sum, effect) => sum + effect.unread, chat.unread_count);
    if (Number.isNaN(unread)) return false;
    this.read = later.reduce((read, effect) => Math.max(read, effect.read), chat.read_seq);
    this.unread = Math.max(0, unread);
    this.exact = at;
    this.counted = Math.max(this.counted, at);
    return true;
  }

  /**
   * Moves the own cursor as the server pushed it.
   * @param {number} read
   * @param {number | undefined} unread
   * @param {number} token
   * @param {boolean | undefined} hidden
   * @param {boolean} isLive false: the count is of a later seq than `last`
   * @returns {boolean} whether the counts are certain
   */
  mark(read, unread, token, hidden, isLive) {
    this.view = undefined;
    this.read = read;
    this.markedAt = token;
    if (unread === undefined) return true;
    this.unread = unread;
    this.fields = { ...this.fields, hidden: hidden || undefined };
    this.hiddenAt = isLive ? this.last : Infinity;
    if (!isLive) return false;
    this.exact = this.last;
    this.counted = this.last;
    return true;
  }

  /**
   * Applies the next event to the counts.
   * @param {Event} event
   * @param {number} me
   * @returns {boolean} whether the counts are certain; otherwise the server must count
   */
  count(event, me) {
    this.view = undefined;
    this.last = event.seq;
    this.head = Math.max(this.head, event.seq);
    const before = { unread: this.unread, read: this.read };
    const isNew = event.seq > this.counted;
    if (isNew) this.counted = event.seq;
    // Without a list nothing is known of what was unread before.
    const isPlain = this.isListed || !(event.kind === 'delete' || event.kind === 'trim' || event.message?.sender_id === me);
    const isCertain = this.#effect(event, isNew, me) && isPlain;
    if (isNew) this.#noted(event.seq, isCertain ? this.unread - before.unread : Number.NaN, this.read > before.read ? this.read : 0);
    return isCertain;
  }

  /** @param {number} seq @param {number} unread @param {number} read */
  #noted(seq, unread, read) {
    if (unread === 0 && read === 0) return;
    this.effects.push({ seq, unread, read });
    if (this.effects.length > ENTRY_EFFECTS_MAX) this.effectsFrom = this.effects.shift()?.seq ?? seq;
  }

  /**
   * @param {Event} event
   * @param {boolean} isNew
   * @param {number} me
   */
  #effect(event, isNew, me) {
    if (event.kind === 'message' && event.message) return this.#message(event.message, isNew, me);
    if (event.kind === 'delete') return this.#deleted(event.message_id ?? 0, isNew);
    if (event.kind === 'trim') return this.#trimmed(event.to_seq ?? 0, isNew);
    return true;
  }

  /**
   * @param {import('./types.js').Message} message
   * @param {boolean} isNew
   * @param {number} me
   */
  #message(message, isNew, me) {
    this.messageAt = message.seq;
    if (this.fields.hidden && message.seq > this.hiddenAt) this.fields = { ...this.fields, hidden: undefined };
    const isOwn = message.sender_id === me;
    const isCounted = !isOwn && (message.seq <= this.exact || !message.deleted);
    this.recent.set(message.id, { seq: message.seq, isCounted });
    const [oldest] = this.recent.keys();
    if (this.recent.size > ENTRY_RECENT_MAX && oldest !== undefined) this.recent.delete(oldest);
    if (isOwn) return this.#own(message, isNew);
    if (isNew && isCounted && message.seq > this.read) this.unread += 1;
    this.otherAt = message.seq;
    return true;
  }

  /**
   * An own message moves the cursor unless a message of another user stands before it.
   * @param {import('./types.js').Message} message
   * @param {boolean} isNew
   */
  #own(message, isNew) {
    if (!isNew || message.seq <= this.read || this.unread > 0 || this.otherAt > this.read) return true;
    const isCertain = this.otherFrom <= this.read;
    this.read = message.seq;
    return isCertain;
  }

  /** @param {number} id @param {boolean} isNew */
  #deleted(id, isNew) {
    const message = this.recent.get(id);
    if (!isNew || this.unread === 0) return true;
    if (!message) return false;
    if (message.isCounted && message.seq > this.read) this.unread -= 1;
    this.recent.set(id, { ...message, isCounted: false });
    return true;
  }

  /** @param {number} to @param {boolean} isNew */
  #trimmed(to, isNew) {
    if (this.otherAt <= to) {
      this.otherAt = 0;
      this.otherFrom = this.last;
    }
    return !isNew || to <= this.read || this.unread === 0;
  }

  /**
   * Events up to `head` were skipped. Returns whether the counts are certain.
   * @param {number} head
   */
  skip(head) {
    this.view = undefined;
    this.last = head;
    this.head = Math.max(this.head, head);
    this.otherFrom = head;
    this.otherAt = 0;
    this.recent.clear();
    this.effects = [];
    this.effectsFrom = head;
    const isCertain = this.counted >= head;
    this.counted = Math.max(this.counted, head);
    return isCertain;
  }

  /** @returns {Chat} */
  chat() {
    this.view ??= /** @type {Chat} */ ({
      ...this.fields, id: this.id, last_seq: this.last, read_seq: this.read, unread_count: this.unread,
      ...(this.role ? { role: this.role } : {}),
    });
    return this.view;
  }
}
