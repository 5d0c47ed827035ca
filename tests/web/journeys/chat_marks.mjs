// Readers and writers see each other: unread marks, "Seen by", typing; the two ways to reply;
// requests that fail.
import assert from 'node:assert/strict';
import { accessibility, logIn, visitor } from '../browser.mjs';
import { PASSWORD, api, fill } from '../world.mjs';

const FIELD = '#composer-text';
const path = (page) => new URL(page.url()).pathname;
const row = (text) => `#chat .chat-message:has(.text :text-is("${text}"))`;

/** Does something with the menu of a message. */
async function act(page, text, name) {
  await page.hover(row(text));
  await page.click(`${row(text)} .action-bar [data-act=menu]`);
  await page.click(`.row-menu [data-act=${name}]`);
}

/** The first unread message is found from a later place; the address follows the reader to the end. */
async function firstUnread(page, server, { chat, old, newest }) {
  await page.goto(`${server.url}/chat/${chat}/${newest}`);
  await page.waitForSelector('.pill-unread:has-text("Jump to first unread (40)")');
  await page.click('.pill-unread');
  await page.waitForSelector('.new-line');
  await page.waitForFunction(() => document.querySelector('.new-line + .row .text')?.textContent === 'unread 0');
  await page.waitForSelector('.pill-unread', { state: 'hidden' });
  // The line is on the screen, near its top.
  assert.ok(await page.evaluate(() => {
    const [line, box] = ['.new-line', '.timeline-scroll'].map((name) => document.querySelector(name).getBoundingClientRect());
    return line.top >= box.top && line.top < box.top + box.height / 2;
  }));
  await page.goto(`${server.url}/chat/${chat}/${old}`);
  await page.waitForSelector('.messages > .is-target');
  await page.waitForSelector('.pill-present', { state: 'visible' });
  assert.equal(path(page), `/chat/${chat}/${old}`);
  await page.click('.pill-present');
  await page.waitForURL(`${server.url}/chat/${chat}`);
  // The same by scrolling; a panel stays open.
  await page.goto(`${server.url}/chat/${chat}/${old}`);
  await page.waitForSelector('.pill-present', { state: 'visible' });
  await page.hover('.timeline-scroll');
  for (let n = 0; n < 60 && path(page) !== `/chat/${chat}`; n += 1) {
    await page.mouse.wheel(0, 1500);
    await page.waitForTimeout(50);
  }
  assert.equal(path(page), `/chat/${chat}`);
}

/** A message that is marked as unread stays unread until the chat is opened again. */
async function markUnread(page, server, { chat, other, alice }) {
  const unread = async () => (await api(server, alice, 'GET', `/api/chats/${chat}`)).unread_count;
  await api(server, alice, 'POST', `/api/chats/${chat}/read`, {});
  assert.equal(await unread(), 0);
  await page.goto(`${server.url}/chat/${chat}`);
  await page.waitForSelector(row('unread 39'));
  await act(page, 'unread 37', 'unread');
  await page.waitForFunction(() => document.querySelector('.new-line + .row .text')?.textContent === 'unread 37');
  for (let n = 0; n < 50 && (await unread()) !== 3; n += 1) await page.waitForTimeout(100);
  // The rows are on the screen for longer than reading takes.
  await page.waitForTimeout(1800);
  assert.equal(await unread(), 3);
  await page.click(`#sidebar a[href="/chat/${other}"]`);
  await page.waitForSelector(`#sidebar li.is-unread a[href="/chat/${chat}"]`);
  await page.click(`#sidebar a[href="/chat/${chat}"]`);
  for (let n = 0; n < 50 && (await unread()); n += 1) await page.waitForTimeout(100);
  assert.equal(await unread(), 0);
}

/** The last own message names its readers, the head of a direct chat its other user. */
async function seenBy(page, server, { chat, direct, alice, bob, carol }) {
  await page.goto(`${server.url}/chat/${chat}`);
  await page.waitForSelector(FIELD, { state: 'visible' });
  await page.fill(FIELD, 'who has seen this?');
  await page.press(FIELD, 'Enter');
  const seen = `${row('who has seen this?')} [data-act=seen]`;
  await page.waitForSelector(`${row('who has seen this?')}:not(.is-sending)`);
  assert.equal(await page.$(seen), null);
  await api(server, carol, 'POST', `/api/chats/${chat}/read`, {});
  await page.waitForSelector(`${seen}:has-text("Seen by carol")`);
  await api(server, bob, 'POST', `/api/chats/${chat}/read`, {});
  await page.waitForSelector(`${seen}:has-text("Seen by 2")`);
  await page.click(seen);
  await page.waitForSelector('.popover.names li:text-is("carol")');
  assert.deepEqual(await accessibility(page), []);
  await page.keyboard.press('Escape');
  await page.goto(`${server.url}/chat/${direct}`);
  await page.waitForSelector('.start-row:has-text("This is the beginning of your chat with ")');
  await page.goto(`${server.url}/chat/${chat}/1`);
  await page.waitForSelector('.start-row:has-text("This is the beginning of dev.")');
  assert.equal((await api(server, alice, 'GET', `/api/chats/${direct}`)).unread_count, 0);
}

