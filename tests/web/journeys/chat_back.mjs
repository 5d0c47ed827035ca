// The Back button shows the chat as it was left, and the messages that were written meanwhile: the
// socket is closed when the page is left, so the browser can keep the page.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { chromiumPath, logIn } from '../browser.mjs';
import { PASSWORD, api } from '../world.mjs';

export default async function chatBack({ server }) {
  await api(server, '', 'POST', '/api/users/register', { username: 'alice', password: PASSWORD, setup_code: server.code });
  await api(server, '', 'POST', '/api/users/register', { username: 'bob', password: PASSWORD });
  const { token } = await api(server, '', 'POST', '/api/users/login', { username: 'bob', password: PASSWORD });
  const chat = await api(server, token, 'POST', '/api/chats', { kind: 'group', name: 'dev', participants: ['alice'] });
  const say = (content) => api(server, token, 'POST', `/api/chats/${chat.id}/messages`, { client_id: crypto.randomUUID(), content });
  await say('before');
  // Browsers under test do not keep pages unless they are started so.
  const browser = await chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox', '--disable-dev-shm-usage'], ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  try {
    const page = await (await browser.newContext()).newPage();
    await logIn(page, server, 'alice', PASSWORD);
    await page.goto(`${server.url}/chat/${chat.id}`);
    await page.waitForSelector('.chat-message:has-text("before")');
    await page.evaluate(() => { document.body.dataset.kept = 'yes'; });
    await page.fill('#composer-text', 'an unfinished text');
    await page.goto(`${server.url}/projects`);
    await say('meanwhile');
    // A page that is kept has no load event.
    await page.goBack({ waitUntil: 'commit' });
    await page.waitForSelector('.chat-message:has-text("meanwhile")');
    assert.equal(await page.evaluate(() => document.body.dataset.kept), 'yes', 'the page was loaded again');
    assert.equal(await page.inputValue('#composer-text'), 'an unfinished text');
    await page.locator('#composer-text').press('Enter');
    await page.waitForSelector('.chat-message:has-text("an unfinished text")');
    assert.deepEqual(await page.locator('.chat-message .text').allInnerTexts(), ['before', 'meanwhile', 'an unfinished text']);
  } finally {
    await browser.close();
  }
}
