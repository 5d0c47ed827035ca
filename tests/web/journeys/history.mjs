// The history of a repository: commits, a commit with its changes, a large diff, a comparison.
import assert from 'node:assert/strict';
import { accessibility, overflow, shot, visitor } from '../browser.mjs';
import { workingCopy } from '../server.mjs';

const PASSWORD = 'a correct horse';
/** The page shows 50 files, and 20,000 rows; each module has as many rows as an open file may have. */
const MODULES = 51;
const MODULE_LINES = 199;

/** Creates the project `hello` with the repository `web`. */
async function repository(server) {
  const send = async (path, body, token) => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
    const answer = await fetch(`${server.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.ok(answer.ok, `${path}: ${answer.status}`);
    return answer.json();
  };
  const { token } = await send('/api/users/login', { username: 'alice', password: PASSWORD });
  await send('/api/projects/create', { name: 'hello', visibility: 'private' }, token);
  await send('/api/projects/alice/hello/repos/create', { name: 'web' }, token);
}

/** Pushes a first commit, a commit with changes of all kinds, and a branch that changes 20,298 lines. */
function push(server) {
  const copy = workingCopy(server, 'alice', PASSWORD, 'alice/hello/web');
  const module = (line) => Array.from({ length: MODULE_LINES }, (_, at) => `${line(at)}\n`).join('');
  try {
    copy.write('src/main.rs', 'fn main() {\n    let name = "world";\n\n    println!("hello {name}");\n}\n');
    for (let number = 0; number < MODULES; number += 1) copy.write(`src/m${number}.rs`, module((at) => `let old_${at} = ${number} + ${at};`));
    const first = copy.commit('Add the modules');
    copy.git('tag', '-a', 'v1', '-m', 'Version 1');
    copy.write('src/main.rs', 'fn main() {\n    let name = "reader";\n\n    println!("hello {name}");\n}\n');
    copy.write('Cargo.lock', 'a lock file\n');
    copy.write('<img src=x onerror=alert(1)>.txt', '<script>alert(1)</script>\n');
    const mixed = copy.commit(`Greet <i>the reader</i>\n\nAs in ${first.slice(0, 9)}.\n\nReviewed-by: Bob <bob@example.org>`);
    copy.git('checkout', '-q', '-b', 'rewrite');
    for (let number = 0; number < MODULES; number += 1) copy.write(`src/m${number}.rs`, module((at) => `fn reads${at}() -> Option<usize> { find(&[${number}], "${at}") }`));
    const wide = copy.commit('Rewrite all modules');
    copy.push('main', 'rewrite', 'v1');
    return { first, mixed, wide };
  } finally {
    copy.remove();
  }
}

export default async function history({ server, browser }) {
  const { page, problems, context } = await visitor(browser);
  await page.goto(`${server.url}/setup#code=${server.code}`);
  await page.fill('#username', 'alice');
  await page.fill('#password', PASSWORD);
  await page.click('button.primary');
  await repository(server);
  const { first, mixed, wide } = push(server);
  const at = `${server.url}/alice/hello/web/-`;

  // A list of commits leads to a commit, and from its message to another.
  await page.goto(`${at}/commits/main`);
  assert.equal(await page.locator('.commits > li').count(), 2);
  await page.click('text=Greet <i>the reader</i>');
  assert.equal(page.url(), `${at}/commit/${mixed}`);
  assert.equal(await page.textContent('.diff-file .diff-added .diff-word'), 'reader');
  assert.equal(await page.locator('.diff-file:not([open]) h3').textContent().then((text) => text?.trim()), 'A added Cargo.lock');
  await page.click(`.message a[href$="${first}"]`);
  assert.equal(page.url(), `${at}/commit/${first}`);
  await page.goBack();

  // The numbers and signs of the lines are not copied.
  const copied = await page.evaluate(() => {
    const rows = [...document.querySelectorAll('.diff-file:last-of-type tr')].slice(-5, -2);
    getSelection()?.setBaseAndExtent(rows[0], 0, rows[2], 2);
    return String(getSelection());
  });
  assert.match(copied, /let name = "reader";/);
  assert.doesNotMatch(copied, /[0-9+−]/);

  // j and k lead through the files; a viewed file stays closed.
  await page.evaluate(() => getSelection()?.removeAllRanges());
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('k');
  const focused = () => page.evaluate(() => document.activeElement?.parentElement?.id);
  assert.equal(await focused(), 'file-1');
  await page.click('#file-3 .viewed input');
  assert.equal(await page.locator('#file-3[open]').count(), 0);
  await page.reload();
  assert.equal(await page.locator('#file-3[open]').count(), 0);
  assert.ok(await page.isVisible('#file-3 summary >> text=viewed'));
  await page.click('#file-3 summary');
  await page.locator('#file-3 .viewed input').uncheck();
  await page.reload();
  assert.equal(await page.locator('#file-3[open]').count(), 1);

  // A closed file is shown by its link.
  await page.click('.diff-file:not([open]) summary');
  await page.click('text=Show the changes');
  assert.equal(new URL(page.url()).search, '?file=Cargo.lock');
  assert.equal(await page.textContent('.diff-added td + td'), 'a lock file');

  // A diff of more than 20,000 lines.
  await page.addInitScript(() => {
    const look = () => {
      if (document.querySelector('#file-1 .diff-added')) performance.mark('first-file');
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await page.goto(`${at}/commit/${wide}`);
  const times = await page.evaluate(() => {
    const [navigation] = /** @type {any[]} */ (performance.getEntriesByType('navigation'));
    const first = performance.getEntriesByName('first-file')[0]?.startTime ?? 0;
    return `answer after ${Math.round(navigation.responseStart)} ms, first file ${Math.round(first)} ms, all ${Math.round(navigation.domComplete)} ms`;
  });
  const elements = await page.evaluate(() => document.querySelectorAll('*').length);
  const rows = await page.locator('.diff-part tr').count();
  console.log(`   ${rows} rows, ${elements} elements: ${times}`);
  assert.equal(await page.locator('.diff-file').count(), MODULES, 'every file is listed');
  assert.ok(rows >= 19_900 && elements <= 63_000, `${rows} rows, ${elements} elements`);
  assert.match(await page.locator('.diff-file').last().textContent() ?? '', /The page is long enough|too large/i);

  // The form compares, and keeps what was typed if it cannot.
  await page.goto(`${at}/branches`);
  await page.click('main .head >> text=Compare');
  await page.fill('#head', 'nope');
  await page.click('button:text("Compare")');
  assert.match(await page.textContent('.problem') ?? '', /No branch, tag or commit has this name/);
  await page.fill('#base', 'v1');
  await page.fill('#head', 'main');
  await page.click('button:text("Compare")');
  assert.equal(page.url(), `${at}/compare/v1...main`);
  assert.match(await page.textContent('.ahead') ?? '', /main is 1 commit ahead of v1/);

  const pages = { commits: 'commits/main', path: 'commits/main/src/main.rs', commit: `commit/${mixed}`, file: `commit/${mixed}?file=src/main.rs`, compare: 'compare/v1...main', choice: 'compare', branches: 'branches', tags: 'tags' };
  for (const [width, colorScheme] of /** @type {const} */ ([[1280, 'light'], [1280, 'dark'], [768, 'light'], [360, 'dark']])) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(`${at}/${path}`);
      assert.equal(await overflow(page), '', `${name} at ${width} px`);
      assert.deepEqual(await accessibility(page), [], `${name} at ${width} px, ${colorScheme}`);
      await shot(page, `history-${name}-${width}-${colorScheme}`);
    }
  }
  assert.deepEqual(problems, []);
  await context.close();

  // Without scripts, the same pages show the same.
  const plain = await visitor(browser, { javaScriptEnabled: false, storageState: undefined });
  await plain.page.goto(`${server.url}/login?next=${encodeURIComponent(`/alice/hello/web/-/commit/${mixed}`)}`);
  await plain.page.fill('#username', 'alice');
  await plain.page.fill('#password', PASSWORD);
  await plain.page.click('form.card button.primary');
  assert.equal(plain.page.url(), `${at}/commit/${mixed}`);
  assert.equal(await plain.page.locator('.diff-file').count(), 3);
  await plain.page.click('.diff-file:not([open]) summary');
  await plain.page.click('text=Show the changes');
  assert.equal(await plain.page.textContent('.diff-added td + td'), 'a lock file');
  await plain.context.close();
}
