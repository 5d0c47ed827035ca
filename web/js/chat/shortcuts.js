// The keys of the chat program. Single keys share the setting `keys-off` with the other pages.

import { el } from '../kit/dom.js';
import { KEY_LIST, commandOf } from './key_table.js';

/** The name of the setting that all pages share (`page/keys.js`). */
const SINGLE_KEYS_OFF = 'keys-off';
/** The time between g and the next key. */
const AFTER_G_MS = 1500;

/**
 * @typedef {object} ShortcutViews
 * @property {any} timeline
 * @property {ReturnType<typeof import('./sidebar.js').createSidebar>} sidebar
 * @property {ReturnType<typeof import('./panel.js').createPanel>} panel
 * @property {ReturnType<typeof import('./switcher.js').createSwitcher>} switcher
 * @property {ReturnType<typeof import('./inbox.js').createInbox>} inbox
 */

/** Returns whether single keys are switched off. */
function areKeysOff() {
  try {
    return localStorage.getItem(SINGLE_KEYS_OFF) === '1';
  } catch {
    return false;
  }
}

/** @param {boolean} off */
function setKeysOff(off) {
  try {
    localStorage.setItem(SINGLE_KEYS_OFF, off ? '1' : '0');
  } catch {
    // The choice ends with the page.
  }
}

/** @param {EventTarget | null} target */
const isTextField = (target) => target instanceof HTMLElement
  && (target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName) || (target instanceof HTMLInputElement && !/^(checkbox|radio|button)$/.test(target.type)));

/**
 * Shows the list of all keys.
 * @param {Document} root
 */
export function showKeys(root) {
  if (root.querySelector('dialog[open]')) return;
  const choice = el('input', { type: 'checkbox', id: 'single-keys', checked: !areKeysOff() });
  choice.addEventListener('change', () => setKeysOff(!choice.checked));
  const close = el('button', { type: 'button', class: 'primary' }, 'Close');
  const tables = KEY_LIST.map(([title, rows]) => el('section', null, el('h3', null, title),
    el('table', null, el('tbody', null, ...rows.map(([keys, words]) => el('tr', null, el('th', { scope: 'row' }, ...keyNames(keys)), el('td', null, words)))))));
  const title = el('h2', { id: 'keys-title', tabindex: -1 }, 'Keyboard shortcuts');
  const dialog = el('dialog', { class: 'chat-dialog keys-dialog', 'aria-labelledby': 'keys-title' }, title,
    el('div', { class: 'keys-tables' }, ...tables), el('div', { class: 'choice' }, choice, el('label', { for: 'single-keys' }, 'Use single keys')), el('div', { class: 'actions' }, close));
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  (root.getElementById('main') ?? root.body).append(dialog);
  dialog.showModal();
  title.focus();
}

/** @param {string} keys */
function keyNames(keys) {
  return keys.split(' ').flatMap((key, at) => [at ? ' ' : null, el('kbd', null, key)]);
}

/**
 * @param {import('./head.js').AroundContext} ctx
 * @param {ShortcutViews} views
 */
export function createShortcuts(ctx, { timeline, sidebar, panel, switcher, inbox }) {
  const { root, router, store, actions } = ctx;
  const main = root.getElementById('main');
  let gAt = -Infinity;

  const focusComposer = () => main?.dispatchEvent(new CustomEvent('chat:focus-composer'));
  const isInbox = () => router.current().page === 'inbox';

  /** The parts of the page that F6 visits. */
  function parts() {
    const id = (/** @type {string} */ name) => root.getElementById(name);
    const all = [
      { node: id('sidebar'), focus: () => sidebar.focus() },
      ...(isInbox() ? [{ node: id('inbox'), focus: () => inbox.focus() }] : [
        { node: main?.querySelector('#chat .timeline'), focus: () => (timeline?.focus ? timeline.focus() : timeline?.move?.(0)) },
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

  /** Closes one thing at a time, the innermost first. */
  function escape() {
    if (isInbox()) return router.go('/chat');
    if (panel.isOpen()) return panel.close();
    if (timeline?.clear?.()) return focusComposer();
    const { chat: id } = router.current();
    const chat = id === undefined ? undefined : store.chat(id);
    if (chat && store.unread(chat.id).count > 0) void actions.read(chat.id, chat.last_seq).then(() => ctx.announce('Marked as read.'), () => {});
    focusComposer();
  }

  /** @type {Record<string, () => unknown>} */
  const commands = {
    switcher: () => (switcher.isOpen() ? switcher.close() : switcher.open()),
    part: () => nextPart(1),
    'part-back': () => nextPart(-1),
    'chat-back': () => sidebar.go(-1, 'all'),
    'chat-forward': () => sidebar.go(1, 'all'),
    'unread-back': () => sidebar.go(-1, 'unread'),
    'unread-forward': () => sidebar.go(1, 'unread'),
    'next-unread': () => sidebar.go(1, 'unread'),
    'next-mention': () => sidebar.go(1, 'mentions'),
    'go-chat': () => router.go('/chat'),
    'go-inbox': () => router.go('/inbox'),
    'go-projects': () => location.assign('/projects'),
    'go-settings': () => location.assign('/settings/profile'),
    filter: () => sidebar.focusFilter(),
    keys: () => showKeys(root),
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
    if (router.current().chat === undefined || !timeline) return false;
    if (command === 'down' || command === 'up') timeline.move?.(command === 'down' ? 1 : -1);
    else if (command === 'first' || command === 'last') timeline.edge?.(command);
    else if (timeline.selected?.()) timeline.act?.(command);
    else return false;
    return true;
  }

  /** @param {KeyboardEvent} event */
  function pressed(event) {
    if (event.defaultPrevented) return;
    const target = event.target instanceof Element ? event.target : null;
    const openDialog = root.querySelector('dialog[open]');
    const afterG = ctx.now() - gAt < AFTER_G_MS;
    const command = commandOf(event, { inField: isTextField(target), inDialog: openDialog !== null, singleOff: areKeysOff(), afterG });
    if (event.key !== 'Shift') gAt = -Infinity;
    if (!command || (command === 'switcher' && openDialog && !switcher.isOpen())) return;
    if (command === 'g') {
      gAt = ctx.now();
      return;
    }
    // Arrows, Home and End belong to lists, menus and regions that scroll, except for the timeline.
    const isOwn = !target || target === root.body || target === main || target.closest('#inbox, .timeline, .chat-message') !== null;
    if (/^(Arrow|Home|End)/.test(event.key) && !event.altKey && !isOwn) return;
    const run = commands[command];
    if (run) run();
    else if (!onRows(command)) return;
    event.preventDefault();
  }

  root.addEventListener('keydown', pressed);
  return {
    update() {},
    destroy: () => root.removeEventListener('keydown', pressed),
  };
}
