// Around a chat: keys only from the list of chats to a sent message, switcher, inbox, thread, people.
import assert from 'node:assert/strict';
import { accessibility, logIn, overflow, shot, visitor } from '../browser.mjs';
import { PASSWORD, api, fill } from '../world.mjs';

const THEMES = [['light', { colorScheme: 'light' }], ['dark', { colorScheme: 'dark' }], ['phone', { viewport: { width: 360, height: 740 }, hasTouch: true }]];

/** Fills the server with chats. bob names alice, and answers in a thread. */
async function world(server) {
  const { alice, bob } = await fill(server);
  const dev = await api(server, alice, 'POST', '/api/chats', { kind: 'group', name: 'dev', participants: ['bob', 'carol'] });
  const direct = await api(server, alice, 'POST', '/api/chats', { kind: 'direct', participants: ['bob'] });
  await api(server, bob, 'POST', '/api/chats', { kind: 'channel', name: 'random', participants: [] });
  const say = async (token, content, more = {}) => api(server, token, 'POST', `/api/chats/${dev.id}/messages`, { client_id: crypto.randomUUID(), content, ...more });
  const first = await say(alice, 'Shall we release on Friday?');
  await api(server, alice, 'PUT', `/api/chats/${dev.id}/messages/${first.id}/pin`);
  for (let n = 0; n < 20; n += 1) await say(n % 2 ? alice : bob, `message ${n}`);
  const named = await say(bob, '@alice the build is red', { reply_to: first.id });
  return { alice, bob, dev, direct, first, named, say };
}

/** Checks a state of the page, and saves a picture of it. */
async function check(page, name) {
  await page.waitForTimeout(150);
  await shot(page, `chat-${name}`);
  assert.deepEqual(await accessibility(page), [], `accessibility of ${name}`);
  assert.equal(await overflow(page), '', `width of ${name}`);
}

const count = (page) => page.evaluate(() => Number(document.querySelector('a[data-inbox] .inbox-count')?.getAttribute('data-count') ?? 0));
const path = (page) => new URL(page.url()).pathname;
const focused = (page, selector) => page.waitForFunction((wanted) => document.activeElement?.matches(wanted), selector);

