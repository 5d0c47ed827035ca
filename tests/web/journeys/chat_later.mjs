// The second part of the chat program is loaded at its first use: reading, typing and sending need
// the first part only. A first click waits for the second part, and a failure is stated.
import assert from 'node:assert/strict';
import { visitor, logIn } from '../browser.mjs';
import { PASSWORD, api } from '../world.mjs';

const FIELD = '#composer-text';
const MORE = '**/chat/more.js';

export default async function chatLater({ server, browser }) {
  await api(server, '', 'POST', '/api/users/register', { username: 'alice', password: PASSWORD, setup_code: server.code });
  await api(server, '', 'POST', '/api/users/register', { username: 'bob', password: PASSWORD });
  const { token } = await api(server, '', 'POST', '/api/users/login', { username: 'bob', password: PASSWORD });
  const chat = await api(server, token, 'POST', '/api/chats', { kind: 'group', name: 'dev', participants: ['alice'] });
  const say = (content) => api(server, token, 'POST', `/api/chats/${chat.id}/messages`, { client_id: crypto.randomUUID(), content });
  const hello = await say('hello');
  await api(server, token, 'POST', `/api/chats/${chat.id}/messages`, { client_id: crypto.randomUUID(), content: 'a reply', reply_to: hello.id });

  const { page, context, problems } = await visitor(browser);
  await logIn(page, server, 'alice', PASSWORD);
  const requests = [];
  page.on('request', (request) => { if (request.url().endsWith('/chat/more.js')) requests.push(request.url()); });

  // The first use fails, and the text stays.
  await page.route(MORE, (route) => route.abort());
  await page.goto(`${server.url}/chat/${chat.id}`);
  await page.waitForSelector('.chat-message:has-text("a reply")');
  await page.focus(FIELD);
  await page.keyboard.type('plain text');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.chat-message:not(.is-sending):has-text("plain text")');
  assert.deepEqual(requests, []);
  await page.keyboard.type('/leave');
  await page.waitForSelector('.state-bar:has-text("did not load")');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.composer-problem:has-text("Your text is kept")');
  assert.equal(await page.inputValue(FIELD), '/leave');

  // The next use loads it. A command asks first.
  await page.unroute(MORE);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.composer-problem button:has-text("Leave dev")');
  assert.ok(await page.isHidden('.state-bar'));
  await page.fill(FIELD, '');

  // The first click is not lost while the second part is on its way, also when the row is drawn again.
  let release = () => {};
  const held = new Promise((done) => { release = () => done(undefined); });
  await page.route(MORE, async (route) => { await held; await route.fallback(); });
  await page.goto(`${server.url}/chat/${chat.id}`);
  await page.click('.quote');
  assert.equal(await page.locator('.is-target').count(), 0);
  await say('look :tada:');
  await page.waitForSelector('.chat-message:has-text("look :tada:")');
  release();
  await page.waitForSelector('.is-target:has-text("hello")');
  await page.waitForSelector('.chat-message:has-text("look 🎉")');

  // So is the first key.
  await page.unroute(MORE);
  await page.goto(`${server.url}/chat/${chat.id}`);
  await page.waitForSelector('.chat-message:has-text("a reply")');
  await page.keyboard.press('Control+k');
  await page.waitForSelector('dialog.switcher[open]');
  assert.deepEqual(problems.filter((problem) => !/more\.js|ERR_FAILED/.test(problem)), []);
  await context.close();
}
