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
  /** @param {string} name */
  const user = (name) => store.users().find((known) => known.username === name && !known.missing);
  return {
    me: store.me,
    person: (/** @type {string} */ name) => membersOf(ctx).find(chatId, name),
    chat: (/** @type {string} */ name) => store.chats().find((chat) => chat.name === name) ?? null,
    // Three words with slashes are a repository only if the first is a user.
    repository: (/** @type {string} */ path, /** @type {string} */ oid) => {
      const owner = path.split('/')[0] ?? '';
      if (!path.includes('/') || (oid === '' && !user(owner))) return null;
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
