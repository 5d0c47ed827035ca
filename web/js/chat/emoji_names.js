// The emoji of shortcodes. Their table is in `emoji.js`, which is loaded when a text has a
// shortcode.

/** Filled by `emoji.js`. @type {Map<string, string>} */
export const EMOJI_CHARS = new Map();

let emojiMisses = 0;

/** Returns how many shortcodes were read before the table was there. */
export const missedEmoji = () => emojiMisses;

/**
 * Returns the emoji of a shortcode, without its colons; '' if there is none.
 * @param {string} name
 */
export function emojiOf(name) {
  if (EMOJI_CHARS.size === 0) emojiMisses += 1;
  return EMOJI_CHARS.get(name.toLowerCase()) ?? '';
}
