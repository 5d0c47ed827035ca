// Runs the commands of keys. `keys.js` finds the command of a key.

import { showKeys } from './key_list.js';
import { neighbour } from './neighbour.js';
import { chatFilter } from './message_search.js';
import { problemText, showProblem } from './problem.js';
import { rowKeys } from './row_keys.js';
import { wantsAttention } from './sections.js';

/**
 * @typedef {object} ShortcutViews
 * @property {ReturnType<typeof import('./timeline.js').createTimeline>} timeline
 * @property {ReturnType<typeof import('./sidebar.js').createSidebar>} sidebar
 * @property {ReturnType<typeof import('./panel.js').createPanel>} panel
 * @property {ReturnType<typeof import('./switcher.js').createSwitcher>} switcher
 * @property {ReturnType<typeof import('./inbox.js').createInbox>} inbox
 */

/**
 * @param {import('./types.js').Context} ctx
 * @param {ShortcutViews} views
 */
export function createShortcuts(ctx, { timeline, sidebar, panel, switcher, inbox }) {
  const { root, router, store, actions } = ctx;
  const rows = rowKeys(timeline.rows);
  const main = root.getElementById('main');

  const focusComposer = () => main?.dispatchEvent(new CustomEvent('chat:focus-composer'));
  const isInbox = () => router.current().page === 'inbox';

  /** The parts of the page that F6 visits. */
  function parts() {
    const id = (/** @type {string} */ name) => root.getElementById(name);
    const all = [
      { node: id('sidebar'), focus: () => sidebar.focus() },
      ...(isInbox() ? [{ node: id('inbox'), focus: () => inbox.focus() }] : [
        { node: main?.querySelector('#chat .timeline'), focus: () => rows.enter() },
        { node: id('composer-text')?.closest('form') ?? id('composer-text')?.parentElement, focus: focusComposer },
        { node: id('panel'), focus: () => panel.focus() }]),
    ];
    return all.filter(({ node }) => node instanceof HTMLElement && node.checkVisibility?.() !== false && !node.hidden);
  }

  /** @param {1 | -1} step */
  function nextPart(step) {
    const all = parts();
    const at = all.findIndex(({ node }) => node?.contains(root.activeElement));
    const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length];
    next?.focus();
  }

  /**
   * Opens the chat beside the open one; of unread ones or of those that name the user only.
   * @param {1 | -1} step
   * @param {'all' | 'unread' | 'mentions'} which
   */
  function goBeside(step, which) {
    const wants = (/** @type {import('./types.js').Chat} */ chat) => which === 'all' || (which === 'mentions' ? store.unread(chat.id).mentions > 0 : wantsAttention(chat, store.unread(chat.id)));
    const next = neighbour(sidebar.sections(), router.current().chat, step, wants);
    if (next) router.go(`/chat/${next.id}`);
    else ctx.announce(which === 'mentions' ? 'No unread mentions.' : 'No other unread chats.');
  }

  /** Closes one thing at a time, the innermost first. */
  function escape() {
    if (isInbox()) return router.go('/chat');
    if (panel.isOpen()) return panel.close();
    if (timeline.rows.clear()) return focusComposer();
    const { chat: id } = router.current();
    const chat = id === undefined ? undefined : store.chat(id);
    if (chat && store.unread(chat.id).count > 0) void actions.read(chat.id, chat.last_seq).then(() => ctx.announce('Marked as read.'), (error) => showProblem(problemText(error)));
    focusComposer();
  }

  /** Opens the switcher for messages of the open chat. */
  function searchChat() {
    const { chat: id } = router.current();
    const chat = id === undefined ? undefined : store.chat(id);
    switcher.open(chat ? `? ${chatFilter(chat)} ` : '? ');
  }

  /** @type {Record<string, () => unknown>} */
  const commands = {
    switcher: () => (switcher.isOpen() ? switcher.close() : switcher.open()),
    part: () => nextPart(1),
    'part-back': () => nextPart(-1),
    'chat-back': () => goBeside(-1, 'all'),
    'chat-forward': () => goBeside(1, 'all'),
    'unread-back': () => goBeside(-1, 'unread'),
    'unread-forward': () => goBeside(1, 'unread'),
    'next-unread': () => goBeside(1, 'unread'),
    'next-mention': () => goBeside(1, 'mentions'),
    'go-chat': () => router.go('/chat'),
    'go-inbox': () => router.go('/inbox'),
    'go-projects': () => location.assign('/projects'),
    'go-settings': () => location.assign('/settings/profile'),
    keys: () => showKeys(ctx),
    'search-chat': searchChat,
    escape,
  };

  /**
   * Runs a command on messages or notifications. Returns false if there is nothing to run it on.
   * @param {string} command
   */
  function onRows(command) {
    if (isInbox()) {
      if (command === 'down' || command === 'up') inbox.move(command === 'down' ? 1 : -1);
      else if (command === 'first' || command === 'last') inbox.edge(command);
      else if (command === 'edit') inbox.readFocused();
      else if (command === 'read-all') inbox.readAll();
      else return false;
      return true;
    }
    if (router.current().chat === undefined) return false;
    if (command === 'down' || command === 'up') rows.move(command === 'down' ? 1 : -1);
    else if (command === 'first' || command === 'last') void rows.edge(command);
    else if (timeline.rows.selected()) rows.act(command);
    else return false;
    return true;
  }

  return {
    /**
     * Runs a command.
     * @param {string} command
     */
    run(command) {
      if (command === 'switcher' && root.querySelector('dialog[open]') && !switcher.isOpen()) return;
      const run = commands[command];
      if (run) run();
      else onRows(command);
    },
  };
}
