// A page that was open when the login ended cannot act, and leads to the login page and back.
import assert from 'node:assert/strict';
import { logIn, visitor } from '../browser.mjs';
import { PASSWORD, api, fill } from '../world.mjs';

export default async function journey({ server, browser }) {
  const { bob } = await fill(server);
  const { page, problems, context } = await visitor(browser);
  await logIn(page, server, 'bob', PASSWORD);
  await page.goto(`${server.url}/settings/profile`);
  await api(server, bob, 'POST', '/api/users/logout', { all: true });
  await page.fill('#display_name', 'Changed after the end');
  await page.click('main button.primary');
  assert.equal(new URL(page.url()).pathname, '/login');
  assert.equal(new URL(page.url()).searchParams.get('next'), '/settings/profile');
  assert.match(await page.textContent('main'), /Your login has ended/);
  await page.goto(`${server.url}/settings/tokens`);
  assert.equal(new URL(page.url()).searchParams.get('next'), '/settings/tokens');
  await page.fill('#username', 'bob');
  await page.fill('#password', PASSWORD);
  await page.click('form.card button.primary');
  assert.equal(new URL(page.url()).pathname, '/settings/tokens');
  await page.goto(`${server.url}/settings/profile`);
  assert.doesNotMatch(await page.inputValue('#display_name'), /after the end/);
  assert.deepEqual(problems, []);
  await context.close();
}
