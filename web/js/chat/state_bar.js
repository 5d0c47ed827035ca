// The bar that states what is wrong with the connection, and what to do.

import { api } from '../kit/api.js';
import { clock } from '../kit/clock.js';
import { el, fill } from '../kit/dom.js';

/** A connection that opens within this time is not worth a bar. */
const STATE_BAR_PATIENCE_MS = 1000;

/**
 * @typedef {object} BarFacts
 * @property {import('./types.js').Connection} connection
 * @property {boolean} isSlow it has been connecting for a while
 * @property {boolean} isOutdated the server has another version
 * @property {number} now of the clock for durations
 * @property {string} [problem] of another part of the page
 */

/**
 * Returns what the bar shows, or null.
 * @param {BarFacts} facts
 * @returns {{ tone: 'info' | 'warning', words: string, count?: string, action?: 'now' | 'login' | 'reload' } | null}
 */
export function barOf({ connection, isSlow, isOutdated, now, problem }) {
  const { state, retry_at: retryAt, notice } = connection;
  if (state === 'logged_out') return { tone: 'warning', words: 'You were logged out. Messages that are not sent stay in this browser.', action: 'login' };
  if (state === 'replaced') return { tone: 'warning', words: notice ?? 'Another user logged in in this browser.', action: 'reload' };
  if (state === 'waiting') {
    const seconds = retryAt === undefined ? 0 : Math.max(0, Math.ceil((retryAt - now) / 1000));
    return { tone: 'info', words: 'Not connected. Messages wait in this browser.', count: seconds ? `Reconnecting in ${seconds} s` : 'Reconnecting…', action: 'now' };
  }
  if (isOutdated) return { tone: 'info', words: 'The server has a new version.', action: 'reload' };
  if (problem) return { tone: 'warning', words: problem, action: 'reload' };
  if (notice) return { tone: 'warning', words: notice };
  if (state === 'connecting' && isSlow) return { tone: 'info', words: 'Connecting…' };
  return null;
}

/**
 * @param {HTMLElement} root
 * @param {import('./head.js').AroundContext} ctx
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
  const script = [...ctx.root.querySelectorAll('script[type=module][src]')].find((node) => node.getAttribute('src')?.includes('/chat/'))?.getAttribute('src');
  /** @type {string | null} */
  let version = null;
  let isOutdated = false;
  let problem = '';
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
    const bar = barOf({ connection, isSlow: clock() - since >= STATE_BAR_PATIENCE_MS, isOutdated, now: clock(), problem });
    root.hidden = bar === null;
    root.classList.toggle('is-warning', bar?.tone === 'warning');
    if (words.textContent !== (bar?.words ?? '')) words.textContent = bar?.words ?? '';
    count.textContent = bar?.count ?? '';
    button.hidden = bar?.action !== 'now' && bar?.action !== 'reload';
    button.textContent = bar?.action === 'reload' ? 'Reload' : 'Reconnect now';
    button.dataset.act = bar?.action ?? '';
    link.hidden = bar?.action !== 'login';
    if (bar?.action === 'login') link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
    const ticks = connection.state === 'waiting' || connection.state === 'connecting';
    if (ticks && timer === undefined) timer = setInterval(draw, 1000);
    if (!ticks && timer !== undefined) {
      clearInterval(timer);
      timer = undefined;
    }
  }

  /** Compares the version of the server, and the script of this page, with those of the start. */
  async function compare() {
    try {
      const server = await api('GET', '/api/server');
      const found = typeof server?.version === 'string' ? server.version : null;
      const isOther = version !== null && found !== null && found !== version;
      version ??= found;
      const isGone = script ? (await fetch(script, { method: 'HEAD', cache: 'no-store' })).status === 404 : false;
      isOutdated ||= isOther || isGone;
      draw();
    } catch {
      // The next connection compares again.
    }
  }

  function clicked() {
    if (button.dataset.act === 'reload') location.reload();
    else if (button.dataset.act === 'now') actions.reconnect();
  }

  button.addEventListener('click', clicked);
  ctx.root.getElementById('main')?.addEventListener('chat:problem', (event) => {
    ({ problem } = /** @type {CustomEvent} */ (event).detail);
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
