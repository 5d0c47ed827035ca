// Finds the options for a word of the composer: members and other users, chats, emoji, commands.

import { folded } from '../kit/folded.js';
import { OPTIONS_MAX } from './complete.js';
import { commandsLike } from './commands.js';
import { emojiLike } from './emoji.js';

/** @typedef {import('./types.js').Context} Context */
/** @typedef {import('./complete.js').Option} Option */

/** The pause of typing (milliseconds) before the server is asked for users. */
const USERS_DELAY_MS = 150;

/** A name that `#name` can express. Others become links. */
const PLAIN_CHAT_NAME = /^[\p{L}\p{N}](?:[\p{L}\p{N}\p{M}._/-]*[\p{L}\p{N}\p{M}])?$/u;

/**
 * @param {Context} ctx
 * @param {ReturnType<typeof import('./members.js').membersOf>} members
 * @param {() => number} chatId
 */
export function composerOptions(ctx, members, chatId) {
  let timer = 0;

  /** @param {string} query @param {(options: Option[]) => void} more */
  function users(query, more) {
    const chat = ctx.store.chat(chatId());
    if (!chat) return [];
    const known = () => {
      const found = membersLike(ctx, members.people(chat.id), query).map(userOption);
      const isAll = chat.kind !== 'direct' && query !== '' && 'all'.startsWith(query.toLowerCase());
      return isAll ? [...found.slice(0, OPTIONS_MAX - 1), { insert: '@all ', name: '@all', about: 'all members' }] : found;
    };
    clearTimeout(timer);
    /** @type {import('./types.js').User[]} */
    let found = [];
    const all = () => {
      const own = known();
      const others = found.filter(({ id, username }) => id !== ctx.store.me.id && !own.some((option) => option.name === `@${username}`));
      return [...own, ...others.map((user) => ({ ...userOption(user), about: aboutOther(members, chat.id, user) }))];
    };
    void members.load(chat.id, true).then(() => more(all())); // Without an answer the known members remain.
    if (query !== '') {
      timer = window.setTimeout(async () => {
        found = await ctx.actions.findUsers(query).catch(() => []); // The members remain, and the next key asks again.
        more(all());
      }, USERS_DELAY_MS);
    }
    return all();
  }

  /** @param {string} query */
  function chats(query) {
    const wanted = folded(query);
    const begins = (/** @type {import('./types.js').Chat} */ { name = '' }) => Number(folded(name).startsWith(wanted));
    const found = ctx.store.chats().filter(({ name }) => name !== undefined && folded(name).includes(wanted));
    found.sort((one, other) => begins(other) - begins(one));
    return found.slice(0, OPTIONS_MAX).map(({ id, name = '', kind }) => ({
      insert: PLAIN_CHAT_NAME.test(name) ? `#${name} ` : `[#${name.replace(/[[\]]/g, '')}](/chat/${id}) `, name: `#${name}`, about: kind,
    }));
  }

  /**
   * @param {import('./completed.js').Completed} word
   * @param {(options: Option[]) => void} more
   * @returns {Option[]}
   */
  return ({ trigger, query }, more) => {
    clearTimeout(timer);
    if (trigger === '@') return users(query.replace(/\+.*/, ''), more);
    if (trigger === '#') return chats(query);
    if (trigger === ':') return emojiLike(query, OPTIONS_MAX).map(({ name, char }) => ({ insert: `${char} `, name: `:${name}:`, sign: char }));
    const chat = ctx.store.chat(chatId());
    return chat ? commandsLike(chat, query).map(({ name, usage, about }) => ({ insert: `/${name} `, name: `/${name} ${usage}`.trim(), about })) : [];
  };
}

/** @param {{ username: string, display_name: string }} user @returns {Option} */
const userOption = ({ username, display_name }) => ({ insert: `@${username} `, name: `@${username}`, about: display_name });

/**
 * @param {ReturnType<typeof import('./members.js').membersOf>} members
 * @param {number} chatId
 * @param {import('./types.js').User} user
 */
function aboutOther(members, chatId, { username, display_name }) {
  const isOutside = members.find(chatId, username) === null;
  return [display_name, isOutside ? 'not in this chat' : ''].filter(Boolean).join(' · ');
}

/**
 * Returns members whose user name or a word of whose display name begins with a text.
 * @param {Context} ctx
 * @param {import('./types.js').Participant[]} people
 * @param {string} begin
 * @returns {{ username: string, display_name: string }[]}
 */
export function membersLike({ store }, people, begin) {
  const wanted = folded(begin);
  const found = [];
  for (const { username, user_id } of people) {
    if (user_id === store.me.id) continue;
    const { display_name = '' } = store.user(user_id);
    const isLike = username.startsWith(wanted) || folded(display_name).split(/\s+/).some((word) => word.startsWith(wanted));
    if (isLike) found.push({ username, display_name });
    if (found.length >= OPTIONS_MAX) break;
  }
  return found;
}
