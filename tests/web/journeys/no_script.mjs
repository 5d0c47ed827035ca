// Everything works without scripts: log in, make a project, change a setting, read code.
import assert from 'node:assert/strict';
import { logIn, visitor } from '../browser.mjs';
import { PASSWORD, fill } from '../world.mjs';

export default async function journey({ server, browser }) {
  await fill(server);
  const { page, problems, context } = await visitor(browser, { javaScriptEnabled: false });
  await logIn(page, server, 'bob', PASSWORD);
  // Chat needs scripts: the page states it, and leads to what works without them.
  assert.equal(new URL(page.url()).pathname, '/chat');
  assert.equal(await page.textContent('h1'), 'Chat needs JavaScript');
  await page.click('main a[href="/projects"]');
  assert.equal(new URL(page.url()).pathname, '/projects');
  await page.click('main >> text=New project');
  await page.fill('#name', 'plain');
  await page.click('main button.primary');
  assert.equal(new URL(page.url()).pathname, '/bob/plain');
  await page.goto(`${server.url}/settings/profile`);
  await page.fill('#display_name', 'Bob');
  await page.click('main button.primary');
  await page.goto(`${server.url}/people/bob`);
  assert.equal(await page.textContent('h1'), 'Bob');
  await page.goto(`${server.url}/alice/hello/web`);
  await page.click('main >> text=src');
  await page.click('main >> text=main.rs');
  assert.match(await page.textContent('main'), /println!/);
  await page.goto(`${server.url}/alice/hello/web/-/commits/main`);
  await page.click('main >> text=Change 11');
  assert.match(await page.textContent('main'), /hello 11/);
  await page.click('.menu summary');
  await page.click('text=Log out');
  assert.equal(new URL(page.url()).pathname, '/login');
  assert.deepEqual(problems, []);
  await context.close();
}
