// The actions of a message: a bar of buttons at the row, a menu, reactions.
//
// The same listeners serve all rows of a list. The bar exists twice at most: at the row under
// the pointer, and at the row with the focus.
import { el, fill } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { QUICK_EMOJI, emojiLike } from './emoji.js';
import { ask } from './ask.js';
import { problemText } from './problem.js';
import { showPopover, moveFocus } from './popover.js';
import { removeLater, undoRemoval } from './row_removal.js';
import { toggleExpanded, isRemoving, onRowState } from './row_state.js';
import { namesOf, renderMessage } from './row.js';
import { fetchCommand, fillPushDetails } from './push_details.js';
import { articleAt, messageOf, replaceRow } from './row_clicks.js';
import { copyText } from '../kit/clipboard.js';

/** Emoji that a search in the picker shows. */
const PICKER_FOUND_MAX = 32;
/** Time for which a button shows what happened, in milliseconds. */
const ACTION_DONE_MS = 2000;

/** @typedef {import('./types.js').Context} Context */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('../kit/icons.js').IconName} IconName */
/** @typedef {{ act: string, words: string, icon: IconName, key?: string, danger?: boolean }} RowAction */

/**
 * Returns what this user can do with a message.
 * @param {Message} message
 * @param {Context} ctx
 * @param {boolean} [isInThread] the row is in the panel of its thread
 * @returns {RowAction[]}
 */
export function rowActions(message, ctx, isInThread = false) {
  const chat = ctx.store.chat(message.chat_id);
  const isOwn = message.sender_id === ctx.store.me.id;
  const isOpen = chat !== undefined && !chat.archived && chat.active !== false;
  const canWrite = isOpen && chat.role !== 'reader';
  const isModerator = chat?.role === 'owner' || chat?.role === 'admin';
  if (message.deleted || isRemoving(message.id)) {
    return [{ act: 'link', words: 'Copy link', icon: 'link', key: 'c' }, { act: 'unread', words: 'Mark unread from here', icon: 'eye' }];
  }
  /** @type {(RowAction | false)[]} */
  const all = [
    isOpen && { act: 'react', words: 'React', icon: 'react', key: '+' },
    canWrite && { act: 'reply', words: isInThread ? 'Quote in the chat' : 'Reply with quote', icon: 'quote', key: 'r' },
    !isInThread && { act: 'thread', words: canWrite ? 'Reply in thread' : 'Open thread', icon: 'thread', key: 't' },
    canWrite && isOwn && message.metadata?.push_seq === undefined && { act: 'edit', words: 'Edit', icon: 'edit', key: 'e' },
    { act: 'link', words: 'Copy link', icon: 'link', key: 'c' },
    { act: 'text', words: 'Copy text', icon: 'copy' },
    canWrite && { act: 'pin', words: message.pinned ? 'Unpin' : 'Pin', icon: 'pin', key: 'p' },
    { act: 'unread', words: 'Mark unread from here', icon: 'eye' },
    isOpen && (isOwn || isModerator) && { act: 'delete', words: 'Delete', icon: 'trash', key: 'Delete', danger: true },
  ];
  return all.filter((action) => action !== false);
}

/** @param {Element} article */
const isThreadRow = (article) => article.closest('.thread-list') !== null;

/** Actions that have a button in the bar; the others are in the menu only. */
const BAR_ACTIONS = ['react', 'reply', 'thread', 'edit'];

/** @param {Message} message @param {Context} ctx @param {boolean} isInThread */
function actionBar(message, ctx, isInThread) {
  const actions = rowActions(message, ctx, isInThread).filter(({ act }) => BAR_ACTIONS.includes(act));
  const buttons = actions.map(({ act, words, icon: name, key }, at) => el('button', { type: 'button', tabindex: at === 0 ? 0 : -1, title: key ? `${words} (${key})` : words, 'aria-label': words, dataset: { act } }, icon(name)));
  buttons.push(el('button', { type: 'button', tabindex: buttons.length === 0 ? 0 : -1, title: 'More', 'aria-label': 'More', 'aria-haspopup': 'menu', dataset: { act: 'menu' } }, icon('more')));
  return el('div', { class: 'action-bar', role: 'toolbar', 'aria-label': 'Message actions' }, buttons);
}

/**
 * Serves the buttons of all messages in `root`.
 * @param {HTMLElement} root
 * @param {Context} ctx
 * @param {{ onUnread?: (message: Message) => void, onState?: (messageId: number) => void }} [hooks]
 *   `onState`: the caller draws rows when what only this page knows of a message changes; without it
 *   the row is drawn again here
 * @param {boolean} [isHovered] the pointer is on a row already
 * @returns {() => void} ends it
 */
