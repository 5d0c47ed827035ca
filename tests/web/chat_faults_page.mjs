// A page of the chat in Chromium, among the clients of `chat_faults.mjs`: it writes with the
// keyboard, loses its connection like them, and shows at the end what the server has.
import assert from 'node:assert/strict';
import { logIn, visitor } from './browser.mjs';
import { PASSWORD } from './world.mjs';

const FIELD = '#composer-text';
const pause = (/** @type {number} */ ms) => new Promise((done) => { setTimeout(done, ms); });

/** Runs in the page: returns the rows of messages. */
const rowsOf = () => [...document.querySelectorAll('.messages article[data-id]')].map((row) => ({
  seq: Number(row.dataset.seq),
  id: Number(row.dataset.id),
  text: row.querySelector('.text')?.textContent ?? '',
  deleted: row.classList.contains('is-deleted'),
  edited: row.querySelector('.edited') !== null,
  pinned: row.classList.contains('is-pinned'),
  reactions: [...row.querySelectorAll('.reaction:not(.add)')].map((node) => `${node.dataset.emoji} ${node.querySelector('.number').textContent}`),
}));

/** The same of the server. @param {any} message */
const expectedOf = ({ seq, id, content, deleted = false, edited_at: edited, pinned = false, reactions = [] }) => ({
  seq, id, deleted,
  text: deleted ? '' : content,
  edited: !deleted && edited !== undefined,
  pinned: !deleted && pinned,
  reactions: deleted ? [] : reactions.map((/** @type {any} */ { emoji, user_ids: users }) => `${emoji} ${users.length}`),
});

/**
 * Logs in through the proxy, and opens a chat.
 * @param {{ browser: any, port: number, username: string, chat: number, random: () => number }} options
 */
export async function openFaultPage({ browser, port, username, chat, random }) {
  const { page, context, problems } = await visitor(browser);
  const url = `http://127.0.0.1:${port}`;
  await logIn(page, { url }, username, PASSWORD);
  await page.goto(`${url}/chat/${chat}`);
  await page.waitForSelector(`${FIELD}:visible`);
  await page.waitForSelector('.messages article[data-id]');
  /** @type {string[]} */
  const written = [];

  /** Leaves the page and returns: the program closes its connection and opens another. */
  const reconnect = () => page.evaluate(() => {
    for (const name of ['pagehide', 'pageshow']) window.dispatchEvent(new PageTransitionEvent(name, { persisted: true }));
  });

  return {
    count: () => written.length,
    /** Writes messages, scrolls, and reconnects at random. @param {number} seconds */
    async write(seconds) {
      const end = Date.now() + seconds * 1000;
      while (Date.now() < end) {
        const text = `${username} ${written.length}`;
        await page.fill(FIELD, text);
        await page.press(FIELD, 'Enter');
        written.push(text);
        if (random() < 0.06) await reconnect();
        if (random() < 0.2) await page.evaluate(() => { document.querySelector('.timeline-scroll').scrollTop -= 900; });
        await pause(300 + random() * 900);
      }
    },
    /** Waits until nothing is unsent, and the state bar states no problem. */
    async calm() {
      await page.evaluate(() => { window.dispatchEvent(new Event('online')); });
      await page.waitForFunction(() => !Object.keys(localStorage).some((key) => key.includes('unsent:')), null, { timeout: 120_000 });
      await page.waitForSelector('#state-bar', { state: 'hidden', timeout: 60_000 });
    },
    /**
     * Compares every row of the window with the events of the chat; returns the number of rows.
     * @param {any[]} events
     */
    async compare(events) {
      const messages = events.filter((event) => event.kind === 'message').map((event) => expectedOf(event.message));
      const own = events.filter((event) => event.kind === 'message' && event.message.content.startsWith(`${username} `));
      assert.deepEqual(own.map((event) => event.message.content), written, 'messages of the page: each once, in order');
      await page.evaluate(() => { document.querySelector('.timeline-pill:not([hidden]) .pill-present')?.click(); });
      await page.waitForFunction((seq) => Number([...document.querySelectorAll('.messages article[data-id]')].at(-1)?.dataset.seq) === seq, messages.at(-1).seq, { timeout: 30_000 });
      const rows = await page.evaluate(rowsOf);
      assert.deepEqual(rows, messages.slice(-rows.length), 'rows of the page');
      assert.deepEqual(problems, []);
      return rows.length;
    },
    close: () => context.close(),
  };
}
