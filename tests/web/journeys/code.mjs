// A reader of code: folders, a long file, lines, blame, the finder, keys; each page without problems.
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { accessibility, overflow, shot, visitor } from '../browser.mjs';
import { workingCopy } from '../server.mjs';

const LONG = 10_000;
const BYTES_MAX = 40_000;
const REQUESTS_MAX = 8;

/** Asks the API as the script of a page does. */
const api = (page, path, body) => page.evaluate(async ([path, body]) => {
  const headers = { 'X-NetBit-Web': '1', 'Content-Type': 'application/json' };
  const response = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
}, [path, body]);

/** Returns what the browser puts into the clipboard for the whole file. */
const copied = (page) => page.evaluate(() => {
  getSelection().selectAllChildren(document.querySelector('[data-code]'));
  return getSelection().toString();
});

/** The chosen lines in the address. */
const hash = (page) => page.evaluate(() => location.hash);

/** Loads a page with an empty cache; returns the number and the compressed size of what it loaded. */
async function cold(browser, address) {
  const { page, context } = await visitor(browser);
  const loaded = [];
  page.on('response', (response) => loaded.push(response.body()));
  await page.goto(address, { waitUntil: 'networkidle' });
  const bodies = await Promise.all(loaded);
  await context.close();
  return { requests: bodies.length, bytes: bodies.reduce((sum, body) => sum + gzipSync(body).length, 0) };
}

