// The space of the code cards of a message, until `code_card.js` is loaded and fills it.
import { el } from '../kit/dom.js';
import { later } from './later.js';

/** Addresses of a message that are read, and characters of an address. */
const CODE_LINKS_MAX = 20;
const CODE_LINK_CHARS = 2000;
/** Lines that a card shows, and cards of a message. */
const CODE_SPACE_LINES_MAX = 12;
const CODE_SPACE_CARDS_MAX = 3;

/** @type {WeakMap<object, string[]>} */
const linksOfMessages = new WeakMap();

/**
 * Returns the addresses of lines in a message, in linear time: at most one in each word.
 * @param {{ content: string }} message
 */
export function codeLinks(message) {
  const known = linksOfMessages.get(message);
  if (known) return known;
  const words = message.content.includes('#L') ? message.content.split(/[\s<>()]+/) : [];
  const links = words.flatMap((word) => {
    const [begin, end] = [word.search(/https?:\/\//), word.lastIndexOf('#L')];
    const lines = begin < 0 || end < begin || end - begin > CODE_LINK_CHARS ? null : /^#L\d[\dL-]*/.exec(word.slice(end));
    return lines ? [word.slice(begin, end) + lines[0]] : [];
  }).slice(0, CODE_LINKS_MAX);
  linksOfMessages.set(message, links);
  return links;
}

/**
 * Returns an element as high as the code cards of a message, which replace it.
 * @param {import('./types.js').Message} message
 * @param {import('./types.js').Context} ctx
 * @returns {HTMLElement[]}
 */
export function codeSpace(message, ctx) {
  const counts = codeLinks(message).filter((link) => link.includes('/-/blob/')).map((link) => {
    const [from = 0, to = from] = (link.split('#L')[1] ?? '').split(/-L?/).map(Number);
    return Math.abs(to - from) + 1;
  });
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
