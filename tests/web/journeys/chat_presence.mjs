// A user without input is away for others, and online at the first input; a page that is closed is
// offline. The five minutes pass on the clock of the page.
import assert from 'node:assert/strict';
import { logIn, visitor } from '../browser.mjs';
import { PASSWORD, api } from '../world.mjs';

const SLOW_MS = 20_000;
/** The clock moves in steps, so that the heartbeat of the session gets its answers. */
const STEP_SECONDS = 20;

/** Moves the clock of a page without input. */
async function idle(page, minutes) {
  for (let passed = 0; passed < minutes * 60; passed += STEP_SECONDS) {
    await page.clock.fastForward(STEP_SECONDS * 1000);
    await page.waitForTimeout(50);
  }
}

export default async function chatPresence({ server, browser }) {
  await api(server, '', 'POST', '/api/users/register', { username: 'alice', password: PASSWORD, setup_code: server.code });
  await api(server, '', 'POST', '/api/users/register', { username: 'bob', password: PASSWORD });
  const { token } = await api(server, '', 'POST', '/api/users/login', { username: 'alice', password: PASSWORD });
  const { id: chat } = await api(server, token, 'POST', '/api/chats', { kind: 'direct', participants: ['bob'] });
  await api(server, token, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content: 'hello' });
  const [alice, bob] = [await visitor(browser), await visitor(browser)];
  await bob.page.clock.install();
  for (const [{ page }, name] of [[alice, 'alice'], [bob, 'bob']]) {
    await logIn(page, server, name, PASSWORD);
    await page.goto(`${server.url}/chat/${chat}`);
    await page.waitForSelector('.chat-message:has-text("hello")');
  }
  /** Waits until alice sees the presence of bob: in the head, in the list, as a word and a shape. */
  const seen = async (status) => {
    await alice.page.waitForSelector(`.chat-head .chat-state:text-is("${status}")`, { timeout: SLOW_MS });
    await alice.page.waitForSelector(`.chat-head svg.presence-${status}`, { timeout: SLOW_MS });
    await alice.page.waitForSelector(`#sidebar a[href="/chat/${chat}"]:has-text("${status}")`, { timeout: SLOW_MS });
  };
  // A session that begins while its user is away sends the status in its first packet.
  const statuses = [];
  bob.page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => {
    const { packet_type: type, status } = JSON.parse(String(payload));
    if (type === 'Status' || (type === 'Hello' && status && status !== statuses.at(-1))) statuses.push(status);
  }));
  await bob.page.reload();
  await bob.page.waitForSelector('.chat-message:has-text("hello")');
  await seen('online');

  await bob.page.mouse.move(300, 300);
  await idle(bob.page, 4);
  assert.deepEqual(statuses, [], 'four minutes without input change nothing');
  await idle(bob.page, 3);
  await seen('away');
  await bob.page.mouse.move(310, 310);
  await seen('online');
  assert.deepEqual(statuses, ['away', 'online'], 'each change is sent once');

  // A page that loses its connection while its user is away stays away.
  await idle(bob.page, 7);
  await seen('away');
  await bob.page.evaluate(() => { for (const name of ['pagehide', 'pageshow']) window.dispatchEvent(new PageTransitionEvent(name, { persisted: true })); });
  await bob.page.waitForFunction(() => document.getElementById('state-bar')?.hidden !== false);
  await seen('away');
  await bob.page.keyboard.press('Shift');
  await seen('online');

  // A hidden page gets no input.
  const hide = (isHidden) => bob.page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    Object.defineProperty(document, 'visibilityState', { value: hidden ? 'hidden' : 'visible', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
  await hide(true);
  await idle(bob.page, 7);
  await seen('away');
  await hide(false);
  await seen('online');

  assert.deepEqual([alice.problems, bob.problems], [[], []]);
  await bob.context.close();
  await seen('offline');
  await alice.context.close();
}
