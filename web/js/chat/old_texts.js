// Drafts and unsent messages of histories of the server that were replaced, for example by a restore.
// Ids have other meanings now, so a text returns only to a chat of the same id and name.

import { el } from '../kit/dom.js';

/** Texts of replaced histories are removed after this time (milliseconds). */
const OLD_TEXT_KEPT_MS = 30 * 86_400_000;

/** @typedef {Pick<import('./types.js').Context, 'drafts' | 'local' | 'now'> & { store: Pick<import('./types.js').StoreReads, 'chat'> }} DraftPlace */

/**
 * Returns the texts of something kept: ids of messages have other meanings now, so an edit is text.
 * @param {import('./types.js').Kept | undefined} kept
 */
function textsOf(kept) {
  return [kept?.edit?.text, kept?.draft].filter((text) => typeof text === 'string' && text !== '').join('\n');
}

/**
 * Moves the texts of replaced histories into the drafts of the chats of the same id and title.
 * Others stay where they are: `oldTexts` returns them. Returns the chats that got a text.
 * @param {DraftPlace} place
 */
export function rescueDrafts({ drafts, local, store, now }) {
  const moved = [];
  for (const key of drafts.old()) {
    const kept = local.get(key);
    const old = textsOf(kept);
    const chatId = Number(key.split(':')[3]);
    const { name, peer } = store.chat(chatId) ?? {};
    if (old === '' || now() - (kept.at ?? now()) > OLD_TEXT_KEPT_MS) {
      local.remove(key);
    } else if (kept.title && kept.title === (name ?? peer)) {
      const draft = [old, drafts.get(drafts.space(), chatId).draft].filter(Boolean).join('\n');
      drafts.set(drafts.space(), chatId, { draft, title: kept.title });
      local.remove(key);
      moved.push(chatId);
    } else if (!kept.at) {
      local.set(key, { draft: old, at: now() });
    }
  }
  return moved;
}

/**
 * Keeps the unsent messages of replaced histories as failed ones, in the chats of the same id and
 * name, without their files. Others stay for that time, and are then removed.
 * @param {{ outbox: import('./outbox.js').Outbox, local: import('../kit/local.js').Local, now: () => number }} place
 */
export function rescueUnsent({ outbox, local, now }) {
  for (const key of outbox.old()) {
    const kept = local.get(key);
    const isOld = typeof kept?.created_at !== 'number' || now() - kept.created_at > OLD_TEXT_KEPT_MS;
    const isHere = !isOld && kept.content !== '' && kept.title !== '' && outbox.titleOf(kept.chat_id) === kept.title;
    if (isOld || isHere) local.remove(key);
    if (!isHere) continue;
    const { reply_to: _, retry_at: __, files: ___, ...rest } = kept;
    const error = { code: 'history_replaced', detail: 'The history of the server was replaced. Check the text, then send it again.' };
    outbox.take({ ...rest, state: 'failed', error });
  }
}

/**
 * Returns the texts of replaced histories that belong to no chat.
 * @param {Pick<DraftPlace, 'drafts' | 'local'>} place
 * @returns {string[]}
 */
export function oldTexts({ drafts, local }) {
  return drafts.old().map((key) => textsOf(local.get(key))).filter(Boolean);
}

/**
 * Shows the texts of replaced histories that belong to no chat.
 * @param {import('./types.js').Context} ctx
 */
export function showOldTexts(ctx) {
  const texts = oldTexts(ctx).map((text) => el('textarea', { readOnly: true, rows: 4, 'aria-label': 'Text', value: text }));
  const dialog = el('dialog', { class: 'chat-dialog', 'aria-labelledby': 'old-texts' },
    el('h2', { id: 'old-texts' }, 'Texts from before a restore'), el('p', null, 'The chats of these texts are gone. This browser keeps them for 30 days.'), ...texts, el('form', { method: 'dialog' }, el('button', null, 'Close')));
  dialog.addEventListener('close', () => dialog.remove());
  (ctx.root.getElementById('main') ?? ctx.root.body).append(dialog);
  dialog.showModal();
}
