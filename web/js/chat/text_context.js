// What names in a text refer to, from the facts of the store.
import { membersOf } from './members.js';
import { parseText, renderText } from './markdown.js';

/** @typedef {import('./types.js').Context} Context */

/**
 * Returns the names that a text can refer to. Members whom this page does not know may exist.
 * @param {Context} ctx
 * @param {number} chatId
 */
export function textContext(ctx, chatId) {
  const { store } = ctx;
  // One copy of the lists for all names of a text.
  /** @type {Set<string> | undefined} */
  let names;
  /** @type {Map<string | null | undefined, import('./types.js').Chat> | undefined} */
  let chats;
  /** @param {string} name */
  const isUser = (name) => (names ??= new Set(store.users().map((user) => user.username))).has(name);
  return {
    me: store.me,
    person: (/** @type {string} */ name) => membersOf(ctx).find(chatId, name),
    chat: (/** @type {string} */ name) => (chats ??= new Map(store.chats().toReversed().map((chat) => [chat.name, chat]))).get(name) ?? null,
    // Three words with slashes are a repository only if the first is a user.
    repository: (/** @type {string} */ path, /** @type {string} */ oid) => {
      const owner = path.split('/')[0] ?? '';
      if (!path.includes('/') || (oid === '' && !isUser(owner))) return null;
      return oid === '' ? `/${path}` : `/${path}/-/commit/${oid}`;
    },
  };
}

/**
 * Returns the text of a message as nodes.
 * @param {string} content
 * @param {Context} ctx
 * @param {number} chatId
 */
export function textNodes(content, ctx, chatId) {
  return renderText(parseText(content), textContext(ctx, chatId));
}
