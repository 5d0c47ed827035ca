// Users share a browser: texts and choices of one are not those of the next.
import assert from 'node:assert/strict';
import { logIn, visitor } from '../browser.mjs';
import { PASSWORD, api, fill } from '../world.mjs';

const FIELD = '#composer-text';
const OID = 'a'.repeat(40);

export default async function journey({ server, browser }) {
  const { alice, bob } = await fill(server);
  const dev = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'dev', participants: ['bob'] });
  const say = (token, content) => api(server, token, 'POST', `/api/chats/${dev.id}/messages`, { client_id: crypto.randomUUID(), content });
  const root = await say(bob, 'the root of a thread');
  const code = `?code=${encodeURIComponent(`alice/hello/web@${OID}:src/main.rs#L1-L2`)}`;
  await say(bob, `a link: [here](/chat/${dev.id}${code})`);
  const { page, context, problems } = await visitor(browser);
  const thread = `${server.url}/chat/${dev.id}/thread/${root.id}`;
  const hint = () => page.textContent('#composer-hint');
  const banners = () => page.locator('.composer-banner:visible').count();
  const open = async (path) => {
    await page.goto(path.startsWith('http') ? path : `${server.url}${path}`);
    await page.waitForSelector(FIELD, { state: 'visible' });
  };

  page.setDefaultTimeout(6000);
  await logIn(page, server, 'alice', PASSWORD);
  await open(thread);
  const reply = page.locator('#panel textarea');
  await reply.fill('a draft of alice in a thread');
  await page.waitForTimeout(500);
  await open(thread);
  assert.equal(await reply.inputValue(), 'a draft of alice in a thread');

  // Lines are attached once, survive a reload, and are not attached by a link in a message.
  await open(`/chat/${dev.id}${code}`);
  await page.waitForSelector('.composer-banner');
  await page.reload();
  await page.waitForSelector('.composer-banner');
  await page.click('[data-act=cancel-code]');
  await page.reload();
  await page.waitForSelector(FIELD, { state: 'visible' });
  await page.waitForTimeout(500);
  assert.equal(await banners(), 0);
  await page.click('#chat .text a:has-text("here")');
  await page.waitForTimeout(500);
  assert.equal(await banners(), 0);

  // Enter breaks the line of code.
  assert.match(await hint(), /^Enter sends/);
  await page.fill(FIELD, '```\ncode');
  await page.focus(FIELD);
  await page.keyboard.press('Enter');
  assert.equal(await page.inputValue(FIELD), '```\ncode\n');
  assert.equal(await hint(), 'In code, Ctrl+Enter sends.');
  await page.keyboard.press('Control+Enter');
  await page.waitForFunction((field) => document.querySelector(field).value === '', FIELD);
  assert.match(await hint(), /^Enter sends/);

  // A storage that is full: the row states it, and the page asks before it is left.
  await page.evaluate(() => {
    Storage.prototype.setItem = () => { throw new Error('full'); };
    WebSocket.prototype.send = () => {};
  });
  await page.fill(FIELD, 'not stored');
  await page.keyboard.press('Control+Enter');
  await page.waitForSelector('#chat .state:has-text("Not stored: keep this page open")');
  const asks = () => page.evaluate(() => !dispatchEvent(new Event('beforeunload', { cancelable: true })));
  assert.equal(await asks(), true);

  // Another user logs in in another tab: this one ends.
  const other = await context.newPage();
  await context.clearCookies();
  await logIn(other, server, 'bob', PASSWORD);
  await page.waitForSelector('#state-bar:has-text("You are logged in as bob")');
  await other.goto(thread);
  const field = other.locator('#panel textarea');
  await field.waitFor();
  await other.waitForTimeout(500);
  assert.equal(await field.inputValue(), '');
  assert.equal(await other.inputValue(FIELD), '');
  const keys = await other.evaluate(() => Object.keys(localStorage));
  assert.deepEqual(keys.filter((key) => /^netbit:(recents|last_chat|desktop|inbox-all|composer)(:\d+:?\d*)?$/.test(key) && !/:[12]$/.test(key)), []);
  assert.deepEqual(problems, []);
  await context.close();
}
