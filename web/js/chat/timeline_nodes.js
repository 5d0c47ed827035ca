// The rows of the timeline besides messages: days, the New line, gaps, changes, the two ends.
import { el } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { dayLabel, fullTime, shortDate } from '../kit/time.js';
import { noteLines } from './timeline_rows.js';
import { personName } from './person_name.js';

/** Sentences of a folded run that are listed. */
const NOTE_SENTENCES_MAX = 50;

/** @typedef {import('./types.js').Context} Context */
/** @typedef {import('./timeline_rows.js').TimelineRow} TimelineRow */

/** @param {string} words @param {number} nowMs @param {string | number} at */
function dayNode(words, nowMs, at) {
  const name = dayLabel(at, nowMs);
  return el('li', { class: 'day-line', title: words }, el('span', null, name.charAt(0).toUpperCase() + name.slice(1)));
}

/** Returns a sentence whose names are nodes. @param {string} sentence */
const noteWords = (sentence) => sentence.split(/[\u2068\u2069]/u).map((part, at) => (at % 2 ? el('bdi', null, part) : part));

/** @param {TimelineRow} row @param {Context} ctx */
function noteNode(row, ctx) {
  const lines = noteLines(row.groups ?? [], (id) => personName(ctx, id));
  const nodes = lines.map(({ text, more, event }) => {
    if (more.length > 0) {
      const items = more.slice(0, NOTE_SENTENCES_MAX).map((sentence) => el('li', null, noteWords(sentence)));
      if (more.length > NOTE_SENTENCES_MAX) items.push(el('li', null, `and ${more.length - NOTE_SENTENCES_MAX} more`));
      return el('details', null, el('summary', null, noteWords(text)), el('ul', null, items));
    }
    const target = event?.message_id === undefined ? undefined : ctx.store.message(event.message_id);
    const title = event ? fullTime(event.created_at) : '';
    if (!target) return el('p', { title }, noteWords(text));
    return el('p', { title }, el('button', { type: 'button', class: 'note-jump', dataset: { noteJump: target.seq } }, noteWords(text)));
  });
  return el('li', { class: 'note-row' }, nodes);
}

/** @param {import('./types.js').Range} gap */
function gapNode(gap) {
  const count = gap.to - gap.from + 1;
  const words = count === 1 ? '1 message not loaded' : `${count.toLocaleString()} messages not loaded`;
  return el('li', { class: 'gap-row' }, el('button', { type: 'button', class: 'plain', dataset: { gapFrom: gap.from, gapTo: gap.to } }, `${words}: load`));
}

/**
 * Returns the row of an end of the window: the beginning of the chat, or that more is loading.
 * @param {'start' | 'older' | 'newer'} kind
 * @param {{ failed: boolean, name: string, isDirect: boolean }} state
 */
export function edgeNode(kind, { failed, name, isDirect }) {
  if (kind === 'start') return el('li', { class: 'start-row' }, el('p', null, `This is the beginning of ${isDirect ? 'your chat with ' : ''}`, el('bdi', null, name), '.'));
  const words = kind === 'older' ? 'older messages' : 'newer messages';
  if (!failed) return el('li', { class: 'edge-row muted' }, `Loading ${words}…`);
  return el('li', { class: 'edge-row' }, el('button', { type: 'button', class: 'plain', dataset: { edge: kind } }, icon('retry'), `Load ${words}`));
}

/**
 * Returns the node of a row that is not a message.
 * @param {TimelineRow} row
 * @param {Context} ctx
 */
export function plainRow(row, ctx) {
  if (row.kind === 'day') return dayNode(shortDate(row.at ?? 0), ctx.now(), row.at ?? 0);
  if (row.kind === 'new') return el('li', { class: 'new-line' }, el('span', null, 'New'));
  if (row.kind === 'gap' && row.gap) return gapNode(row.gap);
  return noteNode(row, ctx);
}

/**
 * Returns the name of a chat: of a direct chat, the name of the other user.
 * @param {Context} ctx
 * @param {import('./types.js').Chat | undefined} chat
 */
export function chatTitle(ctx, chat) {
  if (!chat) return 'the chat';
  if (chat.kind !== 'direct') return chat.name ?? 'the chat';
  const peer = ctx.store.peer(chat.id);
  return peer === undefined ? chat.peer ?? 'the chat' : personName(ctx, peer);
}
