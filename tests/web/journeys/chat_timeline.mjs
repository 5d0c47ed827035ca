// The timeline of a chat: nothing moves what the reader sees; jumps, marks, keys, screen readers.
import assert from 'node:assert/strict';
import { accessibility, logIn, overflow, shot, visitor } from '../browser.mjs';
import { PASSWORD, api, fill } from '../world.mjs';

const MESSAGES = 420;
/** Elements of the whole page at most. */
const ELEMENTS_MAX = 4000;
const SLOW_MS = 10_000;

/** Posts the history: texts of all kinds. @returns the ids of the messages by their number */
async function write(server, chat, { alice, bob }) {
  const ids = [];
  for (let n = 0; n < MESSAGES; n += 1) {
    const content = n % 40 === 7 ? `Look: \`code\` **bold** @alice [our wiki](https://elsewhere.example/x)\n\n\`\`\`rust\nfn main() {}\n\`\`\`\n> quote\n- a\n- b`
      : n === 60 ? `${'x'.repeat(3000)}\n${'a long message\n'.repeat(400)}`
        : n === MESSAGES - 4 ? `${server.url}/alice/hello/web/-/blob/main/src/long.rs#L10-L20`
          : `message ${n} ${'word '.repeat(n % 17)}`;
    const reply = n === MESSAGES - 3 ? { reply_to: ids[100] } : {};
    const { id } = await api(server, n % 3 ? alice : bob, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content, ...reply });
    ids.push(id);
  }
  return ids;
}

const inPage = {
  /** The rows on the screen with their distance to the top of the window. */
  rows: () => {
    const box = document.querySelector('.timeline-scroll').getBoundingClientRect();
    return [...document.querySelectorAll('.messages > li.row')].map((row) => ({ key: row.dataset.key, top: row.getBoundingClientRect().top, bottom: row.getBoundingClientRect().bottom }))
      .filter((row) => row.top >= box.top && row.bottom <= box.bottom);
  },
  atEnd: () => {
    const { scrollHeight, clientHeight, scrollTop } = document.querySelector('.timeline-scroll');
    return scrollHeight - clientHeight - scrollTop < 2;
  },
};

/** Waits until the frame after the next one. */
const settle = (page) => page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30))); }));
const waitFor = (page, what, arg) => page.waitForFunction(what, arg, { timeout: SLOW_MS });
const textShown = (page, text) => waitFor(page, (wanted) => [...document.querySelectorAll('.chat-message .text')].some((node) => node.textContent.includes(wanted)), text);

/** Checks that the rows that stay on the screen do not move while something changes. */
async function still(page, what, change, done) {
  await settle(page);
  const before = await page.evaluate(inPage.rows);
  assert.ok(before.length > 2, `${what}: rows are on the screen`);
  await change();
  await done();
  await settle(page);
  const after = await page.evaluate(inPage.rows);
  const both = before.filter(({ key }) => after.some((row) => row.key === key));
  assert.ok(both.length > 1, `${what}: the same rows are on the screen`);
  const moved = both.map((row) => [row.key, after.find(({ key }) => key === row.key).top - row.top]).filter(([, by]) => by !== 0);
  assert.deepEqual(moved, [], `${what} moves nothing`);
}

/** Scrolls through the whole history, and checks in each frame that rows do not move by themselves. */
const scrollAll = (page, direction) => page.evaluate(async (step) => {
  const scroller = document.querySelector('.timeline-scroll');
  const frame = () => new Promise((done) => { requestAnimationFrame(done); });
  const result = { drift: 0, elements: 0, rows: 0, isDone: false };
  const began = performance.now();
  while (performance.now() - began < 40_000 && !result.isDone) {
    scroller.scrollTop += step;
    await frame();
    const edge = scroller.getBoundingClientRect().top;
    const row = [...document.querySelectorAll('.messages > li.row')].find((node) => node.getBoundingClientRect().top > edge + 50);
    const top = row?.getBoundingClientRect().top ?? 0;
    for (let n = 0; n < 4; n += 1) {
      await frame();
      if (row?.isConnected) result.drift = Math.max(result.drift, Math.abs(row.getBoundingClientRect().top - top));
    }
    result.elements = Math.max(result.elements, document.querySelectorAll('*').length);
    result.rows = Math.max(result.rows, document.querySelectorAll('.messages > li').length);
    const isTop = scroller.scrollTop === 0 && document.querySelector('.start-row') !== null;
    const isEnd = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop < 2 && document.querySelector('.edge-row:last-child') === null;
    result.isDone = step < 0 ? isTop : isEnd;
  }
  return result;
}, direction);

