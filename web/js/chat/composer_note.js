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
 * Returns why the user cannot write in a chat, or ''.
 * @param {import('./types.js').Chat} chat
 * @param {string | undefined} role
 * @param {string[]} owners
 */
export function closedReason(chat, role, owners) {
  if (chat.archived) return 'This chat is archived and accepts no messages. An owner can reopen it.';
  if (chat.kind === 'direct' && chat.active === false) return `The account of ${chat.peer ?? 'this user'} is deactivated. You can read this chat, but not write.`;
  if (role === 'reader') return `You can read this channel, but not write. Ask an owner${owners.length ? `: ${owners.join(', ')}` : ' for another role'}.`;
  return '';
}

/**
 * Returns the reason of a refusal.
 * @param {unknown} error
 */
export function composerDetail(error) {
  const { detail, message } = /** @type {{ detail?: string, message?: string }} */ (error ?? {});
  return detail || message || 'The server did not answer.';
}
