// Files are attached with the button, from the clipboard and by a drop. Their uploads survive a cut
// connection, and can be cancelled. Rows show pictures in place, and run nothing of any file.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import { accessibility, logIn, overflow, shot, visitor } from '../browser.mjs';
import { startProxy } from '../cut_proxy.mjs';
import { PASSWORD, api, fill } from '../world.mjs';

const FIELD = '#composer-text';
const CHIP = '#chat .attached-file';
const LIMIT = 4 * 1024 * 1024;
/** Bytes of a file that the slow line sends within some seconds. */
const SLOW_BYTES = 1_000_000;

export const environment = { NETBIT_LIMITS__FILE_BYTES: String(LIMIT), NETBIT_LIMITS__RATES: 'false' };

/** Returns a picture with one colour; with level 0 it is not compressed. */
function png(width, height, grey = 90, level = 6) {
  const crc = (bytes) => {
    let sum = ~0;
    for (const byte of bytes) { sum ^= byte; for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1)); }
    return ~sum >>> 0;
  };
  const chunk = (type, data) => {
    const out = Buffer.concat([Buffer.alloc(4), Buffer.from(type), data, Buffer.alloc(4)]);
    out.writeUInt32BE(data.length, 0);
    out.writeUInt32BE(crc(out.subarray(4, -4)), out.length - 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 0, 0, 0, 0], 8);
  const rows = Buffer.alloc(height * (width + 1), grey);
  for (let row = 0; row < height; row += 1) rows[row * (width + 1)] = 0;
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows, { level })), chunk('IEND', Buffer.alloc(0))]);
}

/** Uploads files and posts a message that shows them. */
async function share(server, token, chat, content, ...files) {
  const ids = [];
  for (const [name, bytes] of files) {
    const file = await api(server, token, 'POST', `/api/chats/${chat}/files`, { name, size: bytes.length });
    const sent = await fetch(`${server.url}${file.upload}`, { method: 'PUT', body: bytes, headers: { authorization: `Bearer ${token}` } });
    assert.equal(sent.status, 200);
    ids.push(file.id);
  }
  return api(server, token, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content, files: ids });
}

/** Returns the newest messages of a chat, the newest last. */
const messages = async (server, token, chat) => (await api(server, token, 'GET', `/api/chats/${chat}/messages?limit=50`)).items;

/** Returns the status of a file. */
const statusOf = async (server, token, id) => (await fetch(`${server.url}/api/files/${id}`, { method: 'HEAD', headers: { authorization: `Bearer ${token}` } })).status;

const chips = (page) => page.locator(CHIP);
/** Waits until the page has so many files, and all are uploaded. */
const uploaded = (page, count) => page.waitForFunction(([selector, wanted]) => {
  const list = [...document.querySelectorAll(selector)];
  return list.length === wanted && list.every((node) => node.querySelector('progress').hidden && !node.classList.contains('is-failed'));
}, [CHIP, count]);

/** Returns the id of the next file that the page sends. */
async function idOfNext(page) {
  const sent = await page.waitForRequest((request) => request.method() === 'PUT');
  return Number(new URL(sent.url()).pathname.split('/')[3]);
}

/** Sends a paste or drag event with files, as the browser does. */
const transfer = (page, selector, kind, files) => page.evaluate(([at, type, list]) => {
  const data = new DataTransfer();
  for (const { name, type: media, base64 } of list) data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type: media }));
  const node = document.querySelector(at);
  const options = { bubbles: true, cancelable: true };
  node.dispatchEvent(type === 'paste' ? new ClipboardEvent(type, { ...options, clipboardData: data }) : new DragEvent(type, { ...options, dataTransfer: data }));
}, [selector, kind, files.map(([name, type, bytes]) => ({ name, type, base64: bytes.toString('base64') }))]);

const file = (name, mimeType, buffer) => ({ name, mimeType, buffer });

