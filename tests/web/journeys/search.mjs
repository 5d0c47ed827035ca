// The search: its page without and with a script, hostile messages, phone and dark pages, the key, the
// switcher, and the menu of a chat.
import assert from 'node:assert/strict';
import { accessibility, logIn, overflow, shot, visitor } from '../browser.mjs';
import { HOSTILE, PASSWORD, api, fill } from '../world.mjs';

/** Messages that fill more than a page. */
const MANY = 25;

async function until(what, holds) {
  const end = performance.now() + 20_000;
  while (!await holds()) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((done) => { setTimeout(done, 100); });
  }
}

/** Chats with messages to find. */
async function messages(server, { alice, bob }) {
  const dev = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'dev', participants: ['bob'] });
  const direct = await api(server, bob, 'POST', '/api/chats', { kind: 'direct', participants: ['alice'] });
  const say = (token, chat, content, more = {}) => api(server, token, 'POST', `/api/chats/${chat.id}/messages`, { client_id: crypto.randomUUID(), content, ...more });
  for (let n = 0; n < MANY; n += 1) await say(bob, dev, `manifold ${n}`);
  for (const text of HOSTILE) await say(bob, dev, `hostile ${text}`);
  const root = await say(bob, dev, 'The disk of the build server is full again. I moved the old archives to the second disk, and set a limit for the cache: 40 GB should be enough until the new machine is there.');
  await say(alice, dev, 'Which disk? The one with `/var/lib` or the one with the archives?', { reply_to: root.id });
  await say(bob, direct, 'the disk is full because of your backup');
  await api(server, bob, 'PUT', `/api/chats/${dev.id}/messages/${root.id}/pin`);
  await until('the messages are found', async () => (await api(server, alice, 'GET', '/api/search?q=disk+backup')).messages.hits.length === 1);
  return { dev, direct, root };
}

/** The page, for a browser that runs no script. */
async function withoutScript(server, browser, { dev, root }) {
  const { page, context } = await visitor(browser, { javaScriptEnabled: false });
  await logIn(page, server, 'alice', PASSWORD);
  await page.click('header .to-search');
  await page.fill('#q', 'disk from:bob in:!' + dev.id);
  await page.click('main form button');
  assert.deepEqual(await page.locator('.hit').evaluateAll((links) => links.map((link) => link.getAttribute('href'))), [`/chat/${dev.id}/${root.seq}`]);
  assert.deepEqual(await page.locator('.hit mark').allTextContents(), ['disk', 'disk']);
  assert.equal(await page.inputValue('#q'), `disk from:bob in:!${dev.id}`);
  // Every hit is on one of the pages.
  await page.goto(`${server.url}/search?q=manifold`);
  const found = [];
  for (;;) {
    found.push(...await page.locator('.hit').evaluateAll((links) => links.map((link) => link.getAttribute('href'))));
    const more = page.locator('a[rel=next]');
    if (await more.count() === 0) break;
    await more.click();
  }
  assert.deepEqual([found.length, new Set(found).size], [MANY, MANY]);
  await page.click('.tabs a:text-is("People")');
  await page.fill('#q', 'bob');
  await page.keyboard.press('Enter');
  await page.click('main a.name[href="/people/bob"]');
  assert.equal(new URL(page.url()).pathname, '/people/bob');
  await context.close();
}

/** Checks width and accessibility of a page, and takes pictures, in both themes and widths. */
async function look(page, path, name) {
  const found = [];
  await page.goto(path);
  for (const [width, scheme] of [[1280, 'light'], [1280, 'dark'], [360, 'light'], [360, 'dark']]) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme: scheme });
    const wide = await overflow(page);
    if (wide) found.push(`${name} at ${width}: ${wide}`);
    for (const violation of await accessibility(page)) found.push(`${name} ${scheme} ${width}: ${violation}`);
    await shot(page, `search-${name}-${width}-${scheme}`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
  return found;
}