async function scrolling(page) {
  const up = await scrollAll(page, -400);
  assert.ok(up.isDone, 'the beginning is reached');
  assert.equal(up.drift, 0, 'rows that are put above move nothing');
  assert.ok(up.elements <= ELEMENTS_MAX, `${up.elements} elements`);
  assert.ok(up.rows <= 302, `${up.rows} rows`);
  await shot(page, 'chat-timeline-beginning');
  const down = await scrollAll(page, 400);
  assert.ok(down.isDone, 'the end is reached');
  assert.equal(down.drift, 0, 'rows that are put below move nothing');
}

async function changes(page, server, chat, ids, { alice, bob }) {
  const at = (n) => `/api/chats/${chat}/messages/${ids[n]}`;
  await page.evaluate(() => { document.querySelector('.timeline-scroll').scrollTop -= 900; });
  await settle(page);
  const first = await page.evaluate(() => {
    const edge = document.querySelector('.timeline-scroll').getBoundingClientRect().top;
    const rows = [...document.querySelectorAll('.messages > li.row > article')];
    const index = rows.findIndex((row) => row.getBoundingClientRect().top >= edge);
    return rows.slice(index - 6, index).map((row) => Number(row.dataset.id)).filter((id) => id > 0);
  });
  const above = ids.indexOf(first.find((id) => ids.indexOf(id) % 3 !== 0));
  assert.ok(above > 0);
  await still(page, 'a reaction above the screen', () => api(server, bob, 'PUT', `${at(above)}/reactions/${encodeURIComponent('👍')}`), () => waitFor(page, (id) => document.querySelector(`[data-id="${id}"] .reaction`), ids[above]));
  await still(page, 'an edit above the screen', () => api(server, alice, 'PATCH', at(above), { content: `longer now ${'and longer '.repeat(60)}` }), () => textShown(page, 'longer now'));
  await still(page, 'a message at the end', () => api(server, bob, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content: 'while you read' }), () => waitFor(page, () => document.querySelector('.timeline-pill:not([hidden]) .pill-present')?.textContent.includes('1 new')));
  await still(page, 'the composer that grows', () => page.fill('#composer-text', 'one\ntwo\nthree\nfour\nfive'), () => settle(page));
  await still(page, 'a lower window', () => page.setViewportSize({ width: 1280, height: 620 }), () => settle(page));
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.fill('#composer-text', '');
  await page.click('.pill-present');
  await waitFor(page, inPage.atEnd);
  await page.fill('#composer-text', 'one\ntwo\nthree\nfour\nfive');
  await settle(page);
  assert.ok(await page.evaluate(inPage.atEnd), 'the end stays at the end while the composer grows');
  await page.setViewportSize({ width: 700, height: 500 });
  await settle(page);
  assert.ok(await page.evaluate(inPage.atEnd), 'the end stays at the end in a smaller window');
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.fill('#composer-text', '');
}

async function jumps(page, server, chat) {
  await page.goto(`${server.url}/chat/${chat}/120`);
  await waitFor(page, () => document.querySelector('.is-target'));
  const isInside = await page.evaluate(() => {
    const box = document.querySelector('.timeline-scroll').getBoundingClientRect();
    const row = document.querySelector('.is-target').getBoundingClientRect();
    return row.top >= box.top && row.bottom <= box.bottom;
  });
  assert.ok(isInside, 'the message of the link is on the screen');
  assert.equal(await page.evaluate(() => document.querySelector('.is-target article').dataset.seq), '120');
  await page.click('.pill-present');
  await waitFor(page, inPage.atEnd);
  await page.click('.quote');
  await waitFor(page, () => document.querySelector('.is-target .text')?.textContent.startsWith('message 100'));
  await page.keyboard.press('Escape');
  await waitFor(page, () => document.activeElement?.querySelector('.quote') !== null);
}

