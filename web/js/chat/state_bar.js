// The bar that states what is wrong with the connection, and what to do.

import { clock } from '../kit/clock.js';
import { el, fill, text } from '../kit/dom.js';

/** The words of the buttons. */
const BAR_BUTTONS = { now: 'Reconnect now', reload: 'Reload', close: 'Close' };
/** A connection that opens within this time is not worth a bar. */
const STATE_BAR_PATIENCE_MS = 1000;

/**
 * @typedef {object} BarFacts
 * @property {import('./types.js').Connection} connection
 * @property {boolean} isSlow it has been connecting for a while
 * @property {boolean} isOutdated the server has another version of the pages
 * @property {number} now of the clock for durations
 * @property {string} [problem] of another part of the page
 * @property {'reload' | 'close'} [remedy] for the problem
 */

/**
 * Returns what the bar shows, or null.
 * @param {BarFacts} facts
 * @returns {{ tone: 'info' | 'warning', words: string, count?: string, action?: 'now' | 'login' | 'reload' | 'close' } | null}
 */
export function barOf({ connection, isSlow, isOutdated, now, problem, remedy = 'reload' }) {
  const { state, retry_at: retryAt, notice } = connection;
  if (state === 'logged_out') return { tone: 'warning', words: 'You were logged out. Messages that are not sent stay in this browser.', action: 'login' };
  if (state === 'replaced') return { tone: 'warning', words: notice ?? 'Another user logged in in this browser.', action: 'reload' };
  if (state === 'waiting') {
    const seconds = retryAt === undefined ? 0 : Math.max(0, Math.ceil((retryAt - now) / 1000));
    return { tone: 'info', words: 'Not connected. Messages wait in this browser.', count: seconds ? `Reconnecting in ${seconds} s` : 'Reconnecting…', action: 'now' };
  }
  if (isOutdated) return { tone: 'info', words: 'The server has a new version.', action: 'reload' };
  if (problem) return { tone: 'warning', words: problem, action: remedy };
  if (notice) return { tone: 'warning', words: notice };
  if (state === 'connecting' && isSlow) return { tone: 'info', words: 'Connecting…' };
  return null;
}

/**
 * @param {HTMLElement} root
 * @param {import('./types.js').Context} ctx
 */
export function createStateBar(root, ctx) {
  const { store, actions } = ctx;
  const words = el('p', { role: 'status' });
  // The seconds change: they are not announced.
  const count = el('span', { class: 'number' });
  const button = el('button', { type: 'button' });
  const link = el('a', { class: 'button', href: '/login' }, 'Log in');
  root.classList.add('state-bar');
  fill(root, words, count, button, link);
  let isOutdated = false;
  let problem = '';
  /** @type {'reload' | 'close'} */
  let remedy = 'reload';
  let since = clock();
  let before = '';
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;

  function draw() {
    const connection = store.connection();
    if (connection.state !== before) {
      since = clock();
      if (connection.state === 'online' && before !== 'online') void compare();
      before = connection.state;
    }
    const bar = barOf({ connection, isSlow: clock() - since >= STATE_BAR_PATIENCE_MS, isOutdated, now: clock(), problem, remedy });
    root.hidden = bar === null;
    root.classList.toggle('is-warning', bar?.tone === 'warning');
    text(words, bar?.words ?? '');
    text(count, bar?.count ?? '');
    const action = bar?.action ?? 'login';
    link.hidden = bar?.action !== 'login';
    button.hidden = action === 'login';
    if (action !== 'login') text(button, BAR_BUTTONS[action]);
    button.dataset.act = action;
    if (!link.hidden) link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
    const ticks = connection.state === 'waiting' || connection.state === 'connecting';
    if (ticks && timer === undefined) timer = setInterval(draw, 1000);
    if (!ticks && timer !== undefined) {
      clearInterval(timer);
      timer = undefined;
    }
  }

  /** Finds out whether the server has this script: that of another version has another address. */
  async function compare() {
    try {
      isOutdated ||= (await fetch(import.meta.url, { method: 'HEAD', cache: 'no-store' })).status === 404;
      draw();
    } catch {
      // The next connection compares again.
    }
  }

  function clicked() {
    if (button.dataset.act === 'reload') location.reload();
    else if (button.dataset.act === 'now') actions.reconnect();
    else problem = '';
    draw();
  }

  button.addEventListener('click', clicked);
  ctx.root.getElementById('main')?.addEventListener('chat:problem', (event) => {
    ({ problem, action: remedy } = /** @type {CustomEvent} */ (event).detail);
    draw();
  });
  draw();
  return {
    /** @param {Set<string>} changes */
    update(changes) {
      if (changes.has('connection')) draw();
    },
  };
}
