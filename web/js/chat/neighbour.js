// The chat beside the open one in the list of chats.

/** @typedef {import('./types.js').Chat} Chat */
/** @typedef {import('./sections.js').Section} Section */

/**
 * Returns the chat that is `step` rows from the open one; with `isWanted` only such chats count.
 * @param {Section[]} sections
 * @param {number | undefined} open
 * @param {1 | -1} step
 * @param {(chat: Chat) => boolean} [isWanted]
 * @returns {Chat | undefined}
 */
export function neighbour(sections, open, step, isWanted = () => true) {
  const all = sections.flatMap((section) => section.chats);
  const at = all.findIndex((chat) => chat.id === open);
  const start = at < 0 && step < 0 ? 0 : at;
  for (let n = 1; n <= all.length; n += 1) {
    const chat = all[(start + n * step + all.length * n) % all.length];
    if (chat && chat.id !== open && isWanted(chat)) return chat;
  }
  return undefined;
}
