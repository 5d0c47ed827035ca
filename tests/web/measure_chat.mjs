// Measures the chat in a browser: `node measure_chat.mjs --binary PATH [--messages N] [--runs N]
// [--quick]`. Prints a table of times; fails if a result is wrong: a row that is missing, doubled or
// out of order, too many elements, too large a heap, too many requests.
import assert from 'node:assert/strict';
import { chromiumPath, logIn, startBrowser, visitor } from './browser.mjs';
import { startProxy } from './cut_proxy.mjs';
import { fillChat } from './fill_chat.mjs';
import { startServer } from './server.mjs';
import { PASSWORD, api } from './world.mjs';
import { followLink, longestFrame, noteInput, openOnScreen, ownMessage, rowsInOrder, switchTo, untilSeq, wheelDown } from './measure_page.mjs';

/** Elements of the page, and bytes of its heap after a collection, at most. */
const ELEMENTS_MAX = 4000;
const HEAP_BYTES_MAX = 25 * 1024 * 1024;
/** Requests and bytes of a visit without a cache: page, styles and script, besides icon, API and session. */
const REQUESTS_COLD_MAX = 3;
const BYTES_COLD_MAX = 80 * 1024;
const WAN = { rttMs: 40, bytesPerSecond: 20_000_000 / 8 };
/** Environment of a server that is measured. */
export const MEASURED = { NETBIT_LIMITS__RATES: 'false', NETBIT_LOG__LEVEL: 'warn' };

export const QUICK = { messages: 4000, runs: 3, switches: 6, own: 5, rows: 600, jumps: 3 };
const FULL = { messages: 100_000, runs: 15, switches: 20, own: 20, rows: 5000, jumps: 5 };

/** @param {number[]} times */
function spread(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (/** @type {number} */ part) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] * 10) / 10;
  return `median ${at(0.5)}, min ${at(0)}, max ${at(1)} (${times.length} runs)`;
}

/**
 * @param {{ server: any, browser: any, size?: typeof FULL, log?: (text: string) => void }} options
 */
