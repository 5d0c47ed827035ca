// The server is killed after it has committed a message, before the answer arrives. On the screens
// of both users every message stands once, and what was written meanwhile is sent.
import assert from 'node:assert/strict';
import { logIn, shot, visitor } from '../browser.mjs';
import { startProxy } from '../cut_proxy.mjs';
import { PASSWORD, api } from '../world.mjs';

const TEXTS = ['before the crash', 'while the server is down', 'after the crash'];

/** Writes a message in the composer. */
async function write(page, text) {
  await page.fill('#composer-text', text);
  await page.locator('#composer-text').press('Enter');
  await page.waitForFunction((wanted) => [...document.querySelectorAll('.chat-message')].some((row) => row.textContent?.includes(wanted)), text);
}

/** How often each text stands on the screen. */
const counts = (page) => page.evaluate((texts) => {
  const rows = [...document.querySelectorAll('.chat-message .text')].map((node) => node.textContent?.trim());
  return texts.map((text) => rows.filter((row) => row === text).length);
}, TEXTS);

/** Waits until every text stands there, and fails if one stands there twice meanwhile. */
async function untilOnce(page, name) {
  for (let tries = 0; tries < 300; tries += 1) {
    const found = await counts(page);
    assert.ok(found.every((count) => count <= 1), `twice on the screen of ${name}: ${found}`);
    if (found.every((count) => count === 1)) return;
    await page.waitForTimeout(100);
  }
  assert.fail(`not all on the screen of ${name}: ${await counts(page)}`);
}

/** Waits until nothing is unsent in the browser. */
const untilSent = (page) => page.waitForFunction(() => !Object.keys(localStorage).some((key) => key.includes('unsent:')), null, { timeout: 30_000 });

export default async function chatCrash({ server, browser }) {
  await api(server, '', 'POST', '/api/users/register', { username: 'alice', password: PASSWORD, setup_code: server.code });
  await api(server, '', 'POST', '/api/users/register', { username: 'bob', password: PASSWORD });
  const { token } = await api(server, '', 'POST', '/api/users/login', { username: 'alice', password: PASSWORD });
  const chat = await api(server, token, 'POST', '/api/chats', { kind: 'group', name: 'dev', participants: ['bob'] });
  const proxy = await startProxy(Number(new URL(server.url).port), Math.random);
  const site = { url: `http://127.0.0.1:${proxy.port}` };
  const [alice, bob] = [await visitor(browser), await visitor(browser)];
  try {
    for (const [one, name] of [[alice, 'alice'], [bob, 'bob']]) {
      await logIn(one.page, site, name, PASSWORD);
      await one.page.goto(`${site.url}/chat/${chat.id}`);
      await one.page.waitForSelector('#composer-text:visible');
      await one.page.waitForFunction(() => document.querySelector('.chat-message, .messages li'));
    }
    proxy.hold();
    await write(alice.page, TEXTS[0]);
    for (let tries = 0; ; tries += 1) {
      const { items } = await api(server, token, 'GET', `/api/chats/${chat.id}/messages`);
      if (items.some((message) => message.content === TEXTS[0])) break;
      assert.ok(tries < 100, 'the message does not reach the server');
      await alice.page.waitForTimeout(50);
    }
    await server.kill();
    await write(alice.page, TEXTS[1]);
    await shot(alice.page, 'chat-crash');
    proxy.cutAll();
    proxy.release();
    await alice.page.waitForTimeout(1000);
    await server.restart();
    await write(alice.page, TEXTS[2]);
    await untilOnce(alice.page, 'alice');
    await untilOnce(bob.page, 'bob');
    await untilSent(alice.page);
    await alice.page.reload();
    await untilOnce(alice.page, 'alice after a reload');
    const { items } = await api(server, token, 'GET', `/api/chats/${chat.id}/messages`);
    assert.deepEqual(items.map((message) => message.content), TEXTS);
    assert.deepEqual([alice.problems, bob.problems], [[], []]);
  } finally {
    proxy.stop();
    await alice.context.close();
    await bob.context.close();
  }
}