async function keyboard(page) {
  await page.keyboard.press('End');
  await waitFor(page, () => document.activeElement?.matches('.messages > li:last-child > article'));
  await page.keyboard.press('k');
  await page.keyboard.press('ArrowUp');
  const label = await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? '');
  assert.match(label, /: .*, .*\d\d/s, 'name, text, time last');
  assert.ok(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== 'none'), 'the selected row has a visible frame');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.closest('[role=toolbar]')?.getAttribute('aria-label')), 'Message actions', 'the actions are one Tab away');
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('role')), 'menuitem');
  assert.deepEqual(await accessibility(page), []);
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')), 'More', 'the focus returns');
  await page.keyboard.press('k');
  await page.keyboard.press('+');
  await page.keyboard.press('Enter');
  await waitFor(page, () => document.querySelector('.reaction[aria-pressed=true]'));
  await page.keyboard.press('Home');
  await waitFor(page, () => document.querySelector('.start-row') && document.activeElement?.matches('article'));
  await page.keyboard.press('End');
  await waitFor(page, inPage.atEnd);
}

/** The bar at the row under the pointer, and its menu. */
async function pointer(page) {
  const row = page.locator('.timeline .chat-message').nth(-3);
  await row.hover();
  await row.locator('.action-bar [data-act=menu]').click();
  await page.waitForSelector('.row-menu:popover-open');
  await page.keyboard.press('Escape');
  await page.waitForSelector('.row-menu', { state: 'detached' });
  await row.locator('.action-bar [data-act=react]').click();
  await page.waitForSelector('.emoji-picker:popover-open');
  await page.keyboard.press('Escape');
  await row.locator('.action-bar [data-act=thread]').click();
  await page.waitForURL(/\/thread\/\d+$/);
  await page.goBack();
  await settle(page);
  assert.ok(await page.evaluate(inPage.atEnd), 'closing a thread moves nothing');
}

/** A reply from the panel moves nothing; a message of the composer leads to the end. */
async function sending(page) {
  await page.locator('.timeline .chat-message').nth(-3).hover();
  await page.locator('.timeline .action-bar [data-act=thread]').first().click();
  await page.waitForSelector('.thread-composer textarea');
  await page.evaluate(() => { document.querySelector('.timeline-scroll').scrollTop -= 2000; });
  await still(page, 'a reply in a thread', () => page.fill('.thread-composer textarea', 'from the panel').then(() => page.press('.thread-composer textarea', 'Enter')), () => waitFor(page, () => document.querySelector('.thread-list')?.textContent.includes('from the panel')));
  await page.fill('#composer-text', 'from the composer');
  await page.press('#composer-text', 'Enter');
  await textShown(page, 'from the composer');
  await waitFor(page, inPage.atEnd);
  await page.goBack();
}

/** A reader near the end, or with a selection at the end, stays where they are. */
async function nearEnd(page, server, chat, { bob }) {
  const say = (content) => () => api(server, bob, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content });
  const pill = () => waitFor(page, () => document.querySelector('.timeline-pill:not([hidden]) .pill-present')?.textContent.includes('new'));
  await page.locator('.timeline .chat-message').nth(-4).hover();
  await page.mouse.wheel(0, -60);
  await page.waitForTimeout(300);
  await still(page, 'a message for a reader near the end', say('near'), pill);
  await page.click('.pill-present');
  await waitFor(page, inPage.atEnd);
  await page.evaluate(() => getSelection().selectAllChildren([...document.querySelectorAll('.chat-message .text')].at(-3)));
  await still(page, 'a message for a reader with a selection', say('selected'), pill);
  await page.evaluate(() => getSelection().empty());
  await page.click('.pill-present');
  await waitFor(page, inPage.atEnd);
  // A sentence for screen readers covers at most a second of news.
  await page.waitForTimeout(1100);
}

async function news(page, server, chat, { alice, bob }) {
  await page.bringToFront();
  await api(server, bob, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content: 'hello out there' });
  await waitFor(page, () => document.querySelector('#announce')?.textContent.endsWith(': hello out there'));
  assert.ok(await page.evaluate(inPage.atEnd), 'a reader at the end stays there');
  const unread = async () => (await api(server, alice, 'GET', `/api/chats/${chat}`)).unread_count;
  for (let n = 0; n < 50 && (await unread()); n += 1) await page.waitForTimeout(100);
  await page.keyboard.press('Control+k');
  await page.waitForSelector('dialog[open]');
  await api(server, bob, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content: 'below the dialog' });
  await textShown(page, 'below the dialog');
  await page.waitForTimeout(1800);
  assert.equal(await unread(), 1, 'a row below a dialog is not read');
  await page.keyboard.press('Escape');
  for (let n = 0; n < 50 && (await unread()); n += 1) await page.waitForTimeout(100);
  assert.equal(await unread(), 0);
}

