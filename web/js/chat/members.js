// The participants of chats, as far as texts need them: names to complete, names that are
// mentions, own role.

/** @typedef {import('./types.js').Participant} Participant */

/** Maximum pages of participants that are read for a chat. */
const MEMBER_PAGES_MAX = 10;
/** After this time (milliseconds) the participants are read again. */
const MEMBERS_FRESH_MS = 120_000;

/** @typedef {{ people: Map<string, Participant>, complete: boolean, read_at: number, reading: Promise<void> | null }} Members */

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

  /** @param {number} chatId @param {Members} members */
  async function read(chatId, members) {
    /** @type {Map<string, Participant>} */
    const people = new Map();
    /** @type {string | null | undefined} */
    let cursor;
    for (let page = 0; page < MEMBER_PAGES_MAX; page += 1) {
      const { items, next } = await actions.participants(chatId, cursor ?? undefined);
      for (const person of items) people.set(person.username, person);
      cursor = next;
      if (!next) break;
    }
    members.people = people;
    members.complete = !cursor;
    members.read_at = now();
  }

  return {
    /**
     * Reads the participants unless they were read a short time ago. Without an answer the known
     * ones remain.
     * @param {number} chatId
     * @returns {Promise<void>}
     */
    load(chatId) {
      const members = chats.get(chatId) ?? { people: new Map(), complete: false, read_at: -Infinity, reading: null };
      chats.set(chatId, members);
      if (now() - members.read_at < MEMBERS_FRESH_MS) return Promise.resolve();
      members.reading ??= read(chatId, members).catch(() => {}).finally(() => { members.reading = null; });
      return members.reading;
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
      return members?.people.get(username) ?? (members?.complete ? null : undefined);
    },

    /**
     * Returns members whose user name or a word of whose display name begins with a text.
     * @param {number} chatId
     * @param {string} begin
     * @param {number} limit
     * @returns {{ username: string, display_name: string }[]}
     */
    like(chatId, begin, limit) {
      const wanted = begin.toLowerCase();
      const found = [];
      for (const { username, user_id } of chats.get(chatId)?.people.values() ?? []) {
        if (user_id === store.me.id) continue;
        const { display_name = '' } = store.user(user_id);
        const isLike = username.startsWith(wanted) || display_name.toLowerCase().split(/\s+/).some((word) => word.startsWith(wanted));
        if (isLike) found.push({ username, display_name });
        if (found.length >= limit) break;
      }
      return found;
    },
  };
}
