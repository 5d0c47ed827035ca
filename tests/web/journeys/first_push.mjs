// A person with an empty server: setup, a project, a repository, the first push on screen.
import assert from 'node:assert/strict';
import { shot, visitor } from '../browser.mjs';
import { workingCopy } from '../server.mjs';

export default async function firstPush({ server, browser }) {
  const begun = performance.now();
  const { page, problems, context } = await visitor(browser);
  await page.goto(`${server.url}/setup#code=${server.code}`);
  await page.fill('#username', 'alice');
  await page.fill('#password', 'a correct horse');
  await page.click('button.primary');
  assert.equal(new URL(page.url()).pathname, '/projects/new');
  await page.fill('#name', 'hello');
  await page.click('main button.primary');
  assert.equal(new URL(page.url()).pathname, '/alice/hello');
  await shot(page, 'first-push-1-project');
  await page.click('main >> text=New repository');
  await page.fill('#name', 'web');
  await page.click('main button.primary');
  assert.equal(new URL(page.url()).pathname, '/alice/hello/web');
  await shot(page, 'first-push-2-empty-repository');
  assert.match(await page.textContent('main'), new RegExp(`${server.url}/alice/hello/web.git`));
  const copy = workingCopy(server, 'alice', 'a correct horse', 'alice/hello/web');
  try {
    copy.write('README.md', '# Hello\n\nThe first *push*.\n');
    copy.write('src/main.rs', 'fn main() {\n    println!("hello");\n}\n');
    copy.commit('Say hello');
    copy.push();
  } finally {
    copy.remove();
  }
  await page.reload();
  assert.match(await page.textContent('main'), /README\.md/);
  assert.equal(await page.textContent('article em'), 'push');
  await shot(page, 'first-push-3-pushed');
  console.log(`   setup to first push on screen: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  assert.deepEqual(problems, []);
  await context.close();
}
