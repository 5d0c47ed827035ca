// The participants of chats, as far as texts need them: names to complete, names that are
// mentions, own role.

/** @typedef {import('./types.js').Participant} Participant */

/** Maximum pages of participants that are read for a chat. */
const MEMBER_PAGES_MAX = 10;
/** After this time (milliseconds) the participants are read again. */
const MEMBERS_FRESH_MS = 120_000;

/**
 * @typedef {object} Members
 * @property {Map<string, Participant>} people
 * @property {string | null | undefined} next the cursor of the next page; null after the last one
 * @property {number} pages that were read
 * @property {number} read_at
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

  /**
   * Reads pages until the own role is known, or all of them.
   * @param {number} chatId
   * @param {Members} members
   * @param {boolean} isAll
   */
  async function read(chatId, members, isAll) {
    if (now() - members.read_at >= MEMBERS_FRESH_MS) {
      const { items, next } = await actions.participants(chatId);
      members.people = new Map(items.map((person) => [person.username, person]));
      Object.assign(members, { next: next ?? null, pages: 1, read_at: now() });
    }
    while (members.next && members.pages < MEMBER_PAGES_MAX && (isAll || !members.people.has(store.me.username))) {
      const { items, next } = await actions.participants(chatId, members.next);
      for (const person of items) members.people.set(person.username, person);
      members.next = next ?? null;
      members.pages += 1;
    }
  }

  return {
    /**
     * Reads the participants unless they were read a short time ago. Without an answer the known
     * ones remain.
     * @param {number} chatId
     * @param {boolean} [isAll] false: the first page, and more only to find the own role
     * @returns {Promise<void>}
     */
    async load(chatId, isAll = false) {
      const members = chats.get(chatId) ?? { people: new Map(), next: undefined, pages: 0, read_at: -Infinity, reading: null };
      chats.set(chatId, members);
      await members.reading;
      members.reading ??= read(chatId, members, isAll).catch(() => {}).finally(() => { members.reading = null; });
      await members.reading;
    },

    /** @param {number} chatId */
    forget(chatId) {
      const members = chats.get(chatId);
      if (members) members.read_at = -Infinity;
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
