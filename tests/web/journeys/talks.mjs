// Messages about lines: marks and lists on the pages of a file and its blame; who else is there.
import assert from 'node:assert/strict';
import { accessibility, logIn, overflow, shot, visitor } from '../browser.mjs';
import { workingCopy } from '../server.mjs';

const PASSWORD = 'a correct horse';

/** Asks the API as the script of a page does; returns the answer. */
const api = (page, method, path, body) => page.evaluate(async ([method, path, body]) => {
  const headers = { 'X-NetBit-Web': '1', 'Content-Type': 'application/json' };
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
  return text && JSON.parse(text);
}, [method, path, body]);

const copied = (page) => page.evaluate(() => {
  getSelection().selectAllChildren(document.querySelector('[data-code]'));
  return getSelection().toString();
});

export default async function talks({ server, browser }) {
  const { page, problems, context } = await visitor(browser);
  await page.goto(`${server.url}/setup#code=${server.code}`);
  await page.fill('#username', 'alice');
  await page.fill('#password', PASSWORD);
  await page.click('button.primary');
  await api(page, 'POST', '/api/users/register', { username: 'bob', password: PASSWORD, display_name: 'Bob B' });
  await api(page, 'POST', '/api/projects/create', { name: 'hello', visibility: 'public' });
  await api(page, 'POST', '/api/projects/alice/hello/repos/create', { name: 'web' });
  await api(page, 'PUT', '/api/projects/alice/hello/members/bob', { role: 'writer' });
  const { channel_id: channel } = await api(page, 'GET', '/api/projects/alice/hello');

  const lines = Array.from({ length: 120 }, (_, at) => `let line_${at + 1} = ${at};`);
  const copy = workingCopy(server, 'alice', PASSWORD, 'alice/hello/web');
  let first;
  try {
    copy.write('src/main.rs', `${lines.join('\n')}\n`);
    first = copy.commit('One');
    copy.write('other.txt', 'x\n');
    copy.commit('Two');
    copy.push();
  } finally {
    copy.remove();
  }
  const discuss = (oid, from, to) => api(page, 'POST', `/api/chats/${channel}/messages`, {
    content: 'why?', metadata: { code: { repository: 'alice/hello/web', oid, path: 'src/main.rs', from, to } },
  });
  const old = await discuss('0123456789abcdef0123456789abcdef01234567', 50, 60);
  const one = await discuss(first, 3, 9);
  const two = await discuss(first, 4, 4);
  const three = await discuss(first, 110, 112);

  const file = `${server.url}/alice/hello/web/-/blob/main/src/main.rs`;
  for (const [address, name] of [[file, 'talks-file'], [file.replace('/blob/', '/blame/'), 'talks-blame']]) {
    await page.goto(address);
    await page.waitForSelector('.talks');
    const marks = await page.$$eval('.talk-mark', (links) => links.map((link) => [link.parentElement.id, link.getAttribute('href'), link.getAttribute('aria-label')]));
    assert.deepEqual(marks, [
      ['L3', `/chat/${channel}/${two.seq}`, '2 talks about lines 3 to 9'],
      ['L110', `/chat/${channel}/${three.seq}`, '1 talk about lines 110 to 112'],
    ]);
    // A copied blame begins with its commits.
    assert.ok((await copied(page)).trimEnd().endsWith(lines.join('\n')), 'copied code has no marks');
    // A mark is beside its line, and covers neither number nor code.
    const beside = await page.$eval('#L3', (line) => {
      const range = document.createRange();
      range.selectNodeContents(line);
      range.setStartAfter(line.querySelector('.talk-mark'));
      const [mark, code] = [line.querySelector('.talk-mark').getBoundingClientRect(), range.getBoundingClientRect()];
      return mark.right <= code.left + 1 && Math.abs(mark.top + mark.height / 2 - code.top - code.height / 2) < 4;
    });
    assert.ok(beside, name);
    await page.click('.talks summary');
    const list = await page.$$eval('.talks li', (items) => items.map((item) => [...item.querySelectorAll('a')].map((link) => link.getAttribute('href'))));
    assert.deepEqual(list, [
      [`/chat/${channel}/${three.seq}`], [`/chat/${channel}/${two.seq}`], [`/chat/${channel}/${one.seq}`],
      [`/chat/${channel}/${old.seq}`, '/alice/hello/web/-/blob/0123456789abcdef0123456789abcdef01234567/src/main.rs#L50-L60'],
    ]);
    assert.deepEqual(await accessibility(page), []);
    await shot(page, name);
    await page.setViewportSize({ width: 360, height: 700 });
    assert.equal(await overflow(page), '');
    await shot(page, `${name}-narrow`);
    await page.setViewportSize({ width: 1280, height: 800 });
  }
  // At a changed file: the same list, and marks at lines of its new version. Deleted lines have none.
  for (const view of ['', '?view=split']) {
    await page.goto(`${server.url}/alice/hello/web/-/commit/${first}${view}`);
    await page.waitForSelector('.diff-file .talks');
    const marks = await page.$$eval('.diff-part .talk-mark', (links) => links.map((link) => [link.parentElement.previousElementSibling.getAttribute('data-new'), link.getAttribute('href'), link.getAttribute('aria-label')]));
    assert.deepEqual(marks, [
      ['3', `/chat/${channel}/${two.seq}`, '2 talks about lines 3 to 9'],
      ['110', `/chat/${channel}/${three.seq}`, '1 talk about lines 110 to 112'],
    ]);
    assert.equal(await page.locator('.talks summary').textContent(), '4 talks about this file');
    assert.deepEqual(await accessibility(page), []);
    await page.setViewportSize({ width: 360, height: 700 });
    assert.equal(await overflow(page), '');
    await page.setViewportSize({ width: 1280, height: 800 });
    await shot(page, `talks-diff${view ? '-split' : ''}`);
  }
  // Talks that do not load have a sentence, and a button.
  await page.route('**/talks?*', (route) => route.fulfill({ status: 503, body: '{}' }));
  await page.goto(file);
  await page.waitForSelector('.talks:text("The talks about this file did not load.")');
  await page.unroute('**/talks?*');
  await page.click('.talks button');
  await page.waitForSelector('.talks summary');
  await page.goto(`${server.url}/alice/hello/web/-/blob/main/other.txt`);
  await page.waitForLoadState('networkidle');
  assert.equal(await page.$('.talks'), null, 'a file without talks has no list');

  // Presence is off until both turn it on. The attribute is on pages where the visitor may write.
  const member = async (person) => person.route(file, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace(' data-code', ' data-code data-chat="1"') });
  });
  const bob = await visitor(browser);
  await logIn(bob.page, server, 'bob', PASSWORD);
  const asked = [];
  page.on('request', (request) => { if (request.url().endsWith('/visitors')) asked.push(request.method()); });
  for (const person of [page, bob.page]) {
    await member(person);
    await person.goto(file);
    await person.waitForSelector('.here button');
  }
  assert.deepEqual(asked, [], 'nothing is sent before it is turned on');
  await page.click('.here button');
  await page.waitForSelector('.here >> text=No other member is here.');
  await bob.page.click('.here button');
  await bob.page.waitForSelector('.here >> text=is here.');
  await page.reload();
  await page.waitForSelector('.here >> text=Bob B is here.');
  assert.deepEqual(await accessibility(page), []);
  await shot(page, 'talks-here');
  await bob.page.click('.here button');
  await page.reload();
  await page.waitForSelector('.here >> text=No other member is here.');
  assert.deepEqual([...problems, ...bob.problems], []);
  await bob.context.close();
  await context.close();
}
