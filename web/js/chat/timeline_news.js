// Sentences for screen readers about messages that arrive in the open chat: one a second, and in a
// busy chat one in 10 seconds. Pages of the history are not news.
import { cutText } from './row.js';
import { personName } from './person_name.js';

const NEWS_EVERY_MS = 1000;
/** After so many sentences within this time, there is only one in this time. */
const NEWS_BUSY = 3;
const NEWS_BUSY_MS = 10_000;
/** The setting of this browser: `all`, `mentions` or `off`. */
export const NEWS_SETTING = 'announce';
const NEWS_TEXT_CHARS = 200;
/** Messages of one change that are read; of more, only their number matters. */
const NEWS_READ_MAX = 200;

/** @typedef {import('./types.js').Context} Context */
/** @typedef {import('./types.js').Message} Message */

/**
 * Returns the sentence of new messages: the text of one, the number of several.
 * @param {{ name: string, text: string }[]} messages
 * @param {number} count
 * @param {string} chat
 */
export function newsSentence(messages, count, chat) {
  const [only] = messages;
  return count === 1 && only ? `${only.name}: ${only.text}` : `${count.toLocaleString()} new messages in ${chat}`;
}

/** @param {Context} ctx */
export function createNews(ctx) {
  let chatId = 0;
  let last = 0;
  /** When the last sentences were spoken. @type {number[]} */
  let spoken = [];
  let isBusy = false;
  /** @type {{ name: string, text: string }[]} */
  let waiting = [];
  let count = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {string} chat */
  function speak(chat) {
    timer = undefined;
    if (count === 0) return;
    if (ctx.root.visibilityState === 'visible') ctx.announce(newsSentence(waiting, count, chat));
    const at = performance.now();
    const before = spoken.at(-1) ?? -Infinity;
    spoken = [...spoken, at].slice(-NEWS_BUSY);
    isBusy = (isBusy && at - before < 2 * NEWS_BUSY_MS) || (spoken.length === NEWS_BUSY && at - (spoken[0] ?? 0) <= NEWS_BUSY_MS);
    waiting = [];
    count = 0;
  }

  /** Returns whether the user wants a message to be announced. @param {Message} message */
  function isAnnounced({ content }) {
    const wanted = ctx.local.get(NEWS_SETTING);
    if (wanted === 'off') return false;
    if (wanted !== 'mentions' || ctx.store.chat(chatId)?.kind === 'direct') return true;
    return content.toLowerCase().split(`@${ctx.store.me.username.toLowerCase()}`).some((after, at) => at > 0 && !/^[\w-]/.test(after));
  }

  return {
    last: () => last,
    /** @param {number} id @param {number} seq the newest event */
    open(id, seq) {
      clearTimeout(timer);
      timer = undefined;
      [chatId, last, waiting, count] = [id, seq, [], 0];
    },
    /**
     * Takes the messages that arrived. Returns how many are of other users.
     * @param {string} chat
     */
    take(chat) {
      const { last: newest } = ctx.store.timeline(chatId);
      const events = ctx.store.events(chatId, Math.max(last + 1, newest - NEWS_READ_MAX), newest);
      last = newest;
      const others = /** @type {Message[]} */ (events.filter(({ kind, message }) => kind === 'message' && message && !message.deleted && message.sender_id !== ctx.store.me.id).map(({ message }) => message));
      const heard = others.filter(isAnnounced);
      count += heard.length;
      waiting = [...waiting, ...heard.map((message) => ({ name: personName(ctx, message.sender_id), text: cutText(message.content, NEWS_TEXT_CHARS) }))].slice(-2);
      const since = performance.now() - (spoken.at(-1) ?? -Infinity);
      if (heard.length > 0) timer ??= setTimeout(() => speak(chat), Math.max(0, (isBusy ? NEWS_BUSY_MS : NEWS_EVERY_MS) - since));
      return others.length;
    },
  };
}
