// A user uploads a picture in the settings; another user sees it in pages and in the chat.
import assert from 'node:assert/strict';
import { crc32, deflateSync } from 'node:zlib';
import { accessibility, logIn, shot, visitor } from '../browser.mjs';
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

export default async function avatars({ server, browser }) {
  const { alice } = await fill(server);
  const chat = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'faces', participants: ['bob'] });
  await api(server, alice, 'POST', `/api/chats/${chat.id}/messages`, { client_id: crypto.randomUUID(), content: 'look at me' });

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