export default async function code({ server, browser }) {
  const { page, problems, context } = await visitor(browser);
  await page.goto(`${server.url}/setup#code=${server.code}`);
  await page.fill('#username', 'alice');
  await page.fill('#password', 'a correct horse');
  await page.click('button.primary');
  await api(page, '/api/projects/create', { name: 'hello', visibility: 'public' });
  await api(page, '/api/projects/alice/hello/repos/create', { name: 'web', description: 'Pages & <b>more</b>' });
  const home = `${server.url}/alice/hello/web`;
  await page.goto(home);
  assert.match(await page.textContent('main'), new RegExp(`git clone http://alice@${new URL(server.url).host}/alice/hello/web.git`));
  await shot(page, 'code-empty');

  const lines = Array.from({ length: LONG }, (_, at) => (at % 10 === 6 ? '' : `let line_${at + 1} = "${at}"; // <i>${at}</i>`));
  const text = `${lines.join('\n')}\n`;
  const short = 'fn main() {\n\n    println!("hello");\n}\n';
  const copy = workingCopy(server, 'alice', 'a correct horse', 'alice/hello/web');
  try {
    copy.write('README.md', '# Hello\n\nRead [the code](src/main.rs) or [the folder](src).\n\n![Icon](icon.svg)\n\n<script>alert(1)</script>\n');
    copy.write('icon.svg', '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20" onload="alert(1)"><script>alert(1)</script><rect width="20" height="20"/></svg>');
    copy.write('src/main.rs', short);
    copy.write('src/long.rs', text);
    copy.write('src/<img src=x onerror=alert(1)>.txt', 'x\n');
    copy.commit('Say <b>hello</b>');
    copy.push();
  } finally {
    copy.remove();
  }

  await page.goto(home);
  assert.equal(await page.textContent('article h2'), 'Hello');
  assert.ok(await page.$eval('article img', (image) => image.complete && image.naturalWidth === 20), 'the image is shown');
  assert.deepEqual(await page.$$eval('.tree td.name [dir]', (names) => names.map((name) => name.textContent)), ['src', 'README.md', 'icon.svg']);
  await shot(page, 'code-home');
  await page.click('article >> text=the folder');
  assert.equal(new URL(page.url()).pathname, '/alice/hello/web/-/tree/main/src');
  await page.click('.tree >> text=main.rs');
  assert.equal(new URL(page.url()).pathname, '/alice/hello/web/-/blob/main/src/main.rs');
  assert.equal((await copied(page)).trimEnd(), short.trimEnd(), 'copied code has no numbers and keeps empty lines');

  // Lines: by mouse, with Shift, by number; the address follows.
  const at = (number) => page.$eval(`#L${number}`, (line) => {
    const box = line.closest('code').getBoundingClientRect();
    return { x: box.left + 30, y: line.getBoundingClientRect().top + 8 };
  });
  const two = await at(3);
  await page.mouse.click(two.x, two.y);
  assert.equal(await hash(page), '#L3');
  const one = await at(1);
  await page.keyboard.down('Shift');
  await page.mouse.click(one.x, one.y);
  await page.keyboard.up('Shift');
  assert.equal(await hash(page), '#L1-L3');
  assert.equal(await page.textContent('[data-line-name]'), 'Lines 1 to 3');
  assert.equal(await page.locator('.chosen').count(), 3);
  await page.keyboard.press('y');
  await page.waitForURL(/-\/blob\/[0-9a-f]{40}\/src\/main\.rs#L1-L3$/);
  assert.equal(await page.locator('.chosen').count(), 3, 'the permalink shows the same lines');
  await page.keyboard.press('l');
  await page.keyboard.type('2-4');
  await page.keyboard.press('Enter');
  assert.equal(await hash(page), '#L2-L4');
  await shot(page, 'code-lines');
  await page.keyboard.press('b');
  await page.waitForURL(/-\/blame\/[0-9a-f]{40}\/src\/main\.rs#L2-L4$/);
  assert.equal(await page.locator('.blame .chosen').count(), 3);
  await page.click('.blame .numbers pre', { position: { x: 10, y: 25 } });
  assert.equal(await hash(page), '#L2');

  // The finder: opened by a key, filters while typing.
  await page.keyboard.press('t');
  await page.waitForURL(/-\/find\//);
  await page.fill('#q', 'lng');
  await page.waitForFunction(() => document.querySelectorAll('[data-found] li').length === 1);
  await page.keyboard.press('Enter');
  await page.waitForURL(/src\/long\.rs$/);

  // A long file.
  const begun = performance.now();
  await page.goto(`${home}/-/blob/main/src/long.rs`);
  const loaded = performance.now() - begun;
  const timing = await page.evaluate(() => performance.getEntriesByType('navigation')[0].toJSON());
  assert.equal(await page.locator('[data-code] span[id]').count(), LONG);
  await page.goto(`${home}/-/blob/main/src/long.rs#L9001`);
  const shown = await page.$eval('#L9001', (line) => line.getBoundingClientRect().top);
  assert.ok(shown > 0 && shown < 800, `line 9001 is in the window, not at ${shown}`);
  assert.equal((await copied(page)).trimEnd(), text.trimEnd());
  console.log(`   ${LONG} lines: loaded in ${loaded.toFixed(0)} ms, of which ${(timing.loadEventEnd - timing.responseStart).toFixed(0)} ms after the first byte; ${timing.encodedBodySize} bytes`);

  // The list of keys; single keys can be switched off.
  await page.keyboard.press('?');
  assert.match(await page.textContent('dialog[open]'), /Blame/);
  await page.uncheck('dialog input');
  await page.keyboard.press('Escape');
  await page.keyboard.press('t');
  assert.match(page.url(), /long\.rs/);
  await page.evaluate(() => localStorage.removeItem('keys-off'));

  // The list of refs.
  await page.click('details.picker summary');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'ref');
  await page.fill('#ref', 'main');
  await page.keyboard.press('Enter');
  await page.waitForURL(/-\/blob\/main\/src\/long\.rs$/);

  const pages = ['', '/-/tree/main/src', '/-/blob/main/src/main.rs', '/-/blob/main/README.md', '/-/blob/main/icon.svg', '/-/blame/main/src/main.rs', '/-/find/main?q=m'];
  for (const path of pages) {
    for (const [width, colorScheme] of [[1280, 'light'], [360, 'dark']]) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme });
      await page.goto(home + path);
      assert.equal(await overflow(page), '', `${path} at ${width} px`);
      assert.deepEqual(await accessibility(page), [], `${path} at ${width} px`);
    }
    const { requests, bytes } = await cold(browser, home + path);
    console.log(`   ${path || '/'}: ${requests} requests, ${bytes} bytes`);
    assert.ok(requests <= REQUESTS_MAX && bytes <= BYTES_MAX, `${path}: ${requests} requests, ${bytes} bytes`);
  }

  // Paper shows no controls.
  await page.goto(`${home}/-/blob/main/src/main.rs`);
  await page.emulateMedia({ media: 'print' });
  const controls = await page.$$eval('button, .button, summary, header.top', (nodes) => nodes.filter((node) => node.checkVisibility()).map((node) => node.textContent));
  assert.deepEqual(controls, []);
  await page.emulateMedia({ media: null });

  // Without a script.
  const plain = await visitor(browser, { javaScriptEnabled: false });
  await plain.page.goto(`${home}/-/find/main`);
  await plain.page.fill('#q', 'main');
  await plain.page.click('form.find button');
  assert.deepEqual(await plain.page.$$eval('[data-found] a', (links) => links.map((link) => link.textContent)), ['src/main.rs']);
  await plain.page.click('[data-found] a');
  await plain.page.click('details.picker summary');
  await plain.page.fill('#ref', 'main');
  await plain.page.click('details.picker button');
  assert.match(plain.page.url(), /-\/blob\/main\/src\/main\.rs$/);
  assert.deepEqual([...problems, ...plain.problems], []);
  await plain.context.close();
  await context.close();
}
