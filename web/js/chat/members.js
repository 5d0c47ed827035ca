// The participants of chats, as far as texts need them: names to complete, names that are
// mentions, own role.

/** @typedef {import('./types.js').Participant} Participant */

/** Maximum pages of participants that are read for a chat. */
const MEMBER_PAGES_MAX = 10;
/** After this time (milliseconds) the participants are read again. */
const MEMBERS_FRESH_MS = 120_000;
/** After changes the participants are read again at most this often (milliseconds). */
const MEMBERS_AGAIN_MS = 30_000;
/** Chats whose participants are remembered. */
const MEMBER_CHATS_MAX = 50;

/**
 * @typedef {object} Members
 * @property {Map<string, Participant>} people
 * @property {string | null | undefined} next the cursor of the next page; null: all are known
 * @property {number} pages that were read
 * @property {number} read_at
 * @property {number} seen the changes up to this seq are applied
 * @property {Promise<void> | null} reading
 */

/** @type {WeakMap<import('./types.js').StoreReads, ReturnType<typeof createMembers>>} */
const membersOfStores = new WeakMap();

/**
 * Returns the participants that all views share.
 * @param {import('./types.js').Context} ctx
 */
export function membersOf(ctx) {
  const known = membersOfStores.get(ctx.store) ?? createMembers(ctx);
  membersOfStores.set(ctx.store, known);
  return known;
}

/** @param {import('./types.js').Context} ctx */
function createMembers({ actions, store, now }) {
  /** @type {Map<number, Members>} */
  const chats = new Map();

  /** The clock may go back, too. @param {Members} members @param {number} ms */
  const isOlder = (members, ms) => Math.abs(now() - members.read_at) >= ms;

  /**
   * Reads the first page, and that of the own role; or all of them.
   * @param {number} chatId
   * @param {Members} members
   * @param {boolean} isAll
   */
  async function read(chatId, members, isAll) {
    /** @param {string} [cursor] */
    const page = async (cursor) => {
      const { items, next } = await actions.participants(chatId, cursor);
      if (cursor === undefined) members.people = new Map();
      for (const person of items) members.people.set(person.username, person);
      return next ?? null;
    };
    if (isOlder(members, MEMBERS_FRESH_MS)) {
      const seen = store.timeline(chatId).last;
      Object.assign(members, { next: await page(), pages: 1, read_at: now(), seen });
    }
    while (isAll && members.next && members.pages < MEMBER_PAGES_MAX) {
      members.next = await page(members.next);
      members.pages += 1;
    }
    // Participants are sorted by id, and the cursor is an id.
    if (members.next && !members.people.has(store.me.username)) await page(String(store.me.id - 1));
  }

  return {
    /**
     * Reads the participants unless they were read a short time ago. Without an answer the known
     * ones remain.
     * @param {number} chatId
     * @param {boolean} [isAll] false: the first page, and that of the own role
     * @returns {Promise<void>}
     */
    async load(chatId, isAll = false) {
      const members = chats.get(chatId) ?? { people: new Map(), next: undefined, pages: 0, read_at: -Infinity, seen: 0, reading: null };
      chats.delete(chatId);
      chats.set(chatId, members);
      const [oldest] = chats.keys();
      if (chats.size > MEMBER_CHATS_MAX && oldest !== undefined) chats.delete(oldest);
      await members.reading;
      members.reading ??= read(chatId, members, isAll).catch(() => {}).finally(() => { members.reading = null; });
      await members.reading;
    },

    /**
     * Applies changes that arrived. The next `load` reads again if the last one is a while ago.
     * @param {number} chatId
     */
    forget(chatId) {
      const members = chats.get(chatId);
      if (!members) return;
      const { last } = store.timeline(chatId);
      for (const { kind, user_id: id, role } of store.events(chatId, members.seen + 1, last)) {
        if (id === undefined || !['join', 'leave', 'role'].includes(kind)) continue;
        const held = [...members.people.values()].find((person) => person.user_id === id);
        if (held && kind === 'leave') members.people.delete(held.username);
        if (kind === 'leave') continue;
        const { username, missing = false } = held ? { ...held, missing: false } : store.user(id);
        if (missing) members.next ??= '';
        else members.people.set(username, { user_id: id, username, read_seq: 0, delivered_seq: 0, ...held, role: role ?? held?.role ?? 'member' });
      }
      members.seen = last;
      if (isOlder(members, MEMBERS_AGAIN_MS)) members.read_at = -Infinity;
    },

    /** @param {number} chatId */
    ownRole: (chatId) => store.chat(chatId)?.role ?? chats.get(chatId)?.people.get(store.me.username)?.role,

    /**
     * Returns names of owners to ask.
     * @param {number} chatId
     */
    owners: (chatId) => [...chats.get(chatId)?.people.values() ?? []].filter(({ role }) => role === 'owner').map(({ username }) => username).slice(0, 3),

    /**
     * Returns a member; null if there is none of this name, undefined if it is not known.
     * @param {number} chatId
     * @param {string} username
     * @returns {{ username: string } | null | undefined}
     */
    find(chatId, username) {
      const chat = store.chat(chatId);
      if (chat?.kind === 'direct') return username === chat.peer || username === store.me.username ? { username } : null;
      const members = chats.get(chatId);
      return members?.people.get(username) ?? (members?.next === null ? null : undefined);
    },

    /** Returns the members that are known. @param {number} chatId */
    people: (chatId) => [...chats.get(chatId)?.people.values() ?? []],
  };
}
