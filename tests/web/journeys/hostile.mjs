// Hostile texts in every place that users can fill, in pages and in the chat: no dialog, no violation,
// no foreign element.
import assert from 'node:assert/strict';
import { logIn, visitor } from '../browser.mjs';
import { HOSTILE, PASSWORD, api, fill } from '../world.mjs';

/** Maximum characters of the name of a chat. */
const CHAT_NAME_MAX = 80;

/** Returns what a hostile text would have made: handlers, styles, addresses with code, frames. */
const foreignIn = (page) => page.evaluate(() => [...document.querySelectorAll('*')].flatMap((node) => [
  // The chat sets sizes by numbers.
  ...[...node.attributes].filter(({ name, value }) => name.startsWith('on') || name === 'srcdoc' || (name === 'style' && !/^[\s\w:;.%-]*$/.test(value))).map(({ name }) => `${node.tagName} ${name}`),
  ...(/^\s*(javascript|data|vbscript):/i.test(node.getAttribute('href') ?? node.getAttribute('src') ?? node.getAttribute('action') ?? '') ? [`${node.tagName} address`] : []),
  ...(['IFRAME', 'OBJECT', 'EMBED', 'BASE', 'MATH', 'STYLE'].includes(node.tagName) ? [node.tagName] : []),
]));

/** Chats named by hostile texts, with hostile messages of a user with a hostile name. */
async function hostileChats(server, { alice, bob }) {
  const chats = [];
  for (const text of HOSTILE) {
    const name = text.slice(0, CHAT_NAME_MAX).replace(/\p{Cf}/gu, '');
    const { id } = await api(server, bob, 'POST', '/api/chats', { kind: 'group', name, participants: ['alice'] });
    const say = (content, more = {}) => api(server, bob, 'POST', `/api/chats/${id}/messages`, { client_id: crypto.randomUUID(), content, ...more });
    const first = await say(`@alice ${text}`);
    await say(`**${text}** [${text}](${text}) \`${text}\`\n> ${text}\n- ${text}\n\`\`\`${text}\n${text}\n\`\`\``, {
      reply_to: first.id, metadata: { code: { repository: text, oid: text, path: text, from: 1, to: 2 }, push_seq: text, [text]: text },
    });
    await api(server, bob, 'PUT', `/api/chats/${id}/messages/${first.id}/pin`);
    chats.push({ id, text, first: first.id });
  }
  const { channel_id: channel } = await api(server, alice, 'GET', '/api/projects/alice/hello');
  await api(server, bob, 'POST', `/api/chats/${channel}/messages`, { client_id: crypto.randomUUID(), content: HOSTILE.join('\n\n') });
  return { chats, channel };
}

/** Visits the chats and everything that opens beside them. @returns foreign elements by place */
async function visitChats(page, server, world) {
  const { chats, channel } = await hostileChats(server, world);
  const found = [];
  const look = async (place) => found.push(...(await foreignIn(page)).map((what) => `${place}: ${what}`));
  const shown = (text) => page.waitForFunction((wanted) => [...document.querySelectorAll('#chat .chat-message .text')].some((node) => node.textContent.includes(wanted)), text);
  for (const { id, text, first } of chats) {
    await page.goto(`${server.url}/chat/${id}/thread/${first}`);
    // Characters that change the order of the text are marked by their code.
    if (!/\p{Cf}/u.test(text)) await shown(text.slice(0, 12));
    await page.waitForSelector('#panel .chat-message');
    await look(`/chat/${id}`);
  }
  await page.click('.chat-head [data-panel=pins]');
  await page.waitForSelector('#panel .pin-list li');
  await page.click('.chat-head [data-panel=people]');
  await page.waitForSelector('#panel .people-list li');
  await look('panels');
  await page.goto(`${server.url}/chat/${channel}`);
  await page.waitForSelector('.push-card');
  await page.click('.push-details summary');
  await look('channel');
  for (const text of HOSTILE.slice(0, 4)) {
    await page.fill('#composer-text', `@${text}`);
    await page.keyboard.press('Control+K');
    await page.fill('#switcher-field', text);
    await page.waitForTimeout(300);
    await look('switcher');
    await page.keyboard.press('Escape');
    await page.fill('#chat-filter', text);
    await look('filter');
    await page.fill('#chat-filter', '');
  }
  await page.fill('#composer-text', '');
  for (const show of ['unread', 'all']) {
    await page.goto(`${server.url}/inbox`);
    await page.click(`#inbox .switch [data-show=${show}]`);
    await page.waitForFunction((most) => document.querySelectorAll('.notice-row').length >= most, HOSTILE.length);
    await page.waitForFunction(() => document.querySelector('.notice-row .excerpt'));
    await look(`inbox: ${show}`);
  }
  await page.setViewportSize({ width: 360, height: 700 });
  await page.goto(`${server.url}/chat`);
  await page.waitForFunction((most) => document.querySelectorAll('#sidebar .chat-list a').length >= most, HOSTILE.length);
  await look('/chat');
  return found;
}

export default async function journey({ server, browser }) {
  const world = await fill(server);
  const { page, problems, context } = await visitor(browser);
  await logIn(page, server, 'alice', PASSWORD);
  const requests = [];
  page.on('request', (request) => { if (!request.url().startsWith(server.url) && !request.url().startsWith('blob:')) requests.push(request.url()); });
  for (const text of HOSTILE) {
    await page.goto(`${server.url}/settings/profile`);
    await page.fill('#display_name', text.slice(0, 60));
    await page.click('main button.primary');
  }
  const repository = '/alice/hello/web';
  const file = encodeURIComponent('<img src=x onerror=alert(30)>.md');
  const paths = ['/', '/projects', '/alice/hello', '/alice/secret', '/alice/hello/-/members', '/people/bob', '/people/alice', repository, `${repository}/-/commits/main`,
    `${repository}/-/branches`, `${repository}/-/tags`, `${repository}/-/blob/main/README.md`, `${repository}/-/blob/main/README.md?plain=1`, `${repository}/-/blob/main/${file}`,
    `${repository}/-/blob/main/src/hidden.c`, `${repository}/-/blame/main/src/main.rs`, `${repository}/-/compare/feature/with-slash...main`, '/admin/users', '/admin/audit',
    `/login?next=${encodeURIComponent('javascript:alert(40)')}`, `/people?q=${encodeURIComponent(HOSTILE[1])}`, `${repository}/-/find/main?q=${encodeURIComponent(HOSTILE[1])}`];
  const foreign = [];
  for (const path of paths) {
    const response = await page.goto(server.url + path);
    assert.equal(response?.status(), 200, path);
    foreign.push(...(await foreignIn(page)).map((what) => `${path}: ${what}`));
    assert.equal(await page.$('[style]'), null, `${path}: pages have no styles of their own`);
  }
  foreign.push(...await visitChats(page, server, world));
  // A drawing with a script, opened by itself, runs nothing.
  const drawing = await page.goto(`${server.url}${repository}/-/image/main/pictures/drawing.svg`);
  assert.deepEqual([drawing?.status(), drawing?.headers()['content-type']], [200, 'image/svg+xml']);
  await page.goto(`${server.url}/login?next=${encodeURIComponent('//evil.example/')}`);
  assert.equal(new URL(page.url()).host, new URL(server.url).host);
  const allowed = problems.filter((problem) => !(problem.startsWith('policy:') && problem.includes('drawing.svg')));
  assert.deepEqual({ foreign, requests, allowed }, { foreign: [], requests: [], allowed: [] });
  await context.close();
}
