// Links to lines of code, with the rights of each reader. A reader without rights sees the link as
// it was written: no line of the file, and no sign whether it exists. And cards that change their
// height above the screen do not move what is read.
import assert from 'node:assert/strict';
import { accessibility, logIn, shot, visitor } from '../browser.mjs';
import { PASSWORD, api, fill } from '../world.mjs';

const BLOBS = '**/api/projects/**/blob/**';
const OID = 'a'.repeat(40);

/** Posts messages whose cards are above the screen of a reader at the end, and the messages below them. */
async function write(server, tokens, chat) {
  const say = async (token, content, more = {}) => (await api(server, token, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content, ...more })).id;
  for (let n = 0; n < 30; n += 1) await say(tokens[n % 2], `before ${n} ${'word '.repeat(n % 9)}`);
  const at = (path) => `${server.url}/alice/${path}`;
  const ids = {
    open: await say(tokens[0], `public ${at('hello/web/-/blob/main/src/long.rs#L10-L20')}`),
    secret: await say(tokens[0], `private ${at('secret/web/-/blob/main/src/long.rs#L10-L20')}`),
    missing: await say(tokens[0], `missing ${at('nothing/web/-/blob/main/src/long.rs#L10-L20')}`),
    attached: await say(tokens[0], 'attached', { metadata: { code: { repository: 'alice/secret/web', oid: OID, path: 'src/long.rs', from: 10, to: 20 } } }),
    picture: await say(tokens[0], 'a row that gets a picture'),
  };
  for (let n = 0; n < 12; n += 1) await say(tokens[n % 2], `after ${n} ${'word '.repeat(n % 9)}`);
  return ids;
}

/** A card as the reader sees it; undefined before it has loaded. */
const cardOf = (page, id) => page.evaluate((wanted) => {
  const row = document.querySelector(`.messages article[data-id="${wanted}"]`);
  const card = row?.querySelector('.code-card');
  if (!card?.matches('.is-refused') && !card?.querySelector('.code-line')) return undefined;
  return {
    link: card.querySelector('figcaption a').getAttribute('href'),
    caption: card.querySelector('figcaption').textContent,
    refused: card.querySelector(':scope > p')?.textContent,
    lines: card.querySelectorAll('.code-line').length,
    text: row.querySelector('.text a')?.href,
  };
}, id);

async function shown(page, id) {
  await page.waitForFunction((wanted) => document.querySelector(`article[data-id="${wanted}"] .code-card:is(.is-refused, :has(.code-line))`), id);
  return cardOf(page, id);
}

/** Opens the chat at the cards; returns what they show, and what the API answered. */
async function read(browser, server, chat, username, ids) {
  const { page, context, problems } = await visitor(browser);
  await logIn(page, server, username, PASSWORD);
  /** @type {Set<string>} */
  const asked = new Set();
  page.on('response', (response) => { if (response.url().includes('/blob/')) asked.add(new URL(response.url()).pathname); });
  await page.goto(`${server.url}/chat/${chat}`);
  await page.waitForSelector('.chat-message:has-text("after 11")');
  await page.evaluate((id) => document.querySelector(`article[data-id="${id}"]`).scrollIntoView({ block: 'center' }), ids.secret);
  const cards = {};
  for (const name of ['open', 'secret', 'missing', 'attached']) cards[name] = await shown(page, ids[name]);
  assert.deepEqual(await accessibility(page), []);
  await shot(page, `chat-code-rights-${username}`);
  // The answers of the API to this reader.
  const bodies = await page.evaluate((paths) => Promise.all(paths.map(async (path) => {
    const answer = await fetch(path, { headers: { 'X-NetBit-Web': '1' } });
    return { path, status: answer.status, body: await answer.text() };
  })), [...asked]);
  assert.deepEqual(problems, []);
  await context.close();
  return { cards, bodies };
}

async function rights(browser, server, chat, ids) {
  const member = await read(browser, server, chat, 'carol', ids);
  assert.equal(member.cards.open.lines, 11);
  assert.equal(member.cards.secret.lines, 11);

  const stranger = await read(browser, server, chat, 'mallory', ids);
  assert.equal(stranger.cards.open.lines, 11, 'a public file is shown');
  const { secret, missing, attached } = stranger.cards;
  // The link is that of the message; the words are those of a file that does not exist.
  assert.equal(secret.link, new URL(secret.text).pathname + new URL(secret.text).hash);
  const same = (card) => ({ ...card, link: card.link.replace('/nothing/', '/secret/'), text: card.text?.replace('/nothing/', '/secret/'), caption: card.caption.replace('/nothing/', '/secret/') });
  assert.deepEqual(same(secret), same(missing));
  assert.equal(secret.refused, 'You cannot read this file, or it does not exist.');
  assert.equal(attached.refused, secret.refused);
  const refused = stranger.bodies.filter(({ path }) => !path.includes('/hello/'));
  assert.ok(refused.length >= 3 && refused.every(({ status }) => status === 404), JSON.stringify(refused.map(({ status }) => status)));
  const plain = refused.map(({ body }) => { const { request_id: _, instance: __, ...rest } = JSON.parse(body); return rest; });
  for (const body of plain) assert.deepEqual(body, plain[0], 'the answers are equal');
  assert.doesNotMatch(JSON.stringify(refused.map(({ body }) => body)), /VALUE_9|Liddell|bob/);
}

