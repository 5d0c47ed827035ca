// The space of the code cards of a message, until `code_card.js` is loaded and fills it.
import { el } from '../kit/dom.js';
import { later } from './later.js';

/** Addresses of lines of a file, as `code_card.js` reads them. */
const CODE_SPACE_LINK = /\/-\/blob\/[^\s<>()]+#L(\d+)(?:-L?(\d+))?/g;
/** Lines that a card shows, and cards of a message. */
const CODE_SPACE_LINES_MAX = 12;
const CODE_SPACE_CARDS_MAX = 3;

/**
 * Returns an element as high as the code cards of a message, which replace it.
 * @param {import('./types.js').Message} message
 * @param {import('./types.js').Context} ctx
 * @returns {HTMLElement[]}
 */
export function codeSpace(message, ctx) {
  const counts = [...message.content.matchAll(CODE_SPACE_LINK)].map(([, from, to = from]) => Math.abs(Number(to) - Number(from)) + 1);
  const { code } = message.metadata ?? {};
  if (code) counts.unshift(code.to - code.from + 1);
  if (counts.length === 0) return [];
  const space = el('div', { class: 'code-space' });
  const shown = counts.slice(0, CODE_SPACE_CARDS_MAX);
  space.style.setProperty('--cards', String(shown.length));
  space.style.setProperty('--lines', String(shown.reduce((sum, count) => sum + Math.min(count, CODE_SPACE_LINES_MAX), 0)));
  later(({ fillCodeSpace }) => fillCodeSpace(space, message, ctx));
  return [space];
}
