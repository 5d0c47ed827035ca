// Finds the things that names in a text refer to, from the facts of the store.
import { membersOf } from './members.js';
import { parseText, renderText } from './markdown.js';

/** A longer message is folded: characters, lines. */
const TEXT_FOLD_CHARS = 2400;
const TEXT_FOLD_LINES = 30;
/** Lines that are read as markup; further ones are shown as they are. */
const TEXT_LINES_MAX = 1000;

/** @typedef {import('./types.js').Context} Context */

/** @param {string} content @param {number} count */
function firstLines(content, count) {
  let end = -1;
  for (let n = 0; n < count; n += 1) {
    end = content.indexOf('\n', end + 1);
    if (end < 0) return content;
  }
  return content.slice(0, end);
}

/**
 * Returns what is read and drawn of a message that is folded; the same text if it is short.
 * @param {string} content
 */
export function foldedText(content) {
  return firstLines(content, TEXT_FOLD_LINES).slice(0, TEXT_FOLD_CHARS).replace(/[\ud800-\udbff]$/, '');
}

/**
 * Returns the names that a text can refer to. Members whom this page does not know may exist.
 * @param {Context} ctx
 * @param {number} chatId
 */
function textContext(ctx, chatId) {
  const { store } = ctx;
  // A copy of the lists serves all names of a text.
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
  const shown = firstLines(content, TEXT_LINES_MAX);
  const tree = parseText(shown);
  const isCut = shown.length < content.length;
  if (isCut) tree.push({ type: 'paragraph', children: [{ type: 'text', text: content.slice(shown.length + 1) }] });
  const nodes = renderText(tree, textContext(ctx, chatId));
  if (isCut) nodes.lastElementChild?.classList.add('plain-lines');
  return nodes;
}