/** "is typing" is there while the other user types, and gone with the message. */
async function typing(page, server, browser, { direct }) {
  const other = await visitor(browser);
  await logIn(other.page, server, 'bob', PASSWORD);
  await other.page.goto(`${server.url}/chat/${direct}`);
  await other.page.waitForSelector(FIELD, { state: 'visible' });
  await page.goto(`${server.url}/chat/${direct}`);
  await page.waitForSelector(FIELD, { state: 'visible' });
  for (const text of ['one', 'two']) {
    // The server sends typing at most every 2.5 s.
    if (text === 'two') await page.waitForTimeout(2600);
    await other.page.type(FIELD, text, { delay: 100 });
    await page.waitForSelector('#typing:has-text("is typing…")');
    await other.page.press(FIELD, 'Enter');
    await page.waitForSelector(row(text));
    // In the frame of the message: not after the 6 s of the last key.
    await page.waitForFunction(() => document.getElementById('typing')?.textContent === '', undefined, { timeout: 1500 });
  }
  assert.deepEqual(other.problems, []);
  await other.context.close();
}

/** A quotation belongs to the field of the chat, a reply in the thread to that of the panel. */
async function replies(page, server, { chat }) {
  await page.goto(`${server.url}/chat/${chat}`);
  await page.hover(row('unread 39'));
  await page.waitForSelector(`${row('unread 39')} .action-bar`);
  const titles = await page.locator(`${row('unread 39')} .action-bar button`).evaluateAll((buttons) => buttons.map((button) => button.title));
  assert.ok(titles.includes('Reply with quote (r)') && titles.includes('Reply in thread (t)'), titles.join());
  const drawings = await page.locator(`${row('unread 39')} .action-bar :is([data-act=reply], [data-act=thread]) path`).evaluateAll((paths) => paths.map((node) => node.getAttribute('d')));
  assert.equal(new Set(drawings).size, 2, 'the two have two icons');
  await page.click(`${row('unread 39')} .action-bar [data-act=reply]`);
  await page.waitForSelector('#chat .composer-banner:has-text("unread 39")');
  await page.press(FIELD, 'Escape');
  await page.hover(row('unread 39'));
  await page.click(`${row('unread 39')} .action-bar [data-act=thread]`);
  await page.waitForSelector('#panel textarea');
  await page.hover('#panel .thread-list .chat-message');
  await page.waitForSelector('#panel .action-bar');
  const inPanel = await page.locator('#panel .action-bar button').evaluateAll((buttons) => buttons.map((button) => button.title));
  assert.ok(inPanel.includes('Quote in the chat (r)') && !inPanel.some((title) => title.includes('thread')), inPanel.join());
  await page.keyboard.press('Escape');
}

/** A list that does not load has a sentence and a button. */
async function failures(page, server, { chat }) {
  const refuse = (route) => route.fulfill({ status: 503, contentType: 'application/problem+json', body: JSON.stringify({ code: 'overloaded', detail: 'the server is busy' }) });
  const fails = async (address, open, place, loaded) => {
    await page.route(address, refuse);
    await open();
    await page.waitForSelector(`${place} .problem:has-text("The server is busy")`);
    assert.deepEqual(await accessibility(page), []);
    await page.unroute(address);
    await page.click(`${place} .problem button:text-is("Try again")`);
    await page.waitForSelector(loaded);
    assert.equal(await page.locator(`${place} .problem button`).count(), 0);
  };
  await fails('**/api/notifications?*', () => page.goto(`${server.url}/inbox`), '#inbox', '.inbox-head [role=status]:has-text("unread")');
  const opened = async (panel) => {
    await page.goto(`${server.url}/chat/${chat}`);
    await page.click(`.chat-head [data-panel=${panel}]`);
  };
  await fails('**/messages?pinned=true*', () => opened('pins'), '#panel', '#panel .note:has-text("No message is pinned")');
  await fails('**/participants?*', () => opened('people'), '#panel', '#panel .people-list [data-user]');
  await fails('**/messages?thread=*', async () => { await page.goto(`${server.url}/chat/${chat}`); await act(page, 'unread 38', 'thread'); }, '#panel', '#panel textarea');
  // The menu of the header closes by Escape, and nothing else happens.
  await page.click('header.top details[data-menu] summary');
  await page.keyboard.press('Escape');
  await page.waitForSelector('header.top details[data-menu]:not([open])');
  await page.waitForSelector('#panel textarea', { state: 'visible' });
}

export default async function journey({ server, browser }) {
  const { alice, bob } = await fill(server);
  const { token: carol } = await api(server, '', 'POST', '/api/users/login', { username: 'carol', password: PASSWORD });
  const { id: chat } = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'dev', participants: ['bob', 'carol'] });
  const { id: direct } = await api(server, alice, 'POST', '/api/chats', { kind: 'direct', participants: ['bob'] });
  const say = (content) => api(server, bob, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content });
  let [old, newest] = [0, 0];
  for (let n = 0; n < 40; n += 1) {
    const { seq } = await say(`read ${n}`);
    if (n === 2) old = seq;
  }
  await api(server, alice, 'POST', `/api/chats/${chat}/read`, {});
  for (let n = 0; n < 40; n += 1) newest = (await say(`unread ${n}`)).seq;
  const { page, problems, context } = await visitor(browser);
  page.setDefaultTimeout(10_000);
  await logIn(page, server, 'alice', PASSWORD);
  const world = { chat, direct, other: direct, old, newest, alice, bob, carol };
  await firstUnread(page, server, world);
  await markUnread(page, server, world);
  await seenBy(page, server, world);
  await typing(page, server, browser, world);
  await replies(page, server, world);
  await failures(page, server, world);
  assert.deepEqual(problems.filter((problem) => !problem.includes('503')), []);
  await context.close();
}
