// Files of messages: their links show images, video and sound in a new tab, save anything else, and
// run nothing.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { accessibility, logIn, shot, visitor } from '../browser.mjs';
import { PASSWORD, api, fill } from '../world.mjs';

const PIXEL = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

/** Uploads a file and posts a message that shows it. */
async function share(server, token, chat, name, bytes, content) {
  const file = await api(server, token, 'POST', `/api/chats/${chat}/files`, { name, size: bytes.length });
  const sent = await fetch(`${server.url}${file.upload}`, { method: 'PUT', body: bytes, headers: { authorization: `Bearer ${token}` } });
  assert.equal(sent.status, 200);
  return api(server, token, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content, files: [file.id] });
}

/** Waits for something in a page without scripts, where the page itself cannot wait. */
async function until(check, problem) {
  for (let tries = 0; !await check(); tries += 1) {
    assert.ok(tries < 200, problem);
    await new Promise((done) => { setTimeout(done, 50); });
  }
}

export default async function chatFiles({ server, browser }) {
  const { alice, bob } = await fill(server);
  const chat = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'pictures', participants: ['bob'] });
  await share(server, bob, chat.id, '<img src=x onerror=alert(1)> pixel & co.png', PIXEL, '');
  const { page, context, problems } = await visitor(browser);
  await logIn(page, server, 'alice', PASSWORD);
  await page.goto(`${server.url}/chat/${chat.id}`);
  // A message without text has a row with its file, and its name is in the name of the row.
  const links = page.locator('.chat-message .files a');
  await links.first().waitFor();
  assert.equal(await links.first().locator('img').getAttribute('alt'), '<img src=x onerror=alert(1)> pixel & co.png');
  assert.match(await page.locator('.chat-message:has(.files)').first().getAttribute('aria-label'), /pixel/);
  // The next one arrives over the session.
  await share(server, bob, chat.id, 'page.html', Buffer.from('<script>opener.hit = 1; document.title = "hit"</script>'), 'look at this');
  await page.locator('.chat-message .files a', { hasText: 'page.html' }).waitFor();
  assert.match(await page.locator('.chat-message:has(.files)').last().textContent(), /look at this.*page\.html.*bytes/s);
  const [picture] = await Promise.all([context.waitForEvent('page'), links.first().click()]);
  await picture.waitForLoadState();
  assert.equal(await picture.locator('img').evaluate((img) => img.naturalWidth), 1);
  // The viewer of the browser applies its own styles, some only when the page is painted.
  await picture.screenshot();
  await picture.close();
  // The player of the browser applies its own styles, and reads the file with the cookie.
  for (const end of ['mp4', 'webm', 'mp3', 'ogg']) {
    const name = `sample.${end}`;
    await share(server, bob, chat.id, name, readFileSync(new URL(`../samples/${name}`, import.meta.url)), '');
    const [played] = await Promise.all([context.waitForEvent('page'), page.locator('.chat-message .files a', { hasText: name }).click()]);
    await until(() => played.evaluate(() => (document.querySelector('video, audio')?.readyState ?? 0) > 0), `${name} is not played`);
    await played.close();
  }
  // Rows have a player, which loads nothing before the reader presses play.
  for (const [end, kind] of [['webm', 'video'], ['mp3', 'audio']]) {
    const player = page.locator(`.chat-message ${kind}[aria-label="sample.${end}"]`);
    await player.scrollIntoViewIfNeeded();
    assert.deepEqual(await player.evaluate((node) => [node.preload, node.readyState, node.controls]), ['none', 0, true]);
    await player.evaluate((node) => { node.muted = true; });
    await player.focus();
    await page.keyboard.press('Space');
    await page.waitForFunction((node) => node.readyState > 0 && !node.error, await player.elementHandle());
    // A change of its message keeps the node, so the sound goes on.
    const node = await player.elementHandle();
    const row = page.locator('.chat-message', { has: page.locator(`${kind}[aria-label="sample.${end}"]`) });
    const id = await row.getAttribute('data-id');
    await api(server, bob, 'PUT', `/api/chats/${chat.id}/messages/${id}/reactions/${encodeURIComponent('👍')}`);
    await row.locator('.reaction[data-emoji]').waitFor();
    assert.equal(await player.evaluate((now, before) => now === before && now.readyState > 0, node), true);
  }
  const [saved] = await Promise.all([page.waitForEvent('download'), links.nth(1).click()]);
  assert.equal(saved.suggestedFilename(), 'page.html');
  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.deepEqual(await accessibility(page), []);
  await shot(page, 'chat_files');
  assert.deepEqual(problems, []);
  await context.close();
}
