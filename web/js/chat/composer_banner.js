// The line over the field of the composer: what is answered, edited or attached. The sentence in
// place of the field.

import { el } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { lineWords } from '../kit/range.js';

/** @typedef {{ id: number, name: string, text: string }} ReplyNote a message that is answered */
/** @typedef {{ repository: string | number, oid: string, path: string, from: number, to: number }} CodeNote */

/**
 * Returns the line over the field: edit, reply, attached code.
 * @param {import('./composer.js').ComposerState} state
 * @returns {HTMLElement[]}
 */
export function composerBanners({ editing, reply, code }) {
  const banners = [];
  if (editing) {
    banners.push(el('p', { class: 'composer-banner' }, icon('edit'), el('span', { class: 'grow' }, 'Editing your message. Esc cancels.'), cancelButton('cancel-edit', 'Cancel the edit')));
  }
  if (reply && !editing) {
    banners.push(el('p', { class: 'composer-banner' }, icon('reply'), el('span', { class: 'grow' }, 'Reply to ', el('bdi', { class: 'name' }, reply.name), ': ', el('bdi', { class: 'muted' }, reply.text)), cancelButton('cancel-reply', 'Cancel the reply')));
  }
  if (code && !editing) {
    banners.push(el('p', { class: 'composer-banner' }, icon('code'), el('span', { class: 'grow' }, el('bdi', { class: 'mono' }, code.path), ` ${lineWords(code)}`), cancelButton('cancel-code', 'Do not attach these lines')));
  }
  return banners;
}

/** @param {string} act @param {string} label */
const cancelButton = (act, label) => el('button', { type: 'button', class: 'plain', dataset: { act }, 'aria-label': label, title: label }, icon('close'));

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
