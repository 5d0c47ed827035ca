// Sentences for screen readers about messages that arrive in the open chat: one a second. Pages of
// the history are not news.
import { cutText } from './row.js';
import { personName } from './person_name.js';

const NEWS_EVERY_MS = 1000;
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
  return count === 1 && only ? `${only.name}: ${only.text}` : `${count.toLocaleString()} new in ${chat}`;
}

/** @param {Context} ctx */
export function createNews(ctx) {
  let chatId = 0;
  let last = 0;
  let spokenAt = -Infinity;
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
    spokenAt = performance.now();
    waiting = [];
    count = 0;
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
      count += others.length;
      waiting = [...waiting, ...others.map((message) => ({ name: personName(ctx, message.sender_id), text: cutText(message.content, NEWS_TEXT_CHARS) }))].slice(-2);
      if (others.length > 0) timer ??= setTimeout(() => speak(chat), Math.max(0, spokenAt + NEWS_EVERY_MS - performance.now()));
      return others.length;
    },
  };
}