export default async function chatUpload({ server, browser }) {
  const { alice, bob } = await fill(server);
  const chat = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'pictures', participants: ['bob'] });
  const other = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'elsewhere', participants: ['bob'] });
  const proxy = await startProxy(Number(new URL(server.url).port), () => 1, { rttMs: 0, bytesPerSecond: 400_000 });
  try {
    await attaching({ server, browser, alice, bob, chat, other });
    await early({ server, browser, alice, chat, other });
    await slowly({ server, browser, alice, chat, other, proxy });
    await shown({ server, browser, bob, chat });
    await still({ server, browser, alice, bob });
  } finally {
    proxy.stop();
  }
}

/** Button, clipboard, drop; limits; a message with files only; the second user. */
async function attaching({ server, browser, alice, bob, chat, other }) {
  const writer = await visitor(browser, { permissions: ['clipboard-read', 'clipboard-write'] });
  const reader = await visitor(browser);
  const { page } = writer;
  for (const [one, name] of [[page, 'alice'], [reader.page, 'bob']]) {
    await logIn(one, server, name, PASSWORD);
    await one.goto(`${server.url}/chat/${chat.id}`);
    await one.waitForSelector(FIELD, { state: 'visible' });
  }
  // The button, and a message with files only.
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.getByRole('button', { name: 'Attach files' }).click()]);
  assert.equal(chooser.isMultiple(), true);
  await chooser.setFiles([file('photo.png', 'image/png', png(800, 600)), file('notes.txt', 'text/plain', Buffer.from('hello'))]);
  await uploaded(page, 2);
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'composer-text', 'Enter sends next');
  await page.waitForFunction(() => /uploaded/.test(document.getElementById('announce')?.textContent ?? ''));
  assert.deepEqual(await accessibility(page), []);
  await shot(page, 'chat_upload_files');
  const begun = performance.now();
  await page.keyboard.press('Enter');
  const picture = reader.page.locator('.chat-message .file-image img');
  await reader.page.waitForFunction(() => document.querySelector('.chat-message .file-image img')?.naturalWidth === 800);
  console.log(`   the second user sees the picture after ${Math.round(performance.now() - begun)} ms`);
  assert.deepEqual([await picture.getAttribute('width'), await picture.getAttribute('height'), await picture.getAttribute('alt')], ['400', '300', 'photo.png']);
  await page.waitForFunction((chip) => !document.querySelector(chip), CHIP);
  await page.locator('.chat-message:not(.is-sending) .files a', { hasText: 'notes.txt' }).waitFor();

  // A screenshot from the clipboard, as an event and with the real clipboard.
  await transfer(page, FIELD, 'paste', [['image.png', 'image/png', png(40, 40)]]);
  await uploaded(page, 1);
  assert.match(await page.textContent(`${CHIP} .attached-name`), /^screenshot-\d{4}-\d\d-\d\d-\d{4}\.png$/);
  await page.evaluate(async (base64) => {
    const blob = new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type: 'image/png' });
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
  }, png(50, 30).toString('base64'));
  await page.focus(FIELD);
  await page.keyboard.press('Control+v');
  await uploaded(page, 2);
  // A copied text with a picture of it is text.
  await page.evaluate((field) => {
    const data = new DataTransfer();
    data.setData('text/plain', 'words');
    data.items.add(new File(['x'], 'image.png', { type: 'image/png' }));
    document.querySelector(field).dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
  }, FIELD);
  // A drop shows where it falls.
  await transfer(page, '#chat .timeline', 'dragover', [['a.txt', 'text/plain', Buffer.from('a')]]);
  await page.locator('#chat.is-dropping').waitFor();
  await shot(page, 'chat_upload_drop');
  await transfer(page, '#chat .timeline', 'dragleave', [['a.txt', 'text/plain', Buffer.from('a')]]);
  await page.waitForSelector('#chat:not(.is-dropping)');
  await transfer(page, '#chat .timeline', 'drop', [['a\u202Etxt.exe', 'text/plain', Buffer.from('a')], ['two\nlines.txt', 'text/plain', Buffer.from('b')]]);
  await uploaded(page, 4);
  assert.deepEqual((await page.locator(`${CHIP} .attached-name`).allTextContents()).slice(2), ['a_txt.exe', 'two_lines.txt']);

  // The files of a chat stay with it.
  await page.fill(FIELD, 'pasted and dropped');
  await page.click(`#sidebar a[href="/chat/${other.id}"]`);
  await page.waitForFunction((id) => location.pathname === `/chat/${id}`, other.id);
  assert.equal(await chips(page).count(), 0);
  await page.click(`#sidebar a[href="/chat/${chat.id}"]`);
  await uploaded(page, 4);
  await page.focus(FIELD);
  await page.keyboard.press('Enter');
  await reader.page.waitForFunction(() => [...document.querySelectorAll('.chat-message')].some((row) => row.textContent.includes('pasted and dropped') && row.querySelectorAll('.file-image').length === 2 && row.querySelectorAll('.file-link').length === 2));

  // A file that is too large is refused before its bytes are sent; the text stays.
  await page.setInputFiles('#chat .composer input[type=file]', [file('huge.bin', 'application/octet-stream', Buffer.alloc(LIMIT + 1)), file('small.txt', 'text/plain', Buffer.from('s'))]);
  const failed = page.locator(`${CHIP}.is-failed`);
  await failed.waitFor();
  assert.match(await failed.textContent(), /A file may have /);
  await page.fill(FIELD, 'with a failed file');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => /Not sent: a file is not uploaded/.test(document.querySelector('.composer-problem')?.textContent ?? ''));
  await shot(page, 'chat_upload_failed');
  await failed.getByRole('button', { name: 'Remove huge.bin' }).click();
  await uploaded(page, 1);
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')), 'Remove small.txt', 'the focus stays in the list');
  // Eleven files.
  await page.setInputFiles('#chat .composer input[type=file]', Array.from({ length: 10 }, (_, n) => file(`${n}.txt`, 'text/plain', Buffer.from(`${n}`))));
  await uploaded(page, 10);
  assert.match(await page.textContent('.composer-problem'), /at most 10 files. Not attached: 9\.txt/);
  assert.equal(await page.inputValue(FIELD), 'with a failed file');
  await page.focus(FIELD);
  await page.keyboard.press('Enter');
  await page.waitForFunction((chip) => !document.querySelector(chip), CHIP);
  await reader.page.waitForFunction(() => [...document.querySelectorAll('.chat-message')].some((row) => row.querySelectorAll('.file-link').length === 10));
  assert.deepEqual((await messages(server, bob, chat.id)).at(-1).files.map(({ name }) => name), ['small.txt', ...Array.from({ length: 9 }, (_, n) => `${n}.txt`)]);

  // A thread has files of its own.
  const first = (await messages(server, alice, chat.id))[0];
  await page.goto(`${server.url}/chat/${chat.id}/thread/${first.id}`);
  await page.locator('#panel textarea').waitFor();
  await page.setInputFiles('#panel input[type=file]', [file('reply.png', 'image/png', png(60, 60))]);
  await page.waitForFunction(() => document.querySelector('#panel .attached-file progress')?.hidden);
  assert.equal(await chips(page).count(), 0);
  await page.focus('#panel textarea');
  await page.keyboard.press('Enter');
  await page.locator('#panel img[alt="reply.png"]').waitFor();
  const reply = (await messages(server, alice, chat.id)).at(-1);
  assert.deepEqual([reply.files[0].name, reply.reply_to], ['reply.png', first.id]);
  // A message that is deleted elsewhere takes its files along.
  await api(server, alice, 'DELETE', `/api/chats/${chat.id}/messages/${reply.id}`);
  await page.waitForFunction((id) => !document.querySelector(`[data-id="${id}"] .files`), reply.id);
  assert.equal(await statusOf(server, alice, reply.files[0].id), 404);
  for (const { context, problems } of [writer, reader]) {
    assert.deepEqual(problems, []);
    await context.close();
  }
}

