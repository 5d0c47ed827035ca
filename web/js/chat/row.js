// Draws a message. Rows of the timeline, of a thread and of the pins are made here.
import { parseText, plainText } from './markdown.js';
import { icon } from '../kit/icons.js';
import { avatar } from './avatar.js';
import { codeSpace } from './code_space.js';
import { foldedText, textNodes } from './text_context.js';
import { emojiOf } from './emoji_names.js';
import { personName } from './person_name.js';
import { isExpanded, isRemoving } from './row_state.js';
import { filesOf } from './row_files.js';
import { ownText, pushCard, pushText } from './push_card.js';
import { el } from '../kit/dom.js';
import { clockTime, fullTime, shortDate, dayKey } from '../kit/time.js';

/** Names in a label; the others are counted. */
const ROW_NAMES_MAX = 20;
/** Characters of a quotation, and of the text in the name of a row for screen readers. */
const ROW_QUOTE_CHARS = 120;
const ROW_LABEL_CHARS = 400;
/** Characters of a message that are read for a quotation. */
const ROW_QUOTE_SOURCE_CHARS = 1000;

/** @typedef {import('./types.js').Context} Context */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./types.js').Event} Event */
/** @typedef {import('./types.js').Pending} Pending */

/**
 * @typedef {object} RowOptions
 * @property {boolean} [head] name and picture; the default
 * @property {boolean} [compact] without the quotation and the line of the thread
 * @property {Event} [push] the push that the message announces
 * @property {{ count: number, last: string }} [thread]
 * @property {number[]} [seen] users who have read it; only for the last own message
 * @property {boolean} [kept] an own message of this page: it is shown that the server has it
 */

/**
 * Returns a message.
 * @param {Message} message
 * @param {Context} ctx
 * @param {RowOptions} [options]
 * @returns {HTMLElement}
 */
export function renderMessage(message, ctx, options = {}) {
  const { head = true, compact = false } = options;
  const name = personName(ctx, message.sender_id);
  const removing = isRemoving(message.id);
  const gone = message.deleted === true || removing !== undefined;
  const node = rowFrame(ctx, message.sender_id, { head, label: rowLabel(message, name, options), flags: {
    deleted: gone, pinned: message.pinned === true && !gone, push: options.push !== undefined, own: message.sender_id === ctx.store.me.id,
  } });
  node.dataset.id = String(message.id);
  node.dataset.seq = String(message.seq);
  node.dataset.chat = String(message.chat_id);
  if (!compact && message.reply_to !== undefined && !gone) node.append(quoteLine(message, ctx));
  if (gone) node.append(goneLine(message, removing === 'waits'));
  else if (options.push) node.append(pushCard(options.push, true, textOf(message, ctx, ownOf(message, options.push))));
  else node.append(...textOf(message, ctx, message.content), ...(message.files?.length ? [filesOf(message.files)] : []), ...codeSpace(message, ctx));
  if (!gone) node.append(...below(message, ctx, options));
  node.append(timeOf(message, options.kept === true));
  return node;
}

/**
 * Returns the push of a message that is missing or deleted.
 * @param {Event} event
 * @param {Context} ctx
 */
export function renderPush(event, ctx) {
  const name = personName(ctx, event.actor_id);
  const node = rowFrame(ctx, event.actor_id, { head: true, label: `${name} ${event.push ? pushText(event.push) : ''}, ${clockTime(event.created_at)}`, flags: { push: true } });
  node.dataset.seq = String(event.seq);
  node.dataset.chat = String(event.chat_id);
  node.append(pushCard(event), timeLink(event.chat_id, event.seq, event.created_at, fullTime(event.created_at)));
  return node;
}

/**
 * Returns a message that the server does not have yet.
 * @param {Pending} pending
 * @param {Context} ctx
 * @param {boolean} head
 */
export function renderPending(pending, ctx, head) {
  const failed = pending.state === 'failed';
  const state = failed ? 'not sent' : 'sending';
  const name = personName(ctx, ctx.store.me.id);
  const label = `${name}: ${textWithFiles(pending)}, ${state}`;
  const node = rowFrame(ctx, ctx.store.me.id, { head, label, flags: { own: true, failed, sending: !failed } });
  node.dataset.client = pending.client_id;
  if (pending.reply_to !== undefined) {
    const target = ctx.store.message(pending.reply_to);
    if (target) node.append(quoteButton(target, ctx));
  }
  if (pending.content) node.append(el('div', { class: 'text' }, textNodes(pending.content, ctx, pending.chat_id)));
  if (pending.files) node.append(filesOf(pending.files));
  if (failed) {
    node.append(el('p', { class: 'not-sent' }, el('span', null, icon('warning'), ` Not sent: ${pending.error?.detail ?? 'the server refused it.'}`),
      rowButton('retry', 'Retry'), rowButton('copy-pending', 'Copy text'), rowButton('discard', 'Discard')));
  }
  const title = failed ? 'The server does not have this message.' : pending.error?.detail ?? 'Sending. The message is stored in this browser, and is sent again until the server has it.';
  node.append(el('span', { class: 'when', title }, icon(failed ? 'warning' : 'clock'), el('span', { class: head || pending.error ? 'state' : 'sr' }, failed ? 'Not sent' : pending.error?.detail ?? 'Sending')));
  return node;
}

