// Files of messages: their links show an image in a new tab, save anything else, and run nothing.
import assert from 'node:assert/strict';
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
  assert.deepEqual(await links.allTextContents(), ['<img src=x onerror=alert(1)> pixel & co.png']);
  assert.match(await page.locator('.chat-message:has(.files)').first().getAttribute('aria-label'), /pixel/);
  // The next one arrives over the session.
  await share(server, bob, chat.id, 'page.html', Buffer.from('<script>opener.hit = 1; document.title = "hit"</script>'), 'look at this');
  await page.locator('.chat-message .files a', { hasText: 'page.html' }).waitFor();
  assert.match(await page.locator('.chat-message:has(.files)').last().textContent(), /look at this.*page\.html.*bytes/s);
  const [picture] = await Promise.all([context.waitForEvent('page'), links.first().click()]);
  await picture.waitForLoadState();
  assert.equal(await picture.locator('img').evaluate((img) => img.naturalWidth), 1);
  await picture.close();
  const [saved] = await Promise.all([page.waitForEvent('download'), links.last().click()]);
  assert.equal(saved.suggestedFilename(), 'page.html');
  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.deepEqual(await accessibility(page), []);
  await shot(page, 'chat_files');
  assert.deepEqual(problems, []);
  await context.close();
}
