// Discuss these lines: from a file, a blame and changes to a message with code. And the count of the
// inbox in the header of other pages.
import assert from 'node:assert/strict';
import { accessibility, logIn, overflow, shot, visitor } from '../browser.mjs';
import { PASSWORD, api, fill } from '../world.mjs';

async function check(page, name) {
  await shot(page, `discuss-${name}`);
  assert.deepEqual(await accessibility(page), [], `accessibility of ${name}`);
  assert.equal(await overflow(page), '', `width of ${name}`);
}

/** Follows the link, and returns the code that it carries. */
async function follow(page, server, channel) {
  await page.click('[data-line-bar] a:text-is("Discuss")');
  await page.waitForURL(`${server.url}/chat/${channel}?code=*`);
  await page.waitForSelector('.composer-place :text("src/main.rs")');
  return new URL(page.url()).searchParams.get('code');
}

export default async function journey({ server, browser }) {
  const { alice, bob } = await fill(server);
  const { items } = await api(server, alice, 'GET', '/api/projects');
  const channel = items.find((project) => project.name === 'hello').channel_id;
  const { page, problems, context } = await visitor(browser);
  page.setDefaultTimeout(10_000);
  await logIn(page, server, 'alice', PASSWORD);

  await page.goto(`${server.url}/alice/hello/web/-/blob/main/src/main.rs#L2-L3`);
  await page.waitForSelector('[data-line-bar]:not([hidden])');
  await check(page, 'blob');
  const code = await follow(page, server, channel);
  assert.match(code, /^alice\/hello\/web@[0-9a-f]{40}:src\/main\.rs#L2-L3$/);
  await check(page, 'chip');
  await page.fill('#composer-text', 'Why is this here?');
  await page.press('#composer-text', 'Enter');
  await page.waitForSelector('#chat .chat-message:has-text("Why is this here?")');
  const sent = (await api(server, bob, 'GET', `/api/chats/${channel}/messages?limit=1`)).items[0];
  const { oid, ...lines } = sent.metadata.code;
  assert.deepEqual(lines, { repository: 'alice/hello/web', path: 'src/main.rs', from: 2, to: 3 });
  assert.match(oid, /^[0-9a-f]{40}$/);

  await page.goto(`${server.url}/alice/hello/web/-/blame/main/src/main.rs#L1-L2`);
  await page.waitForSelector('[data-line-bar]:not([hidden])');
  await check(page, 'blame');
  assert.match(await follow(page, server, channel), /#L1-L2$/);

  await page.goto(`${server.url}/alice/hello/web/-/compare/topic...main`);
  await page.click('.diff-file .links button:text-is("Discuss lines")');
  await page.keyboard.type('1-2');
  await page.waitForSelector('tr.chosen');
  await check(page, 'changes');
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/chat/${channel}?code=*`);
  assert.match(new URL(page.url()).searchParams.get('code'), /src\/main\.rs#L1-L2$/);

  await api(server, bob, 'POST', `/api/chats/${channel}/messages`, { client_id: crypto.randomUUID(), content: '@alice look' });
  await page.goto(`${server.url}/projects`);
  await page.waitForSelector('a[data-inbox] .badge');
  const unread = (await api(server, alice, 'GET', '/api/notifications?unread=true')).items.length;
  assert.equal(await page.locator('a[data-inbox] .badge').textContent(), String(unread));
  await check(page, 'badge');
  assert.deepEqual(problems, []);
  await context.close();
}
