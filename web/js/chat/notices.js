// The notifications of the user, newest first.

/** @typedef {import('./types.js').Notification} Notification */

/** The server keeps as many. */
const NOTICES_MAX = 400;
/** Kinds that count at the chat: they concern this user, not only the chat. */
const NOTICES_OF_MESSAGES = new Set(['mention', 'direct', 'reply', 'thread']);

export class NoticeList {
  constructor() {
    /** @type {Notification[]} */
    this.items = [];
    this.hasMore = false;
    /** Why the list did not load; '': it is loaded; undefined: not yet. @type {string | undefined} */
    this.problem = undefined;
  }

  /**
   * Adds notifications. An earlier copy of one that was read stays read.
   * @param {Notification[]} added
   */
  add(added) {
    const byId = new Map(this.items.map((item) => [item.id, item]));
    for (const item of added) {
      const held = byId.get(item.id);
      byId.set(item.id, held?.read_at && !item.read_at ? { ...item, read_at: held.read_at } : item);
    }
    this.items = [...byId.values()].sort((a, b) => b.id - a.id).slice(0, NOTICES_MAX);
  }

  /**
   * Takes the whole list of the server. Notifications above `newest` were pushed meanwhile.
   * @param {Notification[]} items
   * @param {number} newest the newest one when the list was requested
   */
  replace(items, newest) {
    const held = new Map(this.items.map((item) => [item.id, item]));
    this.items = this.items.filter((item) => item.id > newest);
    this.add(items.map((item) => {
      const read = held.get(item.id)?.read_at;
      return read && !item.read_at ? { ...item, read_at: read } : item;
    }));
  }

  /**
   * Marks notifications as read: one, those of a chat up to a seq, or all.
   * @param {{ notification_id?: number, chat_id?: number, seq?: number, read_at: string }} which
   * @returns {boolean} whether any was unread
   */
  read({ notification_id: id, chat_id: chat, seq, read_at: at }) {
    let changed = false;
    this.items = this.items.map((item) => {
      const isChosen = id !== undefined ? item.id === id
        : chat === undefined || (item.chat_id === chat && item.seq !== undefined && item.seq <= (seq ?? 0));
      if (!isChosen || item.read_at) return item;
      changed = true;
      return { ...item, read_at: at };
    });
    return changed;
  }

  /**
   * Removes the notifications for which `isGone` returns true.
   * @param {(item: Notification) => boolean} isGone
   */
  drop(isGone) {
    const before = this.items.length;
    this.items = this.items.filter((item) => !isGone(item));
    return this.items.length < before;
  }

  unread() {
    return this.items.reduce((count, item) => count + (item.read_at ? 0 : 1), 0);
  }

  /** The unread ones of each chat that messages caused. */
  mentions() {
    /** @type {Map<number, number>} */
    const counts = new Map();
    for (const item of this.items) {
      if (item.read_at || item.chat_id === undefined || !NOTICES_OF_MESSAGES.has(item.kind)) continue;
      counts.set(item.chat_id, (counts.get(item.chat_id) ?? 0) + 1);
    }
    return counts;
  }
}