/**
 * Returns the empty article of a row.
 * @param {Context} ctx
 * @param {number} sender
 * @param {{ head: boolean, label: string, flags: Record<string, boolean> }} row
 */
function rowFrame(ctx, sender, { head, label, flags }) {
  const classes = Object.entries(flags).filter(([, on]) => on).map(([flag]) => `is-${flag}`);
  const node = el('article', { class: ['chat-message', head ? 'with-head' : 'follower', ...classes].join(' '), tabindex: -1, 'aria-label': label });
  if (!head) return node;
  const user = ctx.store.user(sender);
  const name = el('bdi', null, personName(ctx, sender));
  node.append(avatar(user), user.missing
    ? el('span', { class: 'sender' }, name)
    : el('a', { class: 'sender', href: `/people/${encodeURIComponent(user.username)}`, title: `@${user.username}` }, name));
  return node;
}

/**
 * Returns the name of a row for screen readers: name, text, time last.
 * @param {Message} message
 * @param {string} name
 * @param {RowOptions} options
 */
function rowLabel(message, name, options) {
  const time = clockTime(message.created_at);
  if (message.deleted || isRemoving(message.id)) return `${name}: message deleted, ${time}`;
  const facts = [
    message.edited_at ? 'edited' : '', message.pinned ? 'pinned' : '',
    options.thread ? repliesWords(options.thread.count) : '',
  ].filter((fact) => fact !== '');
  const { push } = options.push ?? {};
  const own = options.push ? cutText(ownOf(message, options.push), ROW_LABEL_CHARS) : textWithFiles(message);
  const text = push ? ` ${pushText(push)}${own && `: ${own}`}` : `: ${own}`;
  return [`${name}${text}`, ...facts, time].join(', ');
}

/** Returns the text of a message and the names of its files. @param {Pick<Message, 'content' | 'files'>} message */
function textWithFiles({ content, files = [] }) {
  return cutText([content, ...files.map(({ name }) => `file ${name}`)].join(' '), ROW_LABEL_CHARS);
}

/**
 * Returns the first characters of a text, in one line.
 * @param {string} content
 * @param {number} max
 */
export function cutText(content, max) {
  const line = content.slice(0, max * 4).replace(/\s+/gu, ' ').trim();
  const chars = [...line];
  return chars.length > max ? `${chars.slice(0, max).join('')}…` : line;
}

/** @param {number} count */
function repliesWords(count) {
  return count === 1 ? '1 reply' : `${count.toLocaleString()} replies`;
}

/** @param {Message} message @param {Context} ctx */
function quoteLine(message, ctx) {
  const target = ctx.store.message(message.reply_to ?? 0);
  if (target) return quoteButton(target, ctx);
  return el('button', { type: 'button', class: 'quote', dataset: { act: 'jump-message', to: message.reply_to ?? 0 } }, icon('reply'), el('span', { class: 'quoted' }, 'An earlier message'));
}

/** @param {Message} target @param {Context} ctx */
function quoteButton(target, ctx) {
  const text = target.deleted ? 'Message deleted' : cutText(plainText(parseText(target.content.slice(0, ROW_QUOTE_SOURCE_CHARS)), ROW_QUOTE_CHARS), ROW_QUOTE_CHARS) || (target.files?.[0]?.name ?? '');
  const name = personName(ctx, target.sender_id);
  return el('button', { type: 'button', class: 'quote', title: 'Go to this message; Escape leads back', dataset: { act: 'jump', seq: target.seq } },
    icon('reply'), el('bdi', { class: 'quoted-name' }, name), el('span', { class: 'quoted', dir: 'auto' }, text));
}

/** @param {Message} message @param {boolean} canUndo */
function goneLine(message, canUndo) {
  const line = el('p', { class: 'gone' }, icon('trash'), el('span', null, 'Message deleted'));
  if (canUndo && !message.deleted) line.append(rowButton('undo', 'Undo'));
  return line;
}

/** @param {Message} message @param {Event} event */
const ownOf = (message, { push }) => (push ? ownText(message.content, push) : '');