/** A slow line that is cut: progress, resumption, cancel, and a message that waits for its file. */
async function slowly({ server, browser, alice, chat, other, proxy }) {
  const slow = { url: `http://127.0.0.1:${proxy.port}` };
  const { page, context, problems } = await visitor(browser);
  await logIn(page, slow, 'alice', PASSWORD);
  await page.goto(`${slow.url}/chat/${chat.id}`);
  await page.waitForSelector(FIELD, { state: 'visible' });
  const bytes = randomBytes(SLOW_BYTES);
  /** Waits until this part of the only upload is sent. */
  const progress = (part) => page.waitForFunction(([chip, wanted]) => {
    const bar = document.querySelector(`${chip} progress`);
    return bar && bar.value / bar.max > wanted;
  }, [CHIP, part]);
  const puts = [];
  page.on('request', (request) => { if (request.method() === 'PUT') puts.push(request.headers()['content-range'] ?? ''); });
  const first = idOfNext(page);
  await page.setInputFiles('#chat .composer input[type=file]', [file('slow.bin', 'application/octet-stream', bytes)]);
  await page.fill(FIELD, 'sent when it is there');
  await progress(0);
  // It cannot end now.
  let thaw = proxy.freeze();
  await page.keyboard.press('Enter');
  await page.locator('.attached-note', { hasText: 'The message is sent when the file is uploaded.' }).waitFor();
  // Escape and a change of the text end the wait; Enter begins it again.
  for (const key of ['Escape', 'x', 'Backspace']) {
    await page.keyboard.press(key);
    await page.waitForFunction(() => document.querySelector('.attached-note')?.hidden);
    if (key !== 'x') await page.keyboard.press('Enter');
  }
  await page.locator('.attached-note', { hasText: 'The message is sent when the file is uploaded.' }).waitFor();
  await shot(page, 'chat_upload_slow');
  // Chromium itself repeats a request whose connection was used before, so one cut may not suffice.
  thaw();
  const path = `/api/files/${await first}/upload`;
  for (let offset = 0; !puts.some((range) => range !== '');) {
    const state = await api(server, alice, 'GET', path);
    assert.ok(!state.complete, `it continued: ${puts}`);
    if (state.offset > 0 && state.offset !== offset) proxy.cutAll();
    offset = state.offset;
    await page.waitForTimeout(50);
  }
  await page.waitForFunction((chip) => !document.querySelector(chip), CHIP, { timeout: 60_000 });
  await page.locator('.chat-message:not(.is-sending)', { hasText: 'sent when it is there' }).waitFor();
  assert.equal(await page.inputValue(FIELD), '');
  const sent = (await messages(server, alice, chat.id)).at(-1);
  assert.equal(sent.content, 'sent when it is there');
  const got = await fetch(`${server.url}/api/files/${sent.files[0].id}`, { headers: { authorization: `Bearer ${alice}` } });
  assert.ok(bytes.equals(Buffer.from(await got.arrayBuffer())), 'the bytes are those of the file');
  assert.match(puts.at(-1), /^bytes [1-9]/, 'it continued where the server had it');

  // Cancel removes the announced file.
  const announced = idOfNext(page);
  await page.setInputFiles('#chat .composer input[type=file]', [file('cancelled.bin', 'application/octet-stream', bytes)]);
  const id = await announced;
  await progress(0);
  thaw = proxy.freeze();
  const removed = page.waitForResponse((answer) => answer.request().method() === 'DELETE');
  await page.getByRole('button', { name: 'Cancel cancelled.bin' }).click();
  thaw();
  assert.equal((await removed).status(), 204);
  assert.equal(await chips(page).count(), 0);
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'composer-text');
  assert.equal(await statusOf(server, alice, id), 404);

  // The message is sent although another chat is open.
  await page.setInputFiles('#chat .composer input[type=file]', [file('behind.bin', 'application/octet-stream', bytes)]);
  await progress(0);
  thaw = proxy.freeze();
  await page.fill(FIELD, 'sent from another chat');
  await page.keyboard.press('Enter');
  await page.locator('.attached-note', { hasText: 'The message is sent when the file is uploaded.' }).waitFor();
  await page.click(`#sidebar a[href="/chat/${other.id}"]`);
  await page.waitForFunction((wanted) => location.pathname === `/chat/${wanted}`, other.id);
  await page.fill(FIELD, 'a draft here');
  thaw();
  for (let tries = 0; (await messages(server, alice, chat.id)).at(-1).content !== 'sent from another chat'; tries += 1) {
    assert.ok(tries < 600, 'it was not sent');
    await page.waitForTimeout(100);
  }
  assert.equal(await page.inputValue(FIELD), 'a draft here');
  await page.click(`#sidebar a[href="/chat/${chat.id}"]`);
  await page.locator('.chat-message:not(.is-sending)', { hasText: 'sent from another chat' }).waitFor();
  assert.deepEqual([await page.inputValue(FIELD), await chips(page).count()], ['', 0]);

  // A message waits on while another is edited.
  /** Attaches a file, lets its message wait, and begins an edit. */
  async function editWhileHeld(name) {
    await page.setInputFiles('#chat .composer input[type=file]', [file(name, 'application/octet-stream', bytes)]);
    await progress(0);
    thaw = proxy.freeze();
    await page.focus(FIELD);
    await page.keyboard.press('Enter');
    await page.locator('.attached-note', { hasText: 'The message is sent when the file is uploaded.' }).waitFor();
    await page.keyboard.press('ArrowUp');
    await page.locator('.composer button[type=submit][aria-label="Save"]').waitFor();
  }
  /** Waits until the file of the open chat or of another is uploaded. */
  const arrived = (name) => page.waitForFunction((wanted) => document.getElementById('announce')?.textContent?.includes(wanted), `${name} is uploaded`, { timeout: 60_000 });
  const named = async (name) => (await messages(server, alice, chat.id)).some(({ files }) => files?.some((one) => one.name === name));
  await editWhileHeld('during an edit.bin');
  await page.keyboard.type('!');
  thaw();
  await arrived('during an edit.bin');
  assert.equal(await named('during an edit.bin'), false);
  assert.equal(await page.inputValue(FIELD), 'sent from another chat!');
  await page.keyboard.press('Escape');
  await page.locator('.chat-message:not(.is-sending) .files', { hasText: 'during an edit.bin' }).waitFor();
  assert.equal(await chips(page).count(), 0);
  // In a chat that is not open, the state bar states why it is not sent: when its file arrives, or
  // when the chat is left.
  const isEdited = page.locator('.state-bar', { hasText: 'Your message in pictures was not sent. A message is being edited there. Open the chat to send it.' });
  for (const [name, arrivesBefore] of [['left.bin', false], ['left later.bin', true]]) {
    await api(server, alice, 'POST', `/api/chats/${chat.id}/messages`, { client_id: crypto.randomUUID(), content: `before ${name}` });
    await page.locator('.chat-message', { hasText: `before ${name}` }).waitFor();
    await editWhileHeld(name);
    if (arrivesBefore) {
      thaw();
      await arrived(name);
      assert.equal(await isEdited.count(), 0);
    }
    await page.click(`#sidebar a[href="/chat/${other.id}"]`);
    await page.waitForFunction((wanted) => location.pathname === `/chat/${wanted}`, other.id);
    thaw();
    await isEdited.waitFor({ timeout: 60_000 });
    await shot(page, 'chat_upload_not_sent');
    await page.click('.state-bar button');
    await isEdited.waitFor({ state: 'detached' });
    await page.click(`#sidebar a[href="/chat/${chat.id}"]`);
    await page.locator('.composer button[type=submit][aria-label="Save"]').waitFor();
    await page.focus(FIELD);
    await page.keyboard.press('Escape');
    await uploaded(page, 1);
    assert.equal(await named(name), false);
    await page.keyboard.press('Enter');
    await page.locator('.chat-message:not(.is-sending) .files', { hasText: name }).waitFor();
  }
  assert.deepEqual(problems, []);
  await context.close();
}