/** Rows on the screen with their place. */
const rowsOf = () => {
  const box = document.querySelector('.timeline-scroll').getBoundingClientRect();
  return [...document.querySelectorAll('.messages > li.row')].map((row) => ({ key: row.dataset.key, top: row.getBoundingClientRect().top }))
    .filter(({ top }) => top >= box.top && top < box.bottom);
};

/** Records how far the rows on the screen move in any frame from now on. */
const record = () => {
  const box = document.querySelector('.timeline-scroll').getBoundingClientRect();
  const rows = [...document.querySelectorAll('.messages > li.row')].filter((row) => row.getBoundingClientRect().top >= box.top && row.getBoundingClientRect().top < box.bottom);
  const tops = rows.map((row) => row.getBoundingClientRect().top);
  window.movedPx = 0;
  // This observer is younger than the program's: it sees the frame as it is painted.
  new ResizeObserver(() => {
    rows.forEach((row, at) => { window.movedPx = Math.max(window.movedPx, Math.abs(row.getBoundingClientRect().top - tops[at])); });
  }).observe(document.querySelector('.messages'));
  return rows.length;
};

/** Cards and a picture load while the reader reads below them. */
async function drift(browser, server, chat, ids) {
  const { page, context, problems } = await visitor(browser);
  await logIn(page, server, 'mallory', PASSWORD);
  let release = () => {};
  const held = new Promise((done) => { release = () => done(undefined); });
  for (const pattern of [BLOBS, '**/-/image/**']) await page.route(pattern, async (route) => { await held; await route.fallback(); });
  await page.goto(`${server.url}/chat/${chat}`);
  await page.waitForSelector('.chat-message:has-text("after 11")');
  await page.waitForSelector(`article[data-id="${ids.secret}"] .code-card`, { state: 'attached' });
  // Messages have no pictures today: this one stands for whatever gets its height late.
  await page.evaluate(([id, src]) => {
    const picture = document.createElement('img');
    picture.src = src;
    document.querySelector(`article[data-id="${id}"]`).append(picture);
  }, [ids.picture, `${server.url}/alice/hello/web/-/image/main/pictures/dot.png`]);
  // A reader below the cards, not at the end.
  await page.evaluate((id) => {
    const scroller = document.querySelector('.timeline-scroll');
    scroller.scrollTop += document.querySelector(`article[data-id="${id}"]`).getBoundingClientRect().bottom - scroller.getBoundingClientRect().top + 20;
  }, ids.picture);
  await page.evaluate(() => { document.querySelector('.timeline-scroll').scrollTop -= 12; });
  await page.waitForTimeout(300);
  const heights = () => page.evaluate((all) => all.map((id) => document.querySelector(`article[data-id="${id}"]`).getBoundingClientRect().height), [ids.secret, ids.picture]);
  const [before, rows] = [await heights(), await page.evaluate(rowsOf)];
  assert.ok(await page.evaluate(record) > 3, 'rows are on the screen');
  release();
  for (const name of ['open', 'secret', 'missing', 'attached']) await shown(page, ids[name]);
  await page.waitForFunction((id) => document.querySelector(`article[data-id="${id}"] img`).naturalHeight === 32, ids.picture);
  await page.waitForTimeout(300);
  const after = await heights();
  before.forEach((height, at) => assert.notEqual(after[at], height, 'the rows above have another height'));
  assert.deepEqual(await page.evaluate(rowsOf), rows, 'cards and pictures above move nothing');
  assert.equal(await page.evaluate(() => window.movedPx), 0, 'nothing moves in any frame');

  // A row changes in the frame in which the reader scrolls: rows move by the reader's pixels only.
  for (const step of [-7, 7, -7]) {
    const tops = await page.evaluate(rowsOf);
    await page.evaluate(([id, by]) => {
      document.querySelector('.timeline-scroll').scrollTop += by;
      const picture = document.querySelector(`article[data-id="${id}"] img`);
      picture.hidden = !picture.hidden;
    }, [ids.picture, step]);
    await page.waitForTimeout(200);
    const now = new Map((await page.evaluate(rowsOf)).map(({ key, top }) => [key, top]));
    const moved = tops.filter(({ key }) => now.has(key)).map(({ key, top }) => top - (now.get(key) ?? 0));
    assert.ok(moved.length > 3 && moved.every((px) => px === step), `scrolled by ${step}, moved by ${moved}`);
  }
  assert.deepEqual(problems, []);
  await context.close();
}

export default async function journey({ server, browser }) {
  const { alice, bob } = await fill(server);
  const { id: chat } = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'code', participants: ['bob', 'carol', 'mallory'] });
  const ids = await write(server, [alice, bob], chat);
  for (const username of ['carol', 'mallory']) {
    const { token } = await api(server, '', 'POST', '/api/users/login', { username, password: PASSWORD });
    await api(server, token, 'POST', `/api/chats/${chat}/read`, {});
  }
  await drift(browser, server, chat, ids);
  await rights(browser, server, chat, ids);
}
