// The sentences below the field of the composer.

import { el, fill } from '../kit/dom.js';

/** @typedef {{ label: string, act: string, primary?: boolean }} NoteButton */

/**
 * Shows a sentence with buttons; '' removes it.
 * @param {HTMLElement} node
 * @param {string} sentence
 * @param {NoteButton[]} buttons
 */
export function composerSay(node, sentence, buttons = []) {
  node.hidden = sentence === '';
  if (sentence === '') return fill(node);
  fill(node, el('span', { class: 'grow', dir: 'auto' }, sentence), ...buttons.map(({ label, act, primary }) => el('button', { type: 'button', class: primary ? 'primary' : '', dataset: { act } }, label)));
}

/**
 * Returns whether the user cannot write in a chat.
 * @param {import('./types.js').Chat} chat
 * @param {string | undefined} role
 */
export const isClosed = (chat, role) => chat.archived === true || (chat.kind === 'direct' && chat.active === false) || role === 'reader';