/** Files that are taken before the second part of the program is there. */
async function early({ server, browser, alice, chat, other }) {
  const { page, context, problems } = await visitor(browser);
  await logIn(page, server, 'alice', PASSWORD);
  let release = () => {};
  const held = new Promise((done) => { release = () => done(undefined); });
  await page.route('**/chat/more.js', async (route) => { await held; await route.fallback(); });
  await page.goto(`${server.url}/chat/${chat.id}`);
  await page.waitForSelector(FIELD, { state: 'visible' });
  await page.setInputFiles('#chat .composer input[type=file]', [file('early.txt', 'text/plain', Buffer.from('early'))]);
  await page.fill(FIELD, 'with an early file');
  await page.keyboard.press('Enter');
  assert.equal(await page.inputValue(FIELD), 'with an early file', 'it waits for its file');
  // Escape ends the wait, and Enter begins it again.
  const waits = page.locator('.composer-problem', { hasText: 'The message is sent when its files are uploaded.' });
  await waits.waitFor();
  await page.keyboard.press('Escape');
  await waits.waitFor({ state: 'hidden' });
  await page.keyboard.press('Enter');
  await waits.waitFor();
  await page.click(`#sidebar a[href="/chat/${other.id}"]`);
  await page.waitForFunction((id) => location.pathname === `/chat/${id}`, other.id);
  await page.fill(FIELD, 'without a file');
  await page.keyboard.press('Enter');
  await page.locator('.chat-message:not(.is-sending)', { hasText: 'without a file' }).waitFor();
  // This one stays in the list: its message does not wait.
  await page.setInputFiles('#chat .composer input[type=file]', [file('other.txt', 'text/plain', Buffer.from('other'))]);
  release();
  await uploaded(page, 1);
  assert.equal(await page.textContent(`${CHIP} .attached-name`), 'other.txt');
  await page.click(`#sidebar a[href="/chat/${chat.id}"]`);
  await page.locator('.chat-message:not(.is-sending) .files', { hasText: 'early.txt' }).waitFor();
  const sent = (await messages(server, alice, chat.id)).at(-1);
  assert.deepEqual([sent.content, sent.files.map(({ name }) => name)], ['with an early file', ['early.txt']]);
  assert.deepEqual((await messages(server, alice, other.id)).map(({ content, files }) => [content, files?.length ?? 0]).at(-1), ['without a file', 0]);
  assert.deepEqual([await page.inputValue(FIELD), await chips(page).count()], ['', 0]);

  // A part that does not load takes no file.
  const second = await context.newPage();
  await second.route('**/chat/more.js', (route) => route.abort());
  await second.goto(`${server.url}/chat/${chat.id}`);
  await second.waitForSelector(FIELD, { state: 'visible' });
  await second.setInputFiles('#chat .composer input[type=file]', [file('lost.txt', 'text/plain', Buffer.from('lost'))]);
  await second.locator('.composer-problem', { hasText: 'The files are not attached. Try again.' }).waitFor();
  await second.unroute('**/chat/more.js');
  await second.setInputFiles('#chat .composer input[type=file]', [file('again.txt', 'text/plain', Buffer.from('again'))]);
  await uploaded(second, 1);
  assert.equal(await second.textContent(`${CHIP} .attached-name`), 'again.txt');
  assert.deepEqual(problems, []);
  await context.close();
}