/** Only keys: a chat of the list, a message, the way back. */
async function keysOnly(page, server, { dev, direct, bob }) {
  await page.goto(`${server.url}/chat/${direct.id}`);
  await page.waitForSelector('#sidebar [aria-current]');
  await page.locator('body').press('Escape');
  await page.keyboard.press('F6');
  await page.keyboard.press('Shift+F6');
  await page.evaluate(() => /** @type {HTMLElement} */ (document.activeElement)?.blur());
  await page.keyboard.press('F6');
  await page.waitForFunction(() => document.activeElement?.closest('#sidebar'));
  await page.keyboard.press('/');
  await focused(page, '#chat-filter');
  await page.keyboard.type('de');
  assert.equal(await page.locator('#sidebar .chat-list a').count(), 1);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/chat/${dev.id}`);
  await focused(page, '#composer-text');
  await page.keyboard.type('sent with keys only');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#chat .chat-message:has-text("sent with keys only")');
  const kept = await api(server, bob, 'GET', `/api/chats/${dev.id}/messages?limit=1`);
  assert.equal(kept.items[0].content, 'sent with keys only');
  await page.keyboard.press('Alt+ArrowUp');
  await page.waitForFunction((id) => location.pathname !== `/chat/${id}`, dev.id);
  await page.goBack();
  await page.waitForURL(`${server.url}/chat/${dev.id}`);
}

/** The switcher finds chats, users, projects, repositories and files, and runs commands. */
async function switcher(page, server, { dev, alice }) {
  const open = async (typed) => {
    await page.keyboard.press('Control+k');
    await focused(page, '#switcher-field');
    await page.keyboard.type(typed);
  };
  const first = () => page.locator('#switcher-list [aria-selected=true] .name').textContent();
  await open('dev');
  assert.equal(await first(), 'dev');
  await check(page, 'switcher');
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/chat/${dev.id}`);
  await open('@car');
  await page.waitForSelector('#switcher-list .name:text-is("carol")');
  await page.keyboard.press('Escape');
  await open('hello/web');
  await page.waitForSelector('#switcher-list .kind:text-is("Repository")');
  await page.keyboard.press('Escape');
  const { items } = await api(server, alice, 'GET', '/api/projects');
  const channel = items.find((project) => project.name === 'hello').channel_id;
  await page.goto(`${server.url}/chat/${channel}`);
  await page.waitForSelector('.chat-head h1:has-text("alice/hello")');
  await open('hello');
  await page.waitForSelector('#switcher-list .kind:text-is("Repository")');
  await page.fill('#switcher-field', '/main.rs');
  await page.waitForSelector('#switcher-list .name:text-is("src/main.rs")');
  await page.keyboard.press('Escape');
  await open('>inbox');
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/inbox`);
}

/** The inbox opens a notification at its message; its count and the badge are the same. */
async function inbox(page, server, { dev, named, say, bob }) {
  await page.goto(`${server.url}/inbox`);
  await page.waitForSelector('.notice-row');
  const heading = async () => Number(/\d+/.exec(await page.locator('.inbox-head [role=status]').textContent())?.[0] ?? 0);
  const before = await heading();
  assert.equal(before, await count(page));
  await check(page, 'inbox');
  await say(bob, '@alice once more');
  await page.waitForFunction((n) => document.querySelector('.inbox-head [role=status]')?.textContent?.startsWith(`${n} `), before + 1);
  assert.equal(await count(page), before + 1);
  await page.keyboard.press('j');
  await page.waitForFunction(() => document.activeElement?.matches('.notice-link'));
  await page.keyboard.press('e');
  await page.waitForFunction((n) => document.querySelector('.inbox-head [role=status]')?.textContent?.startsWith(n ? `${n} ` : 'Nothing'), before);
  assert.equal(await count(page), before);
  await page.locator(`.notice-link[href="/chat/${dev.id}/${named.seq}"]`).focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(`${server.url}/chat/${dev.id}/${named.seq}`);
  await page.waitForSelector('#chat .chat-message:has-text("the build is red")');
  await page.goBack();
  await page.waitForURL(`${server.url}/inbox`);
  await page.locator('#inbox-title').press('Shift+E');
  await page.waitForFunction(() => document.querySelector('.inbox-head [role=status]')?.textContent === 'Nothing unread');
  assert.equal(await count(page), 0);
}

/** A thread beside the chat takes replies; Back and Escape close it. */
async function thread(page, server, { dev, first, bob }) {
  await page.goto(`${server.url}/chat/${dev.id}`);
  await page.waitForSelector('#chat .chat-message');
  await page.goto(`${server.url}/chat/${dev.id}/thread/${first.id}`);
  await page.waitForSelector('#panel .chat-message:has-text("the build is red")');
  await check(page, 'thread');
  await page.locator('#panel textarea').fill('answered beside the chat');
  await page.locator('#panel textarea').press('Enter');
  await page.waitForSelector('#panel .chat-message:has-text("answered beside the chat")');
  const replies = await api(server, bob, 'GET', `/api/chats/${dev.id}/messages?thread=${first.id}`);
  assert.equal(replies.items.at(-1).content, 'answered beside the chat');
  await page.click('#panel [data-follow]');
  await page.waitForSelector('#panel [data-follow]:text-is("Follow thread")');
  await page.keyboard.press('Escape');
  await page.waitForURL(`${server.url}/chat/${dev.id}`);
  assert.ok(await page.isHidden('#panel'));
}

/** Owners change roles and add users; pins lead to their message. */
async function people(page, server, { dev, alice }) {
  await page.goto(`${server.url}/chat/${dev.id}`);
  await page.click('.chat-head [data-panel=people]');
  await page.waitForSelector('#panel [data-role=bob]');
  await check(page, 'people');
  await page.selectOption('#panel [data-role=bob]', 'admin');
  await page.waitForFunction(() => document.getElementById('announce')?.textContent?.includes('bob is now admin'));
  await page.fill('#panel .picker-field input', 'mallory');
  await page.waitForSelector('#panel [role=option]:has-text("mallory")');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#panel [data-remove=mallory]');
  const { items } = await api(server, alice, 'GET', `/api/chats/${dev.id}/participants`);
  assert.deepEqual(items.map((item) => [item.username, item.role]).sort(), [['alice', 'owner'], ['bob', 'admin'], ['carol', 'member'], ['mallory', 'member']]);
  await page.goBack();
  assert.ok(await page.isHidden('#panel'));
  await page.click('.chat-head [data-panel=pins]');
  await page.waitForSelector('#panel .chat-message:has-text("release on Friday")');
  await check(page, 'pins');
  await page.click('#panel .panel-head button');
  await page.waitForSelector('#panel', { state: 'hidden' });
}

/** New chats: a group with a user, and a channel that another user made. */
async function begin(page, server) {
  await page.click('#sidebar [data-new]');
  await page.click('[data-kind=group]');
  await page.fill('#new-chat-name', 'lunch');
  await page.fill('dialog .picker-field input', 'bo');
  await page.waitForSelector('dialog [role=option]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog .chip');
  await check(page, 'new');
  await page.click('dialog .primary');
  await page.waitForSelector('.chat-head h1:has-text("lunch")');
  await page.click('#sidebar [data-new]');
  await page.click('[data-kind=join]');
  await page.click('dialog li:has-text("random") button');
  await page.waitForSelector('.chat-head h1:has-text("random")');
  await page.click('.chat-head summary');
  await page.click('[data-act=leave]');
  await page.click('dialog .danger');
  await page.waitForSelector('#sidebar a:has-text("random")', { state: 'detached' });
  assert.ok(path(page).startsWith('/chat'), server.url);
}

/** Every state in the other themes, and the screens of a phone. */
async function looks(browser, server, { dev, first }) {
  for (const [theme, options] of THEMES) {
    const { page, problems, context } = await visitor(browser, options);
    await logIn(page, server, 'carol', PASSWORD);
    const isPhone = theme === 'phone';
    await page.goto(`${server.url}/chat`);
    await page.waitForSelector('#sidebar .chat-list a');
    if (isPhone) {
      await check(page, 'phone-list');
      await page.click('#sidebar a:has-text("dev")');
    } else {
      await page.goto(`${server.url}/chat/${dev.id}`);
    }
    await page.waitForSelector('#chat .chat-message');
    await check(page, `${theme}-chat`);
    await page.click('.chat-head summary');
    await check(page, `${theme}-menu`);
    await page.keyboard.press('Escape');
    for (const panel of ['people', 'pins']) {
      await page.click(`.chat-head [data-panel=${panel}]`);
      await page.waitForSelector('#panel:not([hidden])');
      if (isPhone) assert.ok(await page.isHidden('#chat'), 'the panel is a screen of its own');
      await check(page, `${theme}-${panel}`);
      await page.goBack();
      await page.waitForSelector('#panel', { state: 'hidden' });
    }
    if (isPhone) {
      await page.click('.chat-head .back');
      await page.waitForURL(`${server.url}/chat`);
      assert.ok(await page.isVisible('#sidebar'));
    }
    await page.goto(`${server.url}/chat/${dev.id}/thread/${first.id}`);
    await page.waitForSelector('#panel .chat-message');
    await check(page, `${theme}-thread`);
    await page.goto(`${server.url}/inbox`);
    await page.waitForSelector('.inbox-groups > *');
    await check(page, `${theme}-inbox`);
    await page.keyboard.press('Control+k');
    await page.keyboard.type('e');
    await check(page, `${theme}-switcher`);
    await page.keyboard.press('Escape');
    await page.locator('body').press('?');
    await check(page, `${theme}-keys`);
    await page.keyboard.press('Escape');
    assert.deepEqual(problems, []);
    await context.close();
  }
}

export default async function journey({ server, browser }) {
  const facts = await world(server);
  const { page, problems, context } = await visitor(browser);
  page.setDefaultTimeout(10_000);
  await logIn(page, server, 'alice', PASSWORD);
  await keysOnly(page, server, facts);
  await switcher(page, server, facts);
  await inbox(page, server, facts);
  await thread(page, server, facts);
  await people(page, server, facts);
  await begin(page, server);
  assert.deepEqual(problems, []);
  await context.close();
  await looks(browser, server, facts);
}