async function deletion(page, server, chat, { alice }) {
  const { id } = await api(server, alice, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content: 'to be deleted' });
  await textShown(page, 'to be deleted');
  await page.locator('.timeline .chat-message').last().focus();
  await page.keyboard.press('End');
  await waitFor(page, (wanted) => document.activeElement?.dataset.id === String(wanted), id);
  await page.keyboard.press('Delete');
  await page.click('dialog button.danger');
  await page.click('[data-act=undo]');
  await textShown(page, 'to be deleted');
  const { items } = await api(server, alice, 'GET', `/api/chats/${chat}/messages?limit=1`);
  assert.equal(items.at(-1).content, 'to be deleted', 'an undone deletion is not sent');
}

/** The card of a push, and the lines of a file, with the rights of each reader. */
async function cards(page, server, chat, { alice }) {
  await page.goto(`${server.url}/chat/${chat}/${MESSAGES - 1}`);
  await waitFor(page, () => document.querySelectorAll('.code-line').length === 11);
  assert.ok((await page.textContent('.code-line'))?.includes('VALUE_9'));
  await page.goto(`${server.url}/chat`);
  await page.click('#sidebar a:has-text("alice/hello")');
  await page.waitForSelector('.push-card');
  assert.match(await page.textContent('.push-words') ?? '', /pushed 13 commits to main.* of alice\/hello\/web/s);
  assert.equal(await page.locator('.push-commits .oid').count(), 10);
  // An edited announcement shows what its sender wrote, and that it is edited.
  const href = () => page.locator('.push-card .card-actions a').first().evaluate((link) => link.href);
  const compare = await href();
  const channel = Number(new URL(page.url()).pathname.split('/')[2]);
  const id = await page.locator('article.is-push[data-id]').first().getAttribute('data-id');
  await api(server, alice, 'PATCH', `/api/chats/${channel}/messages/${id}`, { content: `all reviewed\n${server.url}/alice/hello/web/-/../../../../settings` });
  await page.waitForSelector('.is-push .edited');
  assert.match(await page.locator('article.is-push').first().getAttribute('aria-label') ?? '', /pushed 13 commits.*: all reviewed .*edited/);
  assert.equal(await href(), compare);
  await page.click('.push-details summary');
  assert.deepEqual(await accessibility(page), []);
}

/** Messages of thousands of lines: only what is shown of them is drawn, and the drawing ends. */
async function heavy(page, server, { alice, bob }) {
  const { id: chat } = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'heavy', participants: ['bob'] });
  const say = (content, more = {}) => api(server, bob, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content, ...more });
  const { id: root } = await say('the first');
  for (let n = 0; n < 40; n += 1) await say(n % 2 ? 'a\n'.repeat(8190) : '*a* '.repeat(4000), n < 10 ? { reply_to: root } : {});
  await page.goto(`${server.url}/chat/${chat}`);
  await page.waitForSelector('.chat-message');
  const elements = () => page.evaluate(() => document.querySelectorAll('*').length);
  const rests = () => page.evaluate(() => new Promise((done) => {
    let changes = 0;
    const watch = new MutationObserver((found) => { changes += found.length; });
    watch.observe(document.querySelector('.messages'), { childList: true });
    setTimeout(() => { watch.disconnect(); done(changes); }, 700);
  }));
  await page.mouse.move(700, 400);
  for (let n = 0; n < 150 && !(await page.$('.start-row')); n += 1) {
    await page.mouse.wheel(0, -400);
    await settle(page);
    if (n % 20 === 5) await settle(page).then(rests).then((changes) => assert.equal(changes, 0, 'a reader who rests sees no drawing'));
    assert.ok(await elements() < 8000, `${await elements()} elements`);
  }
  await page.waitForSelector('.start-row');
  await page.goto(`${server.url}/chat/${chat}/41`);
  await waitFor(page, () => document.querySelector('.is-target'));
  await page.click('.is-target .unfold');
  await waitFor(page, () => document.querySelector('.is-target .plain-lines')?.textContent.split('\n').length > 7000);
  await page.goto(`${server.url}/chat/${chat}/thread/${root}`);
  await page.waitForSelector('.thread-list li:nth-child(2)');
  assert.match(await page.textContent('.thread-list') ?? '', /the first.*earlier replies are in the chat/s);
  assert.ok(await elements() < 12_000, `${await elements()} elements`);
}