/** Files that are not what they are named run nothing, and are links. Broken pictures are links. */
async function shown({ server, browser, bob, chat }) {
  const script = '<script>window.hit = 1; opener && (opener.hit = 1)</script>';
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" onload="window.hit = 1">${script}</svg>`;
  const hostile = [
    ['drawing.svg', svg], ['drawing.png', svg], ['page.png', `<!DOCTYPE html>${script}`], ['page.html', script],
    ['polyglot.gif', 'GIF89a/*\x01\x00*/=1;window.hit=1;'], ['<img src=x onerror=window.hit=1>.png', 'text'],
  ];
  const broken = Buffer.concat([png(300, 200).subarray(0, 40), png(1, 1).subarray(-12)]);
  await share(server, bob, chat.id, 'hostile', ...hostile.map(([name, text]) => [name, Buffer.from(text, 'latin1')]));
  await share(server, bob, chat.id, 'broken', ['broken.png', broken]);
  await share(server, bob, chat.id, 'large', ['large.png', png(1400, 900, 150, 0)]);
  await share(server, bob, chat.id, 'moving', ['sample.webm', Buffer.from('1a45dfa3', 'hex')], ['tiny.png', png(1, 1)]);
  for (const [look, options] of [['light', {}], ['dark', { colorScheme: 'dark' }], ['phone', { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }]]) {
    const { page, context, problems } = await visitor(browser, options);
    await logIn(page, server, 'alice', PASSWORD);
    await page.goto(`${server.url}/chat/${chat.id}`);
    const row = page.locator('.chat-message', { hasText: 'hostile' });
    await row.first().scrollIntoViewIfNeeded();
    const names = row.first().locator('.files a');
    assert.deepEqual(await names.evaluateAll((links) => links.map((link) => link.querySelector('img')?.alt ?? link.textContent)), hostile.map(([name]) => name));
    // The polyglot has the form of a picture, so it is only one.
    assert.equal(await row.first().locator('.files :is(img, video, audio)').count(), 1);
    await page.locator('.chat-message .file-link', { hasText: 'broken.png' }).waitFor();
    // A large picture is shown by its thumbnail, and opens as it is.
    const large = page.locator('.chat-message img[alt="large.png"][src$="/thumbnail?size=1080"]');
    await large.scrollIntoViewIfNeeded();
    await page.waitForFunction((image) => image.complete && image.naturalWidth === 1080, await large.elementHandle());
    assert.match(await large.locator('xpath=..').getAttribute('href'), /^\/api\/files\/\d+$/);
    await row.first().scrollIntoViewIfNeeded();
    assert.deepEqual(await accessibility(page), []);
    assert.equal(await overflow(page), '');
    await shot(page, `chat_upload_${look}`);
    if (look === 'light') {
      const [tab] = await Promise.all([context.waitForEvent('page'), row.first().locator('.file-image').click()]);
      await tab.waitForLoadState();
      assert.equal(await tab.evaluate(() => window.hit), undefined);
      await tab.close();
      for (const [name] of hostile.filter(([file]) => file !== 'polyglot.gif')) {
        const [saved] = await Promise.all([page.waitForEvent('download'), row.first().locator('.files a', { hasText: name }).first().click()]);
        assert.ok(saved.suggestedFilename(), name);
      }
    }
    assert.equal(await page.evaluate(() => window.hit), undefined);
    assert.deepEqual(problems, []);
    await context.close();
  }
}