export async function measureChat({ server, browser, size = FULL, log = console.log }) {
  const port = Number(new URL(server.url).port);
  const tokens = [];
  for (const [username, more] of [['alice', { setup_code: server.code }], ['bob', {}]]) {
    await api(server, '', 'POST', '/api/users/register', { username, password: PASSWORD, ...more });
    tokens.push((await api(server, '', 'POST', '/api/users/login', { username, password: PASSWORD })).token);
  }
  const chats = [];
  for (const name of ['large', 'small']) chats.push((await api(server, tokens[0], 'POST', '/api/chats', { kind: 'group', name, participants: ['bob'] })).id);
  const [large, small] = chats;
  const begun = performance.now();
  const last = await fillChat({ port, tokens, chat: large, messages: size.messages });
  const { items: begin } = await api(server, tokens[0], 'GET', `/api/chats/${large}/events?after_seq=0&limit=20`);
  const firstSeq = begin.find((/** @type {any} */ event) => event.kind === 'message').seq;
  const lastSmall = await fillChat({ port, tokens, chat: small, messages: 200, seed: 2 });
  log(`   ${size.messages.toLocaleString('en')} messages of mixed lengths by two users, written in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  await api(server, tokens[0], 'POST', '/api/chats/read', {});
  const { page, context, problems } = await visitor(browser);
  await logIn(page, server, 'alice', PASSWORD);
  const storageState = await context.storageState();

  const near = await openings(server.url);
  log(`   usable, loopback, ms: ${spread(near.times)}`);
  log(`   CPU time of the page until then, ms: ${spread(near.cpu)}`);
  const proxy = await startProxy(port, () => 1, WAN);
  log(`   usable, 40 ms RTT and 20 Mbit/s, ms: ${spread((await openings(`http://127.0.0.1:${proxy.port}`)).times)}`);
  proxy.stop();
  await page.goto(`${server.url}/chat/${large}`);
  await page.evaluate(openOnScreen, last);
  await switches();
  await ownMessages();
  await jumps();
  await find();
  await wheel();
  await atEnd();
  assert.deepEqual(problems, []);
  await context.close();

  /** Opens the chat in new profiles: times from the start of the navigation. @param {string} url */
  async function openings(url) {
    const [times, cpu] = [[], []];
    for (let run = 0; run < size.runs; run += 1) {
      const { page: fresh, context: profile, problems: found } = await visitor(browser, { storageState });
      // The process of the tab exists before; its start is the browser's.
      await fresh.goto(`${url}/api/server`, { waitUntil: 'networkidle' });
      const session = await profile.newCDPSession(fresh);
      await session.send('Network.enable');
      await session.send('Performance.enable', { timeDomain: 'threadTicks' });
      const [requests, bytes] = [{ files: 0, icon: 0, api: 0 }, { files: 0, icon: 0, api: 0 }];
      /** @type {Map<string, 'files' | 'icon' | 'api'>} */
      const kinds = new Map();
      session.on('Network.requestWillBeSent', ({ requestId, request }) => {
        const { pathname } = new URL(request.url);
        kinds.set(requestId, pathname.startsWith('/api/') ? 'api' : pathname.endsWith('/icon.svg') ? 'icon' : 'files');
      });
      session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
        const kind = kinds.get(requestId);
        if (!kind) return;
        requests[kind] += 1;
        bytes[kind] += encodedDataLength;
      });
      await fresh.goto(`${url}/chat/${large}`, { waitUntil: 'commit' });
      times.push(await fresh.evaluate(openOnScreen, last));
      const { metrics } = await session.send('Performance.getMetrics');
      cpu.push(metrics.find(({ name }) => name === 'TaskDuration').value * 1000);
      if (run === 0 && url === server.url) {
        await fresh.waitForLoadState('networkidle');
        const isLinked = await fresh.evaluate(() => !document.querySelector('script[src*="/assets/dev/"]'));
        log(`   a visit without a cache: ${Object.keys(requests).map((kind) => `${kind}: ${requests[kind]} requests, ${bytes[kind].toLocaleString('en')} bytes`).join('; ')}`);
        assert.ok(!isLinked || (requests.files <= REQUESTS_COLD_MAX && bytes.files + bytes.icon <= BYTES_COLD_MAX), JSON.stringify([requests, bytes]));
      }
      assert.deepEqual(found, []);
      await profile.close();
    }
    return { times, cpu };
  }

  /** Switches between two chats whose messages are in memory. */
  async function switches() {
    await page.evaluate(switchTo, [small, lastSmall]);
    const [times, frames] = [[], []];
    for (let n = 0; n < size.switches; n += 1) {
      const found = await page.evaluate(switchTo, n % 2 ? [small, lastSmall] : [large, last]);
      times.push(found.ms);
      frames.push(found.frames);
    }
    log(`   switch from memory, click to painted rows, ms: ${spread(times)}; frames: ${spread(frames)}`);
    if (size.switches % 2 === 0) await page.evaluate(switchTo, [large, last]);
  }

  /** Own messages: frames and time from the key to the row, and to the answer of the server. */
  async function ownMessages() {
    const found = [];
    for (let n = 0; n < size.own; n += 1) {
      await page.fill('#composer-text', `own message ${n}`);
      const seen = page.evaluate(ownMessage, `own message ${n}`);
      await page.press('#composer-text', 'Enter');
      found.push(await seen);
    }
    log(`   own message, key to painted row, ms: ${spread(found.map(({ ms }) => ms))}; to the answer, ms: ${spread(found.map(({ kept }) => kept))}`);
    assert.deepEqual(found.map(({ frames }) => frames), found.map(() => 1), 'an own message is in the next frame');
    log('   own message is painted in frame 1 after the key');
  }

  /** The first message, a date, a message in the middle, the end again. */
  async function jumps() {
    const times = { first: [], date: [], middle: [], end: [] };
    const head = await page.evaluate(() => Number([...document.querySelectorAll('.messages article[data-seq]')].at(-1)?.dataset.seq));
    await page.evaluate(noteInput);
    for (let n = 0; n < size.jumps; n += 1) {
      await page.focus('.messages li:last-child article');
      times.first.push(await after(() => page.keyboard.press('Home'), firstSeq));
      times.end.push(await after(() => page.click('.pill-present'), head));
      await page.click('.chat-head summary');
      // The menu is drawn again after it opens.
      await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30))); }));
      await page.fill('#chat-date', new Date(Date.now() - 86_400_000).toISOString().slice(0, 10));
      times.date.push(await after(() => page.click('.date-form button'), firstSeq));
      // Each time another part of the history, which is not loaded.
      const middle = Math.floor(last * (n + 1) / (size.jumps + 1));
      times.middle.push(await after(() => page.evaluate(followLink, `/chat/${large}/${middle}`), middle));
      await after(() => page.click('.pill-present'), head);
    }
    for (const [name, found] of Object.entries(times)) log(`   jump to ${name}, ms: ${spread(found)}`);
  }

  /** Acts, and returns the time until a message is on the screen. @param {() => Promise<void>} act @param {number} seq */
  async function after(act, seq) {
    await act();
    return page.evaluate(untilSeq, seq);
  }

  /** The search of the browser finds the loaded part; the chat has no search of its own. */
  async function find() {
    const found = await page.evaluate((texts) => texts.map((text) => window.find(text, true, false, true)), [`own message ${size.own - 1}`, 'message 1 ']);
    await page.evaluate(() => getSelection().empty());
    assert.deepEqual(found, [true, false], 'a search in the page finds what is loaded');
    log('   search in the page: finds the loaded rows (at most 300), and no others');
  }

  /** From the first message down through thousands of rows. */
  async function wheel() {
    await page.focus('.messages li:last-child article');
    await page.keyboard.press('Home');
    await page.evaluate(untilSeq, firstSeq);
    await page.mouse.move(760, 400);
    await page.evaluate(longestFrame, 'start');
    const begin = performance.now();
    const seen = await wheelDown(page, size.rows);
    const seconds = (performance.now() - begin) / 1000;
    const frames = await page.evaluate(longestFrame, 'stop');
    log(`   wheel from the first message down: ${seen.rows.toLocaleString('en')} rows in ${seconds.toFixed(1)} s, ${frames.count} frames, median ${frames.median} ms, longest ${frames.longest} ms`);
    log(`   most elements meanwhile: ${seen.elements.toLocaleString('en')}; rows ${seen.most}`);
    assert.ok(seen.elements <= ELEMENTS_MAX, `${seen.elements} elements`);
    await page.click('.pill-present');
    await page.evaluate(rowsInOrder);
  }

  async function atEnd() {
    const elements = await page.evaluate(() => document.querySelectorAll('*').length);
    const session = await context.newCDPSession(page);
    await session.send('HeapProfiler.collectGarbage');
    const { usedSize } = await session.send('Runtime.getHeapUsage');
    log(`   at the end: ${elements.toLocaleString('en')} elements, heap ${(usedSize / 1024 / 1024).toFixed(1)} MiB`);
    assert.ok(elements <= ELEMENTS_MAX, `${elements} elements`);
    assert.ok(usedSize <= HEAP_BYTES_MAX, `${usedSize} bytes of heap`);
  }
}

/** Runs the report by hand. */
async function main() {
  const args = process.argv.slice(2);
  const value = (/** @type {string} */ name, /** @type {string} */ or) => (args.includes(name) ? args[args.indexOf(name) + 1] : or);
  if (!chromiumPath()) throw new Error('no Chromium; set CHROMIUM to its path');
  const size = { ...(args.includes('--quick') ? QUICK : FULL) };
  size.messages = Number(value('--messages', String(size.messages)));
  size.runs = Number(value('--runs', String(size.runs)));
  const server = await startServer(value('--binary', new URL('../../target/release/netbit', import.meta.url).pathname), MEASURED);
  const browser = await startBrowser();
  try {
    await measureChat({ server, browser, size });
  } finally {
    await browser.close();
    assert.deepEqual(await server.stop(), [], 'the server panicked');
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) await main();
