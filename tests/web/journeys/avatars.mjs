// A user uploads a picture in the settings; another user sees it in pages and in the chat. An owner
// sets the picture of a chat; the open pages of the other members show it.
import assert from 'node:assert/strict';
import { crc32, deflateSync } from 'node:zlib';
import { accessibility, logIn, overflow, shot, visitor } from '../browser.mjs';
import { PASSWORD, api, fill } from '../world.mjs';

/** Returns a PNG of `side` pixels with a gradient. */
function gradient(side) {
  const chunk = (name, data) => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(side, 0);
  head.writeUInt32BE(side, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const rows = Array.from({ length: side }, (_, y) => [0, ...Array.from({ length: side }, (_, x) => [x % 256, y % 256, 160]).flat()]);
  const magic = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([magic, chunk('IHDR', head), chunk('IDAT', deflateSync(Buffer.from(rows.flat()))), chunk('IEND', Buffer.alloc(0))]);
}

const width = (image) => image.evaluate(async (img) => {
  await img.decode();
  return img.naturalWidth;
});

async function ownPicture(server, browser, chat) {
  const own = await visitor(browser);
  await logIn(own.page, server, 'alice', PASSWORD);
  await own.page.goto(`${server.url}/settings/profile`);
  await own.page.setInputFiles('#picture', { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('no picture') });
  await own.page.getByRole('button', { name: 'Upload' }).click();
  assert.match(await own.page.textContent('main'), /must be a PNG, JPEG, GIF or WebP/);
  await own.page.setInputFiles('#picture', { name: 'large.png', mimeType: 'image/png', buffer: Buffer.alloc(5 << 20) });
  await own.page.getByRole('button', { name: 'Upload' }).click();
  assert.match(await own.page.textContent('#picture-problem'), /at most 2\.0 MiB; make it smaller and try again/);
  await shot(own.page, 'avatars-00-too-large');
  await own.page.setInputFiles('#picture', { name: 'me.png', mimeType: 'image/png', buffer: gradient(400) });
  await own.page.getByRole('button', { name: 'Upload' }).click();
  assert.match(await own.page.textContent('main'), /Your changes are saved/);
  assert.equal(await width(own.page.locator('header img.avatar')), 256);
  assert.deepEqual(await accessibility(own.page), []);
  await shot(own.page, 'avatars-01-settings');

  const other = await visitor(browser);
  await logIn(other.page, server, 'bob', PASSWORD);
  await other.page.goto(`${server.url}/people/alice`);
  assert.equal(await width(other.page.locator('main img.avatar')), 256);
  await shot(other.page, 'avatars-02-person');
  await other.page.goto(`${server.url}/chat/${chat.id}`);
  const face = other.page.locator('.chat-message img.avatar');
  await face.first().waitFor();
  assert.equal(await width(face.first()), 256);
  assert.deepEqual(await accessibility(other.page), []);
  await shot(other.page, 'avatars-03-chat');

  // The picture is removed while another page still has its address.
  const late = await visitor(browser);
  await logIn(late.page, server, 'bob', PASSWORD);
  let release = () => {};
  const held = new Promise((done) => { release = () => done(undefined); });
  await late.page.route('**/api/users/alice/avatar*', async (route) => { await held; await route.continue(); });
  await late.page.goto(`${server.url}/chat/${chat.id}`, { waitUntil: 'domcontentloaded' });
  await late.page.locator('.chat-message img.avatar').first().waitFor({ state: 'attached' });
  await own.page.getByRole('button', { name: 'Remove picture' }).click();
  await own.page.locator('header img.avatar').waitFor({ state: 'detached' });
  release();
  await late.page.locator('.chat-message span.avatar', { hasText: 'A' }).first().waitFor();
  assert.equal(await late.page.locator('.chat-message img.avatar').count(), 0);
  assert.deepEqual(late.problems, []);
  await late.context.close();
  assert.equal(await own.page.locator('header img.avatar').count(), 0);
  assert.deepEqual([...own.problems, ...other.problems], []);
  await own.context.close();
  await other.context.close();
}

/** Puts an avatar over REST. */
async function put(server, token, path, bytes) {
  const answer = await fetch(server.url + path, { method: bytes ? 'PUT' : 'DELETE', headers: { authorization: `Bearer ${token}` }, body: bytes });
  assert.equal(answer.status, 204, await answer.text());
}

/** Two pages of bob stay open; everything changes in them without a reload. */
async function livePictures(server, browser, alice, chat) {
  const own = await visitor(browser);
  await logIn(own.page, server, 'alice', PASSWORD);
  await own.page.goto(`${server.url}/chat/${chat.id}`);
  const other = await visitor(browser, { colorScheme: 'dark' });
  await logIn(other.page, server, 'bob', PASSWORD);
  await other.page.goto(`${server.url}/chat/${chat.id}`);
  await other.page.locator('.chat-head [data-panel=people]').click();
  const phone = await visitor(browser, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  await logIn(phone.page, server, 'bob', PASSWORD);
  await phone.page.goto(`${server.url}/chat/${chat.id}`);
  for (const { page } of [own, other, phone]) {
    await page.locator('.chat-message').first().waitFor();
    await page.evaluate(() => { Object.assign(window, { isSamePage: true }); });
  }
  const faces = ({ page }) => page.locator('.chat-message img.avatar');
  const ofChat = ({ page }, place) => page.locator(place).locator('img.avatar');
  const [head, list] = ['.chat-head h1', `.chat-list a[href="/chat/${chat.id}"]`];

  // A user gets a picture.
  assert.equal(await faces(other).count(), 0);
  await put(server, alice, '/api/users/me/avatar', gradient(300));
  for (const visitor of [own, other, phone]) {
    await faces(visitor).first().waitFor();
    assert.equal(await width(faces(visitor).first()), 256);
  }
  await own.page.locator('header.top img.avatar').waitFor();
  assert.equal(await other.page.locator('header.top img.avatar').count(), 0, 'the header has the own picture');
  await other.page.locator('.people-list li', { hasText: 'Alice Liddell' }).locator('img.avatar').waitFor();

  // The owner chooses one for the chat. Members have no such part.
  await other.page.locator('.people-list li').nth(1).waitFor();
  assert.ok(await other.page.locator('.chat-picture').isHidden());
  await own.page.locator('.chat-head .menu > summary').click();
  await own.page.getByRole('button', { name: 'Add a picture' }).click();
  const part = own.page.locator('.chat-picture');
  await part.waitFor();
  await shot(own.page, 'avatars-04-chat-none');
  const choose = (name, bytes) => part.locator('input[type=file]').setInputFiles({ name, mimeType: 'image/png', buffer: bytes });
  const press = (name) => part.getByRole('button', { name }).click();
  await choose('notes.png', Buffer.from('no picture'));
  await part.locator('.problem', { hasText: 'This file cannot be shown as a picture. Choose a PNG, JPEG, GIF or WebP that is not damaged.' }).waitFor();
  assert.ok(await part.getByRole('button', { name: 'Save picture' }).isHidden());
  await shot(own.page, 'avatars-05-chat-refused');
  await choose('wide.png', gradient(900));
  await part.locator('canvas').waitFor();
  assert.equal(await part.locator('.problem').textContent(), '');
  assert.equal(await own.page.evaluate(() => document.activeElement?.textContent), 'Save picture');
  await press('Cancel');
  await part.locator('canvas').waitFor({ state: 'detached' });
  await choose('wide.png', gradient(900));
  await part.locator('canvas').waitFor();
  assert.deepEqual(await accessibility(own.page), []);
  await shot(own.page, 'avatars-06-chat-preview');
  assert.equal(await ofChat(other, head).count(), 0, 'nothing is sent yet');

  // The server does not answer: the choice stays.
  await own.page.route('**/api/chats/*/avatar', (route) => route.abort());
  await press('Save picture');
  await part.locator('.problem', { hasText: 'The server cannot be reached. Check the connection, then try again.' }).waitFor();
  await own.page.unroute('**/api/chats/*/avatar');
  await press('Save picture');
  for (const visitor of [own, other, phone]) {
    await ofChat(visitor, head).waitFor();
    assert.equal(await width(ofChat(visitor, head)), 256);
  }
  for (const visitor of [own, other]) assert.equal(await width(ofChat(visitor, list)), 256);
  assert.equal(await width(part.locator('.picture-sign img.avatar')), 256);
  assert.deepEqual(await accessibility(own.page), []);
  await shot(own.page, 'avatars-07-chat-saved');
  await other.page.keyboard.press('Control+k');
  const entry = other.page.locator('.switcher li', { hasText: 'faces' });
  assert.equal(await width(entry.locator('img.avatar')), 256);
  assert.deepEqual(await accessibility(other.page), []);
  await shot(other.page, 'avatars-08-switcher-dark');
  await other.page.keyboard.press('Escape');
  await shot(other.page, 'avatars-09-member-dark');

  // On a phone: the chat, then the list.
  assert.equal(await overflow(phone.page), '');
  await shot(phone.page, 'avatars-10-phone-chat');
  await phone.page.locator('.chat-head .back').click();
  assert.equal(await width(ofChat(phone, list)), 256);
  assert.deepEqual(await accessibility(phone.page), []);
  assert.equal(await overflow(phone.page), '');
  await shot(phone.page, 'avatars-11-phone-list');

  // A project, whose channel has its picture; then both lose it, and so does the user.
  const channel = other.page.locator('.chat-list a', { hasText: 'alice/hello' });
  assert.equal(await channel.locator('img.avatar').count(), 0);
  await put(server, alice, '/api/projects/alice/hello/avatar', gradient(200));
  await channel.locator('img.avatar').waitFor();
  assert.equal(await width(channel.locator('img.avatar')), 200);
  await put(server, alice, '/api/projects/alice/hello/avatar');
  await channel.locator('img.avatar').waitFor({ state: 'detached' });
  await press('Remove picture');
  await part.getByRole('button', { name: 'Add a picture' }).waitFor();
  for (const visitor of [own, other]) {
    await ofChat(visitor, head).waitFor({ state: 'detached' });
    await visitor.page.locator(`${list} svg`).waitFor();
  }
  await put(server, alice, '/api/users/me/avatar');
  for (const visitor of [own, other]) {
    await faces(visitor).first().waitFor({ state: 'detached' });
    await visitor.page.locator('.chat-message span.avatar', { hasText: 'AL' }).first().waitFor();
  }
  await own.page.locator('header.top span.avatar', { hasText: 'AL' }).waitFor();

  // The owner at a phone.
  const small = await visitor(browser, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: 'dark' });
  await logIn(small.page, server, 'alice', PASSWORD);
  await small.page.goto(`${server.url}/chat/${chat.id}`);
  await small.page.locator('.chat-head [data-panel=people]').click();
  await small.page.locator('.chat-picture input[type=file]').setInputFiles({ name: 'me.png', mimeType: 'image/png', buffer: gradient(64) });
  await small.page.locator('.chat-picture canvas').waitFor();
  assert.deepEqual(await accessibility(small.page), []);
  assert.equal(await overflow(small.page), '');
  await shot(small.page, 'avatars-12-phone-preview-dark');
  for (const { page } of [own, other, phone]) assert.ok(await page.evaluate(() => 'isSamePage' in window), 'no page was loaded again');
  assert.deepEqual([...own.problems, ...other.problems, ...phone.problems, ...small.problems], []);
  for (const { context } of [own, other, phone, small]) await context.close();
}

/** A page of a project stays open. It asks every 30 s, and at once when the Back button shows it again. */
async function livePage(server, browser, alice) {
  const own = await visitor(browser);
  await logIn(own.page, server, 'alice', PASSWORD);
  await own.page.goto(`${server.url}/alice/hello`);
  await own.page.evaluate(() => { Object.assign(window, { isSamePage: true }); });
  const ask = () => own.page.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
  const [project, me] = [own.page.locator('main .head .avatar'), own.page.locator('header.top .avatar')];
  const tag = (node) => node.evaluate(({ tagName }) => tagName);
  assert.deepEqual([await project.count(), await tag(me)], [0, 'SPAN']);
  await put(server, alice, '/api/projects/alice/hello/avatar', gradient(300));
  await put(server, alice, '/api/users/me/avatar', gradient(300));
  await ask();
  await own.page.locator('header.top img.avatar').waitFor();
  await project.waitFor();
  for (const image of [project, me]) assert.equal(await width(image), 256);
  assert.deepEqual(await accessibility(own.page), []);
  await shot(own.page, 'avatars-13-project');
  await put(server, alice, '/api/projects/alice/hello/avatar');
  await put(server, alice, '/api/users/me/avatar');
  await ask();
  await project.waitFor({ state: 'detached' });
  await own.page.locator('header.top span.avatar', { hasText: 'AL' }).waitFor();
  assert.ok(await own.page.evaluate(() => 'isSamePage' in window), 'the page was not loaded again');
  assert.deepEqual(own.problems, []);
  await own.context.close();
}

export default async function avatars({ server, browser }) {
  const { alice } = await fill(server);
  const chat = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'faces', participants: ['bob'] });
  await api(server, alice, 'POST', `/api/chats/${chat.id}/messages`, { client_id: crypto.randomUUID(), content: 'look at me' });
  await ownPicture(server, browser, chat);
  await livePictures(server, browser, alice, chat);
  await livePage(server, browser, alice);
}