/** Thousands of events without a row: the requests end, and a button leads on. */
async function idle(page, server, { alice, bob }) {
  const { id: chat } = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'idle', participants: ['bob'] });
  let last = 0;
  for (let n = 0; n < 30; n += 1) last = (await api(server, alice, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content: `message ${n}` })).id;
  const at = `/api/chats/${chat}/messages/${last}/reactions/${encodeURIComponent('👍')}`;
  for (let n = 0; n < 1200; n += 1) for (const method of ['PUT', 'DELETE']) await api(server, bob, method, at);
  let pages = 0;
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => { if (String(payload).includes('GetEvents')) pages += 1; }));
  await page.goto(`${server.url}/chat/${chat}`);
  await page.waitForSelector('.edge-row button, .gap-row button, .row');
  await page.waitForTimeout(2500);
  const before = pages;
  await page.waitForTimeout(1500);
  assert.equal(pages, before, 'the requests end');
  assert.ok(pages < 30, `${pages} pages`);
  for (let n = 0; n < 20 && !(await page.$('.messages .row')); n += 1) {
    await page.locator('.edge-row button, .gap-row button').first().click();
    await page.waitForTimeout(800);
  }
  await textShown(page, 'message 29');
  await page.waitForTimeout(1000);
  const end = pages;
  await page.waitForTimeout(1000);
  assert.equal(pages, end, 'the requests end after the button too');
}

async function looks(browser, server, chat) {
  for (const [width, height] of [[360, 740], [768, 900], [1280, 800]]) {
    for (const colorScheme of ['light', 'dark']) {
      const { page, problems, context } = await visitor(browser, { viewport: { width, height }, colorScheme, hasTouch: width < 700 });
      await logIn(page, server, 'carol', PASSWORD);
      for (const [name, path] of [['end', `/chat/${chat}`], ['long', `/chat/${chat}/65`]]) {
        await page.goto(server.url + path);
        await page.waitForSelector('.chat-message');
        await settle(page);
        assert.equal(await overflow(page), '', `${name} at ${width}`);
        await shot(page, `chat-timeline-${name}-${width}-${colorScheme}`);
      }
      assert.deepEqual(problems, []);
      await context.close();
    }
  }
}

export default async function journey({ server, browser }) {
  const people = await fill(server);
  const { id: chat } = await api(server, people.alice, 'POST', '/api/chats', { kind: 'group', name: 'dev', participants: ['bob', 'carol'] });
  const ids = await write(server, chat, people);
  await api(server, people.alice, 'POST', `/api/chats/${chat}/read`, {});
  for (let n = 0; n < 60; n += 1) await api(server, people.bob, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content: `unread ${n}` });
  const { page, problems, context } = await visitor(browser);
  await logIn(page, server, 'alice', PASSWORD);
  await page.goto(`${server.url}/chat/${chat}`);
  await page.waitForSelector('.new-line');
  // The New line stands before the first unread message.
  await waitFor(page, () => document.querySelector('.new-line + .row .text')?.textContent === 'unread 0');
  await page.click('.pill-present');
  await waitFor(page, inPage.atEnd);
  const isRead = async () => (await api(server, people.alice, 'GET', `/api/chats/${chat}`)).unread_count === 0;
  for (let n = 0; n < 50 && !(await isRead()); n += 1) await page.waitForTimeout(100);
  assert.equal(await page.evaluate(() => document.querySelector('a[href^="https://elsewhere."]')?.nextElementSibling?.textContent), '(elsewhere.example)');
  assert.ok(await isRead(), 'what was on the screen is read');
  await scrolling(page);
  await changes(page, server, chat, ids, people);
  await jumps(page, server, chat);
  await keyboard(page);
  await pointer(page);
  await sending(page);
  await nearEnd(page, server, chat, people);
  await news(page, server, chat, people);
  await deletion(page, server, chat, people);
  await cards(page, server, chat, people);
  await heavy(page, server, people);
  await idle(page, server, people);
  assert.deepEqual(problems, []);
  await context.close();
  await looks(browser, server, chat);
}
