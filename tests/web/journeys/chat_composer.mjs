// Messages are written with keys, input methods and completion, and no text is ever lost.
import assert from 'node:assert/strict';
import { accessibility, logIn, overflow, shot, visitor } from '../browser.mjs';
import { HOSTILE, PASSWORD, api, fill } from '../world.mjs';

const FIELD = '#composer-text';

/** Opens a chat and waits for its field. */
async function open(page, server, chat) {
  await page.goto(`${server.url}/chat/${chat}`);
  await page.waitForSelector(FIELD, { state: 'visible' });
  await page.focus(FIELD);
}

/** Waits until a message with this text is in the timeline. */
const shown = (page, text) => page.waitForFunction((wanted) => [...document.querySelectorAll('#chat .text')].some((node) => node.textContent.includes(wanted)), text);

/** Waits until the server has a message with this content; returns it. */
async function sent(server, token, chat, content) {
  for (let n = 0; n < 100; n += 1) {
    const { items } = await api(server, token, 'GET', `/api/chats/${chat}/messages?limit=50`);
    const found = items.find((message) => message.content === content);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return assert.fail(`no message ${JSON.stringify(content)} in chat ${chat}`);
}

/** Sets a long text as a paste does. */
const paste = (page, text) => page.evaluate(([field, value]) => {
  const node = document.querySelector(field);
  node.focus();
  node.setRangeText(value, 0, node.value.length, 'end');
  node.dispatchEvent(new Event('input', { bubbles: true }));
}, [FIELD, text]);

export default async function journey({ server, browser }) {
  const { alice, bob } = await fill(server);
  const dev = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'dev', participants: ['bob', 'carol'] });
  const old = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'old times', participants: ['bob'] });
  const direct = await api(server, alice, 'POST', '/api/chats', { kind: 'direct', participants: ['bob'] });
  const { page, problems, context } = await visitor(browser);
  const keys = page.keyboard;
  const value = () => page.inputValue(FIELD);
  await logIn(page, server, 'alice', PASSWORD);
  await open(page, server, dev.id);

  // Enter sends, Shift+Enter breaks the line, and so does Enter in an open fence.
  await keys.type('first line');
  await keys.press('Shift+Enter');
  await keys.type('second line');
  await keys.press('Enter');
  assert.equal(await value(), '', 'the field is empty at once');
  await sent(server, alice, dev.id, 'first line\nsecond line');
  for (const line of ['```js', 'let a;', '```']) {
    await keys.type(line);
    await keys.press('Enter');
  }
  await sent(server, alice, dev.id, '```js\nlet a;\n```');
  await shown(page, 'let a;');

  // Enter of an input method does not send.
  const devtools = await context.newCDPSession(page);
  await devtools.send('Input.imeSetComposition', { text: 'にほん', selectionStart: 3, selectionEnd: 3 });
  await devtools.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', key: 'Process', code: 'Enter', windowsVirtualKeyCode: 229 });
  await devtools.send('Input.insertText', { text: '日本' });
  await devtools.send('Input.dispatchKeyEvent', { type: 'keyUp', key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13 });
  assert.equal(await value(), '日本');
  await page.waitForTimeout(100);
  await keys.press('Enter');
  await sent(server, alice, dev.id, '日本');

  // Names are completed by keys, and a name that is completed is a mention.
  await keys.type('Look, @bo');
  await page.waitForSelector('#composer-list [role=option]');
  assert.equal(await page.getAttribute(FIELD, 'aria-activedescendant'), 'composer-list-0');
  assert.deepEqual(await accessibility(page), []);
  await keys.press('Enter');
  assert.equal(await value(), 'Look, @bob ');
  assert.ok(await page.isHidden('#composer-list'));
  await keys.type(':tad');
  await keys.press('Tab');
  await keys.press('Enter');
  await sent(server, alice, dev.id, 'Look, @bob 🎉');
  await page.waitForSelector('#chat .mention');
  const { items } = await api(server, bob, 'GET', '/api/notifications?unread=true');
  assert.ok(items.some(({ kind }) => kind === 'mention'), 'bob is notified');

  // Arrow up edits the last own message; Escape leaves it as it is.
  await keys.press('ArrowUp');
  assert.equal(await value(), 'Look, @bob 🎉');
  await keys.press('Escape');
  assert.equal(await value(), '');
  await keys.press('ArrowUp');
  await keys.type(' edited');
  await keys.press('Enter');
  await sent(server, alice, dev.id, 'Look, @bob 🎉 edited');
  // An edit without an answer is kept as a draft.
  await page.waitForFunction(() => document.getElementById('announce')?.textContent === 'The message was changed.');

  // Drafts survive a change of the chat and a reload.
  await keys.type('a draft');
  await open(page, server, direct.id);
  assert.equal(await value(), '');
  await keys.type('another draft');
  await page.reload();
  await page.waitForSelector(FIELD, { state: 'visible' });
  assert.equal(await value(), 'another draft');
  await open(page, server, dev.id);
  assert.equal(await value(), 'a draft');
  await page.fill(FIELD, '');

  // An unknown command is not sent, unless a space or a second slash is in front of it.
  await keys.type('/shrug me');
  await keys.press('Enter');
  await page.waitForSelector('.composer-problem:has-text("is not a command")');
  assert.equal(await value(), '/shrug me');
  await keys.press('Home');
  await keys.type('/');
  await keys.press('Enter');
  await sent(server, alice, dev.id, '/shrug me');
  await keys.type('/topic developers');
  await keys.press('Enter');
  await page.waitForFunction((field) => document.querySelector(field).value === '', FIELD);
  assert.equal((await api(server, alice, 'GET', `/api/chats/${dev.id}`)).name, 'developers');

  // A text above 16 KB is sent as several messages only after a question.
  const long = Array.from({ length: 900 }, (_, n) => `${n} ${'word '.repeat(4)}`.trim()).join('\n');
  await paste(page, long);
  assert.match(await page.textContent('.composer-count'), /of 16 KB/);
  await keys.press('Enter');
  assert.equal(await value(), long);
  await page.click('.composer-problem button');
  assert.equal(await value(), '');
  // The last message is folded once the server has it.
  await page.click('#chat .messages > li:last-child .unfold');
  await shown(page, '899 word word word word');
  let joined = '';
  for (let n = 0; n < 100 && joined !== long; n += 1) {
    const parts = (await api(server, alice, 'GET', `/api/chats/${dev.id}/messages?limit=50`)).items.filter(({ content }) => content.includes('word word word word'));
    joined = parts.sort((one, other) => one.seq - other.seq).map(({ content }) => content).join('\n');
    await page.waitForTimeout(100);
  }
  assert.equal(joined, long);

  // Hostile texts are texts.
  for (const text of HOSTILE) {
    const content = `hostile ${text}`;
    await paste(page, content);
    await keys.press('Enter');
    assert.equal(await value(), '');
    await sent(server, alice, dev.id, content);
  }
  await shown(page, `hostile ${HOSTILE[0]}`);
  assert.equal(await page.evaluate(() => document.querySelectorAll('#chat .text :is(script, img, iframe, form, input, style, meta, base, object, details, math)').length), 0);
  assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll('#chat .text a')].filter((link) => !/^(https?|mailto):$/.test(link.protocol)).map((link) => link.href)), []);
  assert.deepEqual(await accessibility(page), []);
  await shot(page, 'chat_composer');

  // A chat in which the user cannot write gives the reason in place of the field.
  await api(server, alice, 'PATCH', `/api/chats/${old.id}`, { archived: true });
  await page.goto(`${server.url}/chat/${old.id}`);
  await page.waitForSelector('.composer-closed:has-text("archived")');
  assert.ok(await page.isHidden(FIELD));
  assert.deepEqual(problems, []);
  await context.close();

  // A reader of a channel. On a phone Enter breaks the line.
  const phone = await visitor(browser, { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true });
  await logIn(phone.page, server, 'carol', PASSWORD);
  const token = (await api(server, '', 'POST', '/api/users/login', { username: 'carol', password: PASSWORD })).token;
  const { items: chats } = await api(server, token, 'GET', '/api/chats');
  const channel = chats.find(({ name }) => name === 'alice/hello');
  await phone.page.goto(`${server.url}/chat/${channel.id}`);
  await phone.page.waitForSelector('.composer-closed:has-text("not write")');
  await open(phone.page, server, dev.id);
  await phone.page.keyboard.type('one');
  await phone.page.keyboard.press('Enter');
  await phone.page.keyboard.type('two');
  assert.equal(await phone.page.inputValue(FIELD), 'one\ntwo');
  assert.equal(await overflow(phone.page), '');
  await phone.page.click('.composer-field [type=submit]');
  await sent(server, token, dev.id, 'one\ntwo');
  await shot(phone.page, 'chat_composer_phone');
  assert.deepEqual(phone.problems, []);
  await phone.context.close();
}
