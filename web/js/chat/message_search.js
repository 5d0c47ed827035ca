// Searches messages while a user types: at most one request at once, and only answers to the present
// text are kept. No DOM.

/** The time without a key after which a text is searched for. */
const SEARCH_DELAY_MS = 250;
/** Hits that the switcher shows. */
export const SEARCH_HITS_MAX = 5;
/** Characters before the first match in a line. */
const SEARCH_BEFORE = 24;

/** @typedef {{ id: number, kind: 'direct' | 'group' | 'channel', name?: string, peer?: string, project_id?: number }} FoundChat */
/** @typedef {{ chat: FoundChat, message_id: number, seq: number, sender: string, excerpt: string, highlights?: [number, number][] }} MessageHit */
/** @typedef {{ text: string, hits: readonly MessageHit[], problem: unknown, isDone: boolean }} Searched */

/** @type {Searched} */
const NOT_SEARCHED = { text: '', hits: [], problem: null, isDone: false };

/**
 * @param {object} parts
 * @param {(text: string) => Promise<readonly MessageHit[]>} parts.ask
 * @param {(ms: number, fn: () => void) => () => void} parts.after calls a function later; returns how to prevent it
 * @param {() => void} parts.changed
 */
export function createMessageSearch({ ask, after, changed }) {
  let state = NOT_SEARCHED;
  let isRunning = false;
  /** The pause after the last key is over. */
  let isDue = false;
  let cancel = () => {};

  async function start() {
    if (isRunning || !isDue) return;
    const { text } = state;
    isRunning = true;
    isDue = false;
    /** @type {Pick<Searched, 'hits' | 'problem'>} */
    const answer = await ask(text).then((hits) => ({ hits, problem: null }), (problem) => ({ hits: [], problem }));
    isRunning = false;
    if (text === state.text && !isDue) {
      state = { text, ...answer, isDone: true };
      changed();
    }
    void start();
  }

  return {
    /** Returns what is known about the present text. */
    state: () => state,
    /**
     * Searches for a text after a pause; '' ends the search.
     * @param {string} text
     */
    want(text) {
      if (text === state.text) return;
      cancel();
      isDue = false;
      state = { ...NOT_SEARCHED, text };
      cancel = text === '' ? () => {} : after(SEARCH_DELAY_MS, () => {
        isDue = !state.isDone;
        void start();
      });
    },
  };
}

/**
 * Returns the filter that limits a search to a chat.
 * @param {FoundChat} chat
 */
export function chatFilter(chat) {
  if (chat.kind === 'direct' && chat.peer) return `in:@${chat.peer}`;
  // Several groups may have one name.
  if (chat.kind === 'channel' && chat.name && !/[\s"\u201c-\u201e]/.test(chat.name)) return `in:#${chat.name}`;
  return `in:!${chat.id}`;
}

/**
 * Returns the chat of a hit as the filter `in:` names it.
 * @param {FoundChat} chat
 */
export function hitPlace(chat) {
  if (chat.kind === 'direct' && chat.peer) return `@${chat.peer}`;
  if (!chat.name) return `chat ${chat.id}`;
  return chat.kind === 'channel' && chat.project_id === undefined ? `#${chat.name}` : chat.name;
}

/**
 * Splits an excerpt into the parts of one line; its first match is near the beginning.
 * @param {Pick<MessageHit, 'excerpt' | 'highlights'>} hit
 * @returns {{ text: string, isMatch: boolean }[]}
 */
export function excerptLine({ excerpt, highlights = [] }) {
  const chars = [...excerpt.replace(/\s/g, ' ')];
  let at = Math.max(0, (highlights[0]?.[0] ?? 0) - SEARCH_BEFORE);
  const parts = at > 0 ? [{ text: '…', isMatch: false }] : [];
  const push = (/** @type {number} */ to, /** @type {boolean} */ isMatch) => {
    if (to > at) parts.push({ text: chars.slice(at, to).join(''), isMatch });
    at = Math.max(at, to);
  };
  for (const [from, to] of highlights) {
    if (from < at || to > chars.length) continue;
    push(from, false);
    push(to, true);
  }
  push(chars.length, false);
  return parts;
}