export function messageClicks(root, ctx, hooks = {}, isHovered = false) {
  /** @type {{ hover: HTMLElement | null, focus: HTMLElement | null }} */
  const bars = { hover: null, focus: null };

  /** @param {'hover' | 'focus'} name @param {Element | null} article */
  function placeBar(name, article) {
    const bar = bars[name];
    if (bar && bar.parentElement === article) return;
    bar?.remove();
    bars[name] = null;
    const message = article && messageOf(article, ctx);
    if (!article || !message) return;
    if (name === 'hover' && bars.focus?.parentElement === article) return;
    if (name === 'focus' && bars.hover?.parentElement === article) {
      // A press on a button of the bar moves the focus: the bar must stay where it is.
      bars.focus = bars.hover;
      bars.hover = null;
      return;
    }
    const made = actionBar(message, ctx, isThreadRow(article));
    article.prepend(made);
    bars[name] = made;
  }

  const over = (/** @type {PointerEvent} */ event) => {
    if (event.pointerType === 'touch') return;
    placeBar('hover', articleAt(event.target));
  };
  const left = () => placeBar('hover', null);
  const focused = (/** @type {FocusEvent} */ event) => placeBar('focus', articleAt(event.target));
  const blurred = (/** @type {FocusEvent} */ event) => {
    const to = event.relatedTarget;
    const isInPopover = to instanceof Element && to.closest('[popover], dialog') !== null;
    const isLeft = to instanceof Node ? !root.contains(to) : ctx.root.hasFocus();
    if (isLeft && !isInPopover) placeBar('focus', null);
  };
  /** @param {number} id */
  function redraw(id) {
    const message = ctx.store.message(id);
    for (const article of root.querySelectorAll('article.chat-message')) {
      if (!(article instanceof HTMLElement) || !message || article.dataset.id !== String(id)) continue;
      replaceRow(article, renderMessage(message, ctx, { head: article.classList.contains('with-head') }));
    }
  }
  const clicked = (/** @type {MouseEvent} */ event) => {
    const button = event.target instanceof Element ? event.target.closest('[data-act], [data-copy-code]') : null;
    const article = articleAt(event.target);
    if (button instanceof HTMLElement && article) clickRow(button, article, ctx, hooks);
  };
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    const bar = event.target instanceof Element ? event.target.closest('.action-bar') : null;
    if (bar) moveFocus(event, /** @type {HTMLElement[]} */ ([...bar.children]), false);
  };
  const listeners = /** @type {const} */ ([['pointerover', over], ['pointerleave', left], ['focusin', focused], ['focusout', blurred], ['click', clicked], ['keydown', pressed]]);
  for (const [name, fn] of listeners) root.addEventListener(name, /** @type {EventListener} */ (fn));
  const offState = hooks.onState ? () => {} : onRowState(redraw);
  if (isHovered) placeBar('hover', root.querySelector('article.chat-message:hover'));
  if (root.contains(ctx.root.activeElement)) placeBar('focus', articleAt(ctx.root.activeElement));
  return () => {
    offState();
    for (const [name, fn] of listeners) root.removeEventListener(name, /** @type {EventListener} */ (fn));
  };
}

/**
 * Handles a click on a button of a row.
 * @param {HTMLElement} button
 * @param {HTMLElement} article
 * @param {Context} ctx
 * @param {{ onUnread?: (message: Message) => void }} hooks
 */
export function clickRow(button, article, ctx, { onUnread }) {
  if (button.dataset.copyCode !== undefined) void copyWith(button, button.closest('figure')?.querySelector('pre')?.textContent ?? '');
  else runAction(button.dataset.act ?? '', { button, article, ctx, onUnread });
}

/**
 * Sends an event to the other views.
 * @param {Context} ctx
 * @param {string} name
 * @param {unknown} detail
 */
function notifyViews(ctx, name, detail) {
  ctx.root.getElementById('main')?.dispatchEvent(new CustomEvent(name, { detail, bubbles: true }));
}

/**
 * @typedef {object} ActionAt
 * @property {HTMLElement} button
 * @property {HTMLElement} article
 * @property {Context} ctx
 * @property {(message: Message) => void} [onUnread]
 */

/**
 * Does one action with the message of an article.
 * @param {string} act
 * @param {ActionAt} at
 */
export function runAction(act, at) {
  const { button, article, ctx } = at;
  const chat = Number(article.dataset.chat);
  const client = article.dataset.client;
  if (act === 'jump') return notifyViews(ctx, 'chat:jump', { chat, seq: Number(button.dataset.seq), from: Number(article.dataset.seq) });
  if (act === 'push-details' || act === 'copy-fetch') return pushAction(act, at);
  if (client) return void pendingAction(act, client, at);
  const message = messageOf(article, ctx);
  if (message) messageAction(act, message, at);
}

