// The sentences below the field of the composer.

import { el, fill } from '../kit/dom.js';

/**
 * Shows a sentence with buttons; '' removes it.
 * @param {HTMLElement} node
 * @param {string} sentence
 * @param {Record<string, import('./composer.js').OfferedButton>} buttons by the name of their action
 */
export function composerSay(node, sentence, buttons) {
  node.hidden = sentence === '';
  if (sentence === '') return fill(node);
  fill(node, el('span', { class: 'grow', dir: 'auto' }, sentence), ...Object.entries(buttons).map(([act, { label, primary }]) => el('button', { type: 'button', class: primary ? 'primary' : '', dataset: { act } }, label)));
}

/**
 * Returns whether the user cannot write in a chat.
 * @param {import('./types.js').Chat} chat
 * @param {string | undefined} role
 */
export const isClosed = (chat, role) => chat.archived === true || (chat.kind === 'direct' && chat.active === false) || role === 'reader';
