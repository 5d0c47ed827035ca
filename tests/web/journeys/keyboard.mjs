// Only keys: from the login to a new project and into the account menu.
import assert from 'node:assert/strict';
import { visitor } from '../browser.mjs';
import { PASSWORD, fill } from '../world.mjs';

/** Presses Tab until the focused element matches. */
async function tabTo(page, selector, max = 40) {
  for (let n = 0; n < max; n += 1) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector)) return;
    await page.keyboard.press('Tab');
    const outline = await page.evaluate(() => {
      const node = document.activeElement;
      return !node || node === document.body || getComputedStyle(node).outlineStyle !== 'none' || node.matches(':-webkit-autofill');
    });
    assert.ok(outline, 'the focus is visible');
  }
  assert.fail(`Tab does not reach ${selector} on ${page.url()}`);
}

export default async function journey({ server, browser }) {
  await fill(server);
  const { page, problems, context } = await visitor(browser);
  await page.goto(`${server.url}/login`);
  await tabTo(page, '#username');
  await page.keyboard.type('bob');
  await tabTo(page, '#password');
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/chat`);
  await page.goto(`${server.url}/projects/new`);
  await tabTo(page, '#name');
  await page.keyboard.type('keys');
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/bob/keys`);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Skip to content');
  await tabTo(page, '.menu summary');
  await page.keyboard.press('Enter');
  assert.ok(await page.isVisible('text=Log out'));
  await page.keyboard.press('Escape');
  assert.ok(!(await page.isVisible('text=Log out')));
  assert.ok(await page.evaluate(() => document.activeElement?.matches('.menu summary')));
  await page.keyboard.press('Control+k');
  await page.waitForSelector('dialog.switcher[open]');
  assert.deepEqual(problems, []);
  await context.close();
}