/** @param {Message} message @param {Context} ctx @param {string} content @returns {Node[]} */
function textOf(message, ctx, content) {
  const folded = foldedText(content);
  const isLong = folded.length < content.length;
  const open = !isLong || isExpanded(message.id);
  const text = el('div', { class: open ? 'text' : 'text folded' }, textNodes(open ? content : folded, ctx, message.chat_id));
  const nodes = /** @type {Node[]} */ (content.trim() === '' ? [] : [text]);
  if (isLong) nodes.push(el('button', { type: 'button', class: 'unfold', 'aria-expanded': String(open), dataset: { act: 'unfold' } }, open ? 'Show less' : 'Show all'));
  if (message.edited_at) {
    nodes.push(el('span', { class: 'edited', title: `Edited ${fullTime(message.edited_at)}` }, `edited ${editTime(message)}`));
  }
  return nodes;
}

/** @param {Message} message */
function editTime(message) {
  const at = message.edited_at ?? message.created_at;
  return dayKey(at) === dayKey(message.created_at) ? clockTime(at) : `${shortDate(at)}, ${clockTime(at)}`;
}

/**
 * Returns what stands below the text.
 * @param {Message} message
 * @param {Context} ctx
 * @param {RowOptions} options
 * @returns {Node[]}
 */
function below(message, ctx, { compact = false, thread, seen = [], kept = false }) {
  const nodes = /** @type {Node[]} */ ([]);
  if (message.pinned) nodes.push(el('span', { class: 'pinned' }, icon('pin'), 'Pinned'));
  if (message.reactions?.length) nodes.push(reactionsOf(message, ctx));
  if (thread && !compact) {
    nodes.push(el('button', { type: 'button', class: 'thread-line', dataset: { act: 'thread' } },
      icon('thread'), el('span', { class: 'replies' }, repliesWords(thread.count)), el('span', { class: 'muted' }, `last ${lastTime(thread.last, ctx.now())}`)));
  }
  if (seen.length > 0) {
    const names = namesOf(seen, ctx);
    nodes.push(el('button', { type: 'button', class: 'seen', title: names, dataset: { act: 'seen', users: seen.slice(0, 100).join(',') } },
      icon('checks'), seen.length === 1 ? `Seen by ${names}` : `Seen by ${seen.length}`));
  } else if (kept) {
    nodes.push(el('span', { class: 'seen', title: 'Kept: written to the disk of the server' }, icon('check'), 'Kept'));
  }
  return nodes;
}

/** @param {string} at @param {number} now */
function lastTime(at, now) {
  return dayKey(at) === dayKey(now) ? clockTime(at) : shortDate(at);
}

/**
 * Returns names in one text; "you" for this user.
 * @param {number[]} ids
 * @param {Context} ctx
 */
export function namesOf(ids, ctx) {
  const names = ids.slice(0, ROW_NAMES_MAX).map((id) => (id === ctx.store.me.id ? 'you' : personName(ctx, id)));
  if (ids.length > ROW_NAMES_MAX) names.push(`${(ids.length - ROW_NAMES_MAX).toLocaleString()} more`);
  if (names.length < 2) return names.join('');
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

/** @param {Message} message @param {Context} ctx */
function reactionsOf(message, ctx) {
  const list = el('div', { class: 'reactions', role: 'group', 'aria-label': 'Reactions' });
  for (const { emoji, user_ids: users } of message.reactions ?? []) {
    const names = namesOf(users, ctx);
    const shown = reactionText(emoji);
    const own = users.includes(ctx.store.me.id);
    list.append(el('button', { type: 'button', class: 'reaction', title: `${names} reacted with ${shown}`, 'aria-label': `${shown} ${users.length}: ${names}`, 'aria-pressed': String(own), dataset: { act: 'toggle', emoji } },
      el('span', { class: 'emoji' }, shown), el('span', { class: 'number' }, users.length)));
  }
  list.append(el('button', { type: 'button', class: 'reaction add', title: 'Add a reaction', 'aria-label': 'Add a reaction', dataset: { act: 'react' } }, icon('react')));
  return list;
}

/**
 * Returns a reaction as it is shown: a shortcode as its emoji, if it has one.
 * @param {string} emoji
 */
function reactionText(emoji) {
  const name = /^:?([A-Za-z0-9_+-]+):?$/.exec(emoji)?.[1];
  return name === undefined ? emoji : emojiOf(name) || `:${name}:`;
}

/** @param {Message} message @param {boolean} kept */
function timeOf(message, kept) {
  const full = fullTime(message.created_at);
  return timeLink(message.chat_id, message.seq, message.created_at, kept ? `${full}. Kept: written to the disk of the server` : full);
}

/**
 * @param {number} chat
 * @param {number} seq
 * @param {string} at
 * @param {string} title
 */
function timeLink(chat, seq, at, title) {
  return el('a', { class: 'when', href: `/chat/${chat}/${seq}`, title }, el('time', { datetime: at }, clockTime(at)));
}

/** @param {string} act @param {string} words */
function rowButton(act, words) {
  return el('button', { type: 'button', class: 'small-button', dataset: { act } }, words);
}
