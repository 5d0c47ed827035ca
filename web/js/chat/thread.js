// A thread in the panel: its messages, a composer for replies, follow and mute.

import { el, fill } from '../kit/dom.js';
import { failedNote } from './failed.js';
import { problemText } from './problem.js';
import { createComposer } from './composer.js';
import { placeChildren } from './place_children.js';
import { renderMessage } from './row.js';
import { messageClicks } from './row_actions.js';

/** Messages of a thread that are drawn: the first, and the newest of the others. */
const THREAD_ROWS_MAX = 300;
const THREAD_WEIGHT_MAX = 3000;

/** @typedef {import('./types.js').Message} Message */

/**
 * Returns the messages of a thread in their order: the first one and its replies.
 * @param {Iterable<Message>} messages
 * @param {number} rootId
 */
export function threadOf(messages, rootId) {
  const all = [...messages].filter((message) => message.id === rootId || message.thread_id === rootId);
  return all.sort((one, other) => one.seq - other.seq);
}

/**
 * @param {HTMLElement} root
 * @param {import('./types.js').Context} ctx
 * @param {{ chat: number, thread: number }} place
 */
export function createThread(root, ctx, { chat, thread }) {
  const { store, actions } = ctx;
  const list = el('ol', { class: 'thread-list', 'aria-label': 'Messages of the thread' });
  const scroller = el('div', { class: 'thread-scroll', tabindex: 0, role: 'region', 'aria-label': 'Thread' }, el('p', { class: 'muted note' }, 'Loading…'));
  const follow = el('button', { type: 'button', class: 'plain', hidden: true, dataset: { follow: '' } });
  const problem = el('p', { class: 'problem', role: 'alert' });
  const foot = el('div', { class: 'thread-composer' });
  fill(root, el('div', { class: 'thread-bar' }, el('a', { href: `/chat/${chat}`, dataset: { jump: '' } }, 'Show in chat'), follow), problem, scroller, foot);
  /** @type {Map<number, Message>} */
  const messages = new Map();
  /** @type {Map<number, { message: Message, node: HTMLElement }>} */
  const drawn = new Map();
  let rootId = thread;
  let seen = store.chat(chat)?.last_seq ?? 0;
  /** @type {boolean | null} null: not known */
  let follows = null;
  let isGone = false;
  let isLoaded = false;
  /** @type {ReturnType<typeof createComposer> | null} */
  let composer = null;
  const offClicks = messageClicks(root, ctx);

  function draw() {
    if (!isLoaded) return;
    const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 100;
    for (const [id] of messages) {
      const current = store.message(id);
      if (current) messages.set(id, current);
    }
    const all = threadOf(messages.values(), rootId);
    /** @type {HTMLElement[]} */
    const rows = [];
    let weight = 0;
    // The first message, then the newest ones.
    for (const message of [...all.slice(0, 1), ...all.slice(1).reverse()]) {
      const known = drawn.get(message.id);
      const node = known?.message === message ? known.node : el('li', null, renderMessage(message, ctx, { compact: message.reply_to === rootId }));
      drawn.set(message.id, { message, node });
      weight += node.getElementsByTagName('*').length;
      if (rows.length > 1 && (weight > THREAD_WEIGHT_MAX || rows.length >= THREAD_ROWS_MAX)) break;
      rows.splice(1, 0, node);
    }
    const cut = all.length - rows.length;
    if (cut) rows.splice(1, 0, el('li', { class: 'muted note' }, `${cut} earlier replies are in the chat.`));
    rows.push(...waiting());
    placeChildren(list, rows);
    if (atEnd) scroller.scrollTop = scroller.scrollHeight;
    const wrote = all.some((message) => message.sender_id === store.me.id && !message.deleted);
    const on = follows ?? wrote;
    follow.hidden = false;
    follow.textContent = on ? 'Mute thread' : 'Follow thread';
    follow.title = on ? 'Stop notifications of replies' : 'Notify me of replies';
    follow.dataset.follow = on ? 'off' : 'on';
  }

  /** Replies that the server has not acknowledged. */
  function waiting() {
    return store.pending(chat).filter((item) => item.reply_to !== undefined && messages.has(item.reply_to))
      .map((item) => el('li', { class: `pending-reply ${item.state}` }, el('p', { dir: 'auto' }, item.content || item.files?.map(({ name }) => name).join(', ')), el('span', { class: 'muted' }, item.state === 'failed' ? 'Not sent. The chat has the buttons to retry.' : 'Sending…')));
  }

  async function load() {
    try {
      const found = await actions.thread(chat, thread);
      if (isGone) return;
      rootId = found.find((message) => message.id === thread)?.thread_id ?? thread;
      for (const message of found) messages.set(message.id, message);
      take();
      isLoaded = true;
      const first = messages.get(rootId);
      const link = root.querySelector('[data-jump]');
      if (first && link instanceof HTMLAnchorElement) link.href = `/chat/${chat}/${first.seq}`;
      fill(scroller, list);
      draw();
      scroller.scrollTop = scroller.scrollHeight;
      composer = createComposer(foot, /** @type {any} */ (ctx), { reply_to: rootId, label: 'Reply in the thread' });
      composer.open?.(chat, { thread: rootId });
      // The panel has just opened: the next key writes a reply. On touch, the keyboard would open.
      if (ctx.root.activeElement?.id === 'panel-title' && !matchMedia('(pointer: coarse)').matches) composer.focus();
    } catch (error) {
      if (!isGone) fill(scroller, failedNote(error, load));
    }
  }

  /** Takes replies that arrived after the last call. */
  function take() {
    const last = store.chat(chat)?.last_seq ?? seen;
    for (const event of store.events(chat, seen + 1, last)) {
      if (event.message?.thread_id === rootId) messages.set(event.message.id, event.message);
    }
    seen = Math.max(seen, last);
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    const button = event.target instanceof Element ? event.target.closest('button[data-follow]') : null;
    if (!(button instanceof HTMLButtonElement)) return;
    const on = button.dataset.follow === 'on';
    problem.textContent = '';
    void actions.follow(chat, rootId, on).then(() => {
      follows = on;
      ctx.announce(on ? 'You follow this thread.' : 'This thread is muted.');
      draw();
    }, (error) => { problem.textContent = problemText(error); });
  }

  root.addEventListener('click', clicked);
  void load();
  return {
    /** @param {Set<string>} changes */
    update(changes) {
      composer?.update(changes);
      if (!changes.has(`timeline:${chat}`) && !changes.has(`pending:${chat}`) && !changes.has('users')) return;
      if (changes.has('users')) drawn.clear();
      take();
      draw();
    },
    focus() {
      const field = foot.querySelector('textarea');
      if (field && !field.disabled) field.focus();
      else scroller.focus();
    },
    destroy() {
      isGone = true;
      offClicks();
      composer?.destroy();
      root.removeEventListener('click', clicked);
    },
  };
}