/** @param {string} act @param {ActionAt} at */
function pushAction(act, { button, article, ctx }) {
  const seq = Number(button.closest('.push-card')?.getAttribute('data-push'));
  const push = ctx.store.events(Number(article.dataset.chat), seq, seq)[0]?.push;
  if (!push) return;
  if (act === 'copy-fetch') void copyWith(button, fetchCommand(push, location.origin));
  else if (button.parentElement) fillPushDetails(button.parentElement, push);
}

/** @param {string} act @param {string} client @param {ActionAt} at */
function pendingAction(act, client, { button, article, ctx }) {
  const pending = ctx.store.pending(Number(article.dataset.chat)).find((item) => item.client_id === client);
  if (act === 'retry') return attempt(button, ctx, () => ctx.actions.retry(client));
  if (act === 'discard') return attempt(button, ctx, () => ctx.actions.discard(client));
  if (act === 'copy-pending' && pending) return copyWith(button, pending.content);
}

/** @param {string} act @param {Message} message @param {ActionAt} at */
function messageAction(act, message, at) {
  const { button, article, ctx, onUnread } = at;
  const { actions } = ctx;
  const { chat_id: chat, id } = message;
  switch (act) {
    case 'jump-message': return void jumpToMessage(Number(button.dataset.to), at);
    case 'react': return showPicker(message, button, ctx);
    case 'toggle': return void attempt(button, ctx, () => actions.react(chat, id, button.dataset.emoji ?? '', button.getAttribute('aria-pressed') !== 'true'));
    case 'reply': return notifyViews(ctx, 'chat:reply', { message });
    case 'thread': return notifyViews(ctx, 'chat:open-thread', { chat, message: message.thread_id ?? id });
    case 'edit': return notifyViews(ctx, 'chat:edit', { message });
    case 'link': return void copyWith(button, new URL(`/chat/${chat}/${message.seq}`, ctx.root.baseURI).href, 'Link copied', ctx);
    case 'text': return void copyWith(button, message.content, 'Text copied', ctx);
    case 'pin': return void attempt(button, ctx, () => actions.pin(chat, id, !message.pinned));
    case 'unread':
      onUnread?.(message);
      return void attempt(button, ctx, () => actions.unreadFrom(chat, message.seq));
    case 'unfold': return toggleExpanded(id);
    case 'undo': return undoRemoval(id);
    case 'seen': return showNames(button, ctx);
    case 'menu': return showMenu(message, button, at);
    case 'delete': return ask(ctx.root, { title: 'Delete this message?', detail: 'All members of the chat will see that it was deleted. You can undo it for 5 seconds.', action: 'Delete', danger: true }, async () => {
      removeLater(id, () => actions.remove(chat, id));
      ctx.announce('Message deleted. Undo is possible for 5 seconds.');
      queueMicrotask(() => article.focus({ preventScroll: true }));
    });
    default:
  }
}

/** @param {number} id @param {ActionAt} at */
async function jumpToMessage(id, { article, button, ctx }) {
  const chat = Number(article.dataset.chat);
  await attempt(button, ctx, async () => {
    const target = ctx.store.message(id) ?? (await ctx.actions.thread(chat, id)).find((message) => message.id === id);
    if (target) notifyViews(ctx, 'chat:jump', { chat, seq: target.seq, from: Number(article.dataset.seq) });
  });
}

/**
 * Runs an action; a refusal is shown at the button and announced.
 * @param {HTMLElement} button
 * @param {Context} ctx
 * @param {() => Promise<unknown>} run
 */
async function attempt(button, ctx, run) {
  button.setAttribute('aria-busy', 'true');
  try {
    await run();
  } catch (error) {
    const detail = problemText(error);
    ctx.announce(detail);
    const near = button.isConnected ? button : ctx.root.activeElement ?? ctx.root.body;
    showPopover(el('p', { class: 'refusal', role: 'alert' }, detail), near, ctx.root.getElementById('main') ?? ctx.root.body);
  } finally {
    button.removeAttribute('aria-busy');
  }
}

/**
 * Copies a text, and shows that it is copied.
 * @param {HTMLElement} button
 * @param {string} value
 * @param {string} [done]
 * @param {Context} [ctx]
 */
