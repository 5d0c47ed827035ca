// The mentions of a text as the server finds them, from the parts that the program highlights.
import { Meter, blocksOf, candidatesOf, tokensOf } from '../../../web/js/chat/mention.js';

/**
 * Returns the mentions of a text.
 * @param {string} text
 * @param {Meter} [meter]
 * @returns {{ all: boolean, names: string[] }} `names` in the order of the text, each once, without
 *   punctuation at the end
 */
export function mentionsOf(text, meter = new Meter()) {
  const names = new Set();
  let all = false;
  for (const block of blocksOf(text, meter)) {
    if (block.kind !== 'paragraph') continue;
    for (const token of tokensOf(block.text, meter)) {
      if (token.kind !== 'name') continue;
      const name = candidatesOf(token.inner).at(-1);
      if (name === 'all') all = true;
      else if (name !== undefined) names.add(name);
    }
  }
  return { all, names: [...names] };
}