/** Keys, the switcher and the menu lead to messages. */
async function fromTheChat(page, server, { dev, direct }) {
  await page.goto(`${server.url}/projects`);
  await page.keyboard.press('/');
  await page.waitForURL(`${server.url}/search`);
  await page.fill('#q', 'disk');
  await page.locator('h1').click();
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'q');
  await page.goto(`${server.url}/chat/${dev.id}`);
  await page.waitForSelector('#chat .chat-message');
  const requests = [];
  page.on('request', (request) => { if (request.url().includes('/api/search')) requests.push(new URL(request.url()).searchParams.get('q')); });
  await page.keyboard.press('Control+K');
  await page.locator('#switcher-field').pressSequentially('backup', { delay: 20 });
  await page.waitForSelector('#switcher-list .hit-line');
  assert.deepEqual(requests, ['backup'], 'one request after the pause');
  assert.deepEqual(await page.locator('.hit-line mark').allTextContents(), ['backup']);
  assert.match(await page.locator('.hit-place').textContent(), /^bob · @bob$/);
  assert.deepEqual(await accessibility(page), []);
  await shot(page, 'search-switcher');
  await page.click('.hit-line');
  await page.waitForSelector('#chat .chat-message:has-text("because of your backup")');
  assert.match(new URL(page.url()).pathname, new RegExp(`^/chat/${direct.id}/\\d+$`));
  // Hostile messages are text.
  await page.keyboard.press('Control+K');
  await page.fill('#switcher-field', '? hostile');
  await page.waitForFunction(() => document.querySelectorAll('.hit-line').length === 5);
  assert.equal(await page.locator('#switcher-list :is(img, script, iframe, a)').count(), 0);
  for (const scheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width: 360, height: 700 });
    assert.equal(await overflow(page), '');
    await shot(page, `search-switcher-360-${scheme}`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.fill('#switcher-field', '? from:');
  await page.waitForSelector('#switcher-list .detail:has-text("from: needs a user name")');
  await page.keyboard.press('Escape');
  // The menu of a chat begins with the filter of this chat.
  await page.goto(`${server.url}/chat/${direct.id}`);
  await page.waitForSelector('#chat .chat-message');
  await page.click('.chat-head details.menu summary');
  await page.click('.chat-menu [data-act=search]');
  await page.waitForSelector('dialog.switcher[open]');
  assert.equal(await page.inputValue('#switcher-field'), '? in:@bob ');
  await page.locator('#switcher-field').pressSequentially('disk');
  await page.waitForSelector('.hit-line mark');
  assert.equal(await page.locator('.hit-line').count(), 1);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/search?q=${encodeURIComponent('in:@bob disk')}`);
  assert.equal(await page.locator('.hit').count(), 1);
}

export default async function journey({ server, browser }) {
  const world = await fill(server);
  const places = await messages(server, world);
  await withoutScript(server, browser, places);
  const { page, context, problems } = await visitor(browser);
  await logIn(page, server, 'alice', PASSWORD);
  const at = (query) => `${server.url}/search?q=${encodeURIComponent(query)}`;
  const found = [
    ...await look(page, `${server.url}/search`, 'empty'), ...await look(page, at('disk'), 'hits'), ...await look(page, at('hostile'), 'hostile'),
    ...await look(page, at('bo'), 'people'), ...await look(page, at('nothingofthiskind'), 'none'), ...await look(page, at('before:soon disk'), 'invalid'),
  ];
  assert.deepEqual(found, [], found.join('\n'));
  await page.goto(at('hostile'));
  const foreign = () => page.locator('main :is(img, script, iframe, style, svg, object, math, input:not(#q), base, meta, [onload], [onerror], [ontoggle])').count();
  assert.equal(await foreign(), 0);
  assert.ok(await page.locator('.hit .hidden-char').count() > 0, 'characters that change the order are marked');
  await fromTheChat(page, server, places);
  assert.deepEqual(problems, []);
  await context.close();
}