/** The place in a chat does not move while pictures above it load. */
async function still({ server, browser, alice, bob }) {
  const chat = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'gallery', participants: ['bob'] });
  for (let n = 0; n < 12; n += 1) {
    await share(server, bob, chat.id, `picture ${n}`, [`${n}.png`, png(501 + 37 * n, 333 + 11 * n, 20 * n)]);
    for (let line = 0; line < 3; line += 1) await api(server, bob, 'POST', `/api/chats/${chat.id}/messages`, { client_id: crypto.randomUUID(), content: `line ${n}.${line}` });
  }
  await api(server, alice, 'POST', '/api/chats/read', {});
  for (const options of [{}, { viewport: { width: 360, height: 740 } }]) {
    const { page, context, problems } = await visitor(browser, options);
    await logIn(page, server, 'alice', PASSWORD);
    /** Pictures that wait. @type {(() => void)[]} */
    const held = [];
    let isHeld = true;
    await page.route('**/api/files/*', async (route) => {
      if (isHeld) await new Promise((done) => { held.push(() => done(0)); });
      await route.continue();
    });
    await page.goto(`${server.url}/chat/${chat.id}`);
    await page.locator('.chat-message', { hasText: 'line 11.2' }).waitFor();
    const place = () => page.evaluate(() => {
      const row = [...document.querySelectorAll('.chat-message')].find((node) => node.textContent.includes('line 9.1'));
      return [row?.getBoundingClientRect().top, document.querySelector('.timeline-scroll')?.scrollTop];
    });
    await page.evaluate(() => [...document.querySelectorAll('.chat-message')].find((node) => node.textContent.includes('line 9.1'))?.scrollIntoView({ block: 'center' }));
    await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(() => done(0))); }));
    const before = await place();
    assert.equal(await page.locator('.file-image img').evaluateAll((list) => list.filter((img) => img.naturalWidth > 0).length), 0);
    isHeld = false;
    for (const go of held) go();
    await page.locator('.file-image img').evaluateAll((list) => Promise.all(list.map((img) => { img.loading = 'eager'; return img.decode(); })));
    await page.evaluate(() => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(() => done(0))); }));
    assert.deepEqual(await place(), before, 'no pixel');
    assert.deepEqual(problems, []);
    await context.close();
  }
}
