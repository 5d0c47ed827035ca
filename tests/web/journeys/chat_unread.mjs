// Read marks: "Seen by" at the last own message, the way to the first unread message, and
// messages that are marked as unread, here and in another browser of the same user.
import assert from 'node:assert/strict';
import { accessibility, logIn, shot, visitor } from '../browser.mjs';
import { PASSWORD, api } from '../world.mjs';

/** More than the chat opens at: it opens at the end, and offers the way. */
const UNREAD = 350;
const FIELD = '#composer-text';

async function account(server, username, more = {}) {
  await api(server, '', 'POST', '/api/users/register', { username, password: PASSWORD, ...more });
  return (await api(server, '', 'POST', '/api/users/login', { username, password: PASSWORD })).token;
}

/** Opens the chat as a user. */
async function open(browser, server, chat, username) {
  const made = await visitor(browser);
  await logIn(made.page, server, username, PASSWORD);
  await made.page.goto(`${server.url}/chat/${chat}`);
  await made.page.waitForSelector(`#sidebar a[href="/chat/${chat}"][aria-current]`);
  return made;
}

/** The row that is shown below the New line. */
const newLine = (page, text) => page.waitForFunction((wanted) => document.querySelector('.new-line + .row .text')?.textContent === wanted, text);
/** The count of unread messages in the list of chats, as a screen reader gets it. */
const listed = (page, chat, count) => page.waitForFunction(([id, wanted]) => {
  const words = document.querySelector(`#sidebar a[href="/chat/${id}"]`)?.textContent ?? '';
  return wanted === 0 ? !/ unread/.test(words) : words.includes(`, ${wanted} unread`);
}, [chat, count]);

/** Own messages are seen by the users who have them on the screen. */
async function seenBy(page, browser, server, chat, problems) {
  await page.fill(FIELD, 'who reads this?');
  await page.press(FIELD, 'Enter');
  const seen = (words) => page.waitForFunction((wanted) => [...document.querySelectorAll('.messages .seen')].map((node) => node.textContent).join() === wanted, words);
  await seen('Kept');
  const bob = await open(browser, server, chat, 'bob');
  await bob.page.bringToFront();
  await seen('Seen by bob');
  const carol = await open(browser, server, chat, 'carol');
  await carol.page.bringToFront();
  await seen('Seen by 2');
  assert.equal(await page.getAttribute('.messages .seen', 'title'), 'bob and carol');
  await page.click('.messages .seen');
  await page.waitForSelector('.popover:has-text("bob"):has-text("carol")');
  assert.deepEqual(await accessibility(page), []);
  await shot(page, 'chat-seen-by');
  await page.keyboard.press('Escape');
  // The mark belongs to the last own message only, and begins again there.
  for (const other of [bob, carol]) await other.page.goto(`${server.url}/projects`);
  await page.fill(FIELD, 'and this?');
  await page.press(FIELD, 'Enter');
  await seen('Kept');
  await bob.page.goto(`${server.url}/chat/${chat}`);
  await seen('Seen by bob');
  problems.push(...bob.problems, ...carol.problems);
  for (const other of [bob, carol]) await other.context.close();
}

export default async function chatUnread({ server, browser }) {
  const alice = await account(server, 'alice', { setup_code: server.code });
  const bob = await account(server, 'bob');
  await account(server, 'carol');
  const { id: chat } = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'dev', participants: ['bob', 'carol'] });
  const { id: other } = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'other', participants: [] });
  const say = (content) => api(server, bob, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content });
  const unread = async () => (await api(server, alice, 'GET', `/api/chats/${chat}`)).unread_count;
  await api(server, alice, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content: 'the first' });
  const { page, context, problems } = await open(browser, server, chat, 'alice');
  page.setDefaultTimeout(15_000);

  await seenBy(page, browser, server, chat, problems);

  // Many unread messages: the chat opens at the end, and a button leads to the first of them.
  await page.goto(`${server.url}/chat/${other}`);
  await page.waitForSelector('.chat-head h1:has-text("other")');
  for (let n = 0; n < UNREAD; n += 1) await say(`unread ${n}`);
  await listed(page, chat, UNREAD);
  await page.click(`#sidebar a[href="/chat/${chat}"]`);
  await page.waitForSelector(`.chat-message:has-text("unread ${UNREAD - 1}")`);
  await page.click(`.pill-unread:has-text("Jump to first unread (${UNREAD})")`);
  await newLine(page, 'unread 0');
  const isInside = await page.evaluate(() => {
    const box = document.querySelector('.timeline-scroll').getBoundingClientRect();
    return [...document.querySelectorAll('.new-line, .new-line + .row')].every((node) => node.getBoundingClientRect().top >= box.top && node.getBoundingClientRect().bottom <= box.bottom);
  });
  assert.ok(isInside, 'the New line and the first unread message are on the screen');
  await page.waitForSelector('.pill-unread', { state: 'hidden' });
  await shot(page, 'chat-first-unread');
  await page.click('.pill-present');
  await listed(page, chat, 0);
  assert.equal(await unread(), 0);

  // Marked as unread from a message on: here, on the server, in another browser, after a reload.
  const second = await open(browser, server, other, 'alice');
  await page.bringToFront();
  const row = page.locator(`.messages .chat-message:has(:text-is("unread ${UNREAD - 3}"))`);
  await row.hover();
  await row.locator('.action-bar [data-act=menu]').click();
  await page.click('.row-menu [data-act=unread]');
  await newLine(page, `unread ${UNREAD - 3}`);
  await listed(page, chat, 3);
  await listed(second.page, chat, 3);
  assert.equal(await unread(), 3);
  // Messages that stay on the screen are not read again. A new message does not change that.
  await say('one more');
  await listed(page, chat, 4);
  await page.waitForSelector('.chat-message:has-text("one more")');
  assert.equal(await unread(), 4);
  await second.page.click(`#sidebar a[href="/chat/${chat}"]`);
  await newLine(second.page, `unread ${UNREAD - 3}`);
  await second.page.bringToFront();
  await listed(second.page, chat, 0);
  await listed(page, chat, 0);
  assert.equal(await unread(), 0);
  assert.deepEqual([...problems, ...second.problems], []);
  await second.context.close();
  await context.close();
}