async function copyWith(button, value, done = 'Copied', ctx) {
  const isCopied = await copyText(value);
  ctx?.announce(isCopied ? done : 'The browser did not copy.');
  const words = button.querySelector('[data-words]') ?? (button.children.length === 0 ? button : null);
  if (!words) return;
  const before = words.textContent;
  words.textContent = isCopied ? 'Copied' : 'Not copied';
  setTimeout(() => { words.textContent = before; }, ACTION_DONE_MS);
}

/** @param {HTMLElement} button @param {Context} ctx */
function showNames(button, ctx) {
  const ids = (button.dataset.users ?? '').split(',').map(Number);
  const items = ids.map((id) => el('li', null, namesOf([id], ctx)));
  const node = el('div', { class: 'names', tabindex: -1 }, el('p', { class: 'muted' }, 'Seen by'), el('ul', null, items));
  showPopover(node, button, ctx.root.getElementById('main') ?? ctx.root.body);
  node.focus();
}

/** @param {Message} message @param {HTMLElement} button @param {ActionAt} at */
function showMenu(message, button, at) {
  const { ctx } = at;
  const items = rowActions(message, ctx, isThreadRow(at.article)).map(({ act, words, icon: name, key, danger }) => el('button', { type: 'button', role: 'menuitem', tabindex: -1, class: danger ? 'danger' : '', dataset: { act } },
    icon(name), el('span', null, words), key ? el('kbd', { 'aria-hidden': 'true' }, key === 'Delete' ? 'Del' : key) : null));
  const menu = el('div', { class: 'row-menu', role: 'menu', 'aria-label': 'Message actions' }, items);
  menu.addEventListener('keydown', (event) => { moveFocus(event, items, true); });
  menu.addEventListener('click', (event) => {
    const item = event.target instanceof Element ? event.target.closest('[data-act]') : null;
    if (!(item instanceof HTMLElement)) return;
    menu.hidePopover();
    runAction(item.dataset.act ?? '', { ...at, button });
  });
  showPopover(menu, button, ctx.root.getElementById('main') ?? ctx.root.body);
  items[0]?.focus();
}

/** @param {Message} message @param {HTMLElement} button @param {Context} ctx */
function showPicker(message, button, ctx) {
  const found = el('div', { class: 'emoji-list', role: 'group', 'aria-label': 'Emoji' });
  const field = el('input', { type: 'text', 'aria-label': 'Find an emoji', placeholder: 'Find, or type an emoji', autocomplete: 'off', maxlength: 40 });
  const node = el('div', { class: 'emoji-picker', role: 'dialog', 'aria-label': 'React' }, field, found);
  const show = () => {
    const wanted = field.value.trim().replaceAll(':', '').toLowerCase();
    const matches = wanted === '' ? QUICK_EMOJI.map((char) => ({ char, name: '' })) : emojiLike(wanted, PICKER_FOUND_MAX);
    const typed = /\p{Extended_Pictographic}|\p{Regional_Indicator}|[#*0-9]\u{fe0f}?\u{20e3}/u.test(field.value) ? [{ char: field.value.trim(), name: '' }] : [];
    const all = [...typed, ...matches];
    fill(found, all.map(({ char, name }, at) => el('button', { type: 'button', tabindex: at === 0 ? 0 : -1, title: name ? `:${name}:` : char, 'aria-label': name || char, dataset: { emoji: char } }, char)));
    if (all.length === 0) fill(found, el('p', { class: 'muted' }, 'No emoji has this name.'));
  };
  const choose = (/** @type {string} */ emoji) => {
    node.hidePopover();
    const isOwn = message.reactions?.some((item) => item.emoji === emoji && item.user_ids.includes(ctx.store.me.id));
    void attempt(button, ctx, () => ctx.actions.react(message.chat_id, message.id, emoji, !isOwn));
  };
  field.addEventListener('input', show);
  field.addEventListener('keydown', (event) => {
    if (event.isComposing) return;
    const first = found.querySelector('button');
    if (event.key === 'Enter' && first?.dataset.emoji) { event.preventDefault(); choose(first.dataset.emoji); }
    if (event.key === 'ArrowDown' && first) { event.preventDefault(); first.focus(); }
  });
  found.addEventListener('keydown', (event) => {
    const items = /** @type {HTMLElement[]} */ ([...found.querySelectorAll('button')]);
    if (!moveFocus(event, items, false) && event.key === 'ArrowUp') { event.preventDefault(); field.focus(); }
  });
  found.addEventListener('click', (event) => {
    const item = event.target instanceof Element ? event.target.closest('[data-emoji]') : null;
    if (item instanceof HTMLElement && item.dataset.emoji) choose(item.dataset.emoji);
  });
  show();
  showPopover(node, button, ctx.root.getElementById('main') ?? ctx.root.body);
  field.focus();
}
