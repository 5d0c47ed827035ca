// Around a chat: only keys from the list of chats to a sent message; switcher, inbox, panels.
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
  await page.waitForSelector('#chat .chat-message:not(.is-sending):has-text("sent with keys only")');
  const kept = await api(server, bob, 'GET', `/api/chats/${dev.id}/messages?limit=1`);
  assert.equal(kept.items[0].content, 'sent with keys only');
  await page.keyboard.press('Alt+ArrowUp');
  await page.waitForFunction((id) => location.pathname !== `/chat/${id}`, dev.id);
  await page.goBack();
  await page.waitForURL(`${server.url}/chat/${dev.id}`);
}

/** F6 visits the parts; Escape closes one thing at a time; single keys can be switched off. */
async function partsAndKeys(page, server, { dev, first, named }) {
  await page.goto(`${server.url}/chat/${dev.id}/thread/${first.id}`);
  await page.waitForSelector('#panel .chat-message');
  await page.waitForSelector('#chat .chat-message');
  const part = () => page.evaluate(() => {
    const inside = (name) => document.activeElement?.closest(name) !== null && document.activeElement !== document.body;
    return ['#sidebar', '.timeline', '.composer-place', '#panel'].find(inside) ?? '';
  });
  await page.locator('#sidebar [aria-current]').focus();
  const seen = [];
  for (let n = 0; n < 4; n += 1) {
    await page.keyboard.press('F6');
    seen.push(await part());
  }
  assert.deepEqual(seen, ['.timeline', '.composer-place', '#panel', '#sidebar']);
  await page.keyboard.press('Shift+F6');
  assert.equal(await part(), '#panel');
  await page.keyboard.press('Escape');
  await page.waitForURL(`${server.url}/chat/${dev.id}`);
  await page.keyboard.press('Escape');
  await focused(page, '#composer-text');
  await page.locator('#chat-filter').focus();
  await page.keyboard.press('F6');
  await page.keyboard.press('k');
  await page.keyboard.press('k');
  await focused(page, '.chat-message');
  await page.keyboard.press('t');
  await focused(page, '#panel textarea');
  await page.keyboard.press('Escape');
  await page.waitForSelector('#panel', { state: 'hidden' });
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await focused(page, '#composer-text');
  await page.keyboard.type('?n');
  assert.equal(await page.inputValue('#composer-text'), '?n');
  await page.fill('#composer-text', '');
  await page.locator('#sidebar [aria-current]').focus();
  await page.keyboard.press('?');
  await page.locator('#single-keys').uncheck();
  await page.keyboard.press('Escape');
  await page.locator('#sidebar [aria-current]').focus();
  await page.keyboard.press('?');
  await page.keyboard.press('/');
  assert.equal(await page.locator('dialog[open]').count(), 0);
  assert.ok(await page.evaluate(() => document.activeElement?.id !== 'chat-filter'));
  await page.evaluate(() => localStorage.removeItem('keys-off'));
  await page.goto(`${server.url}/chat/${dev.id}/${named.seq}`);
  await page.waitForSelector('#chat .chat-message:has-text("the build is red")');
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
async function inbox(page, server, { dev, say, bob }) {
  const named = await say(bob, '@alice the tests are green');
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
  await page.waitForSelector('#chat .chat-message:has-text("the tests are green")');
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
  await page.waitForSelector('#panel .pending-reply', { state: 'detached' });
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

/** A date in the menu of the chat leads to the first event of that day. */
async function day(page, server, { dev }) {
  await page.goto(`${server.url}/chat/${dev.id}`);
  await page.click('.chat-head summary');
  const yesterday = new Date(Date.now() - 86_400_000);
  await page.fill('#chat-date', yesterday.toISOString().slice(0, 10));
  await page.click('.date-form button');
  await page.waitForURL(`${server.url}/chat/${dev.id}/1`);
  await page.waitForSelector('#chat .chat-message:has-text("release on Friday")');
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

/** The title counts unread messages; n opens the next unread chat; a muted chat is grey. */
async function attention(page, server, { dev, direct, alice, bob, say }) {
  await api(server, alice, 'POST', '/api/chats/read', {});
  await page.goto(`${server.url}/chat/${direct.id}`);
  await page.waitForFunction(() => document.title === 'bob · NetBit');
  await say(bob, 'unread for a moment');
  await page.waitForFunction(() => document.title === '(1) bob · NetBit');
  await page.waitForSelector('#sidebar section:first-child h2:text-is("Unread")');
  await page.locator('#sidebar [aria-current]').focus();
  await page.keyboard.press('n');
  await page.waitForURL(`${server.url}/chat/${dev.id}`);
  await page.waitForFunction(() => document.title === 'dev · NetBit');
  await page.click('.chat-head summary');
  await page.check('#notify-none');
  await page.waitForSelector('#sidebar li.is-muted a:has-text("dev")');
  await page.keyboard.press('Escape');
  await page.waitForSelector('.chat-head .chat-state:text-is("muted")');
  await page.click('.chat-head summary');
  await page.check('#notify-all');
  await page.waitForSelector('#sidebar li.is-muted', { state: 'detached' });
  await page.keyboard.press('Escape');
  await page.locator('#sidebar [aria-current]').focus();
  await page.keyboard.press('g');
  await page.keyboard.press('i');
  await page.waitForURL(`${server.url}/inbox`);
}

/** Notices of the desktop begin with a button, and skip the chat on the screen. */
async function notices(page, server, { dev, direct, say, bob }) {
  await page.goto(`${server.url}/inbox`);
  await page.click('[data-allow]');
  await page.waitForSelector('[data-allow]', { state: 'hidden' });
  await page.goto(`${server.url}/chat/${direct.id}`);
  await page.waitForSelector('#sidebar [aria-current]');
  await say(bob, '@alice a notice');
  await page.waitForFunction(() => window.shownNotices.length === 1);
  const [body, tag] = await page.evaluate(() => window.shownNotices[0]);
  assert.equal(body, 'bob mentioned you in dev');
  assert.match(tag, /^netbit-\d+$/);
  await page.goto(`${server.url}/chat/${dev.id}`);
  await page.waitForSelector('#chat .chat-message:has-text("a notice")');
  await say(bob, '@alice seen at once');
  await page.waitForSelector('#chat .chat-message:has-text("seen at once")');
  await page.waitForTimeout(300);
  assert.deepEqual(await page.evaluate(() => window.shownNotices), []);
}

/** The bar states that the connection is lost, reconnects on request, and leads to the login. */
async function stateBar(page, server, sockets) {
  await page.goto(`${server.url}/chat`);
  await page.waitForSelector('#chat .chat-message');
  assert.ok(await page.isHidden('#state-bar'));
  sockets.refuse = true;
  for (const socket of sockets.open.splice(0)) await socket.close();
  await page.waitForSelector('#state-bar:has-text("Not connected")');
  const [bar, head] = await Promise.all(['#state-bar', '.chat-head'].map((part) => page.locator(part).boundingBox()));
  assert.ok(bar.y + bar.height <= head.y, 'the bar covers nothing');
  await check(page, 'state-bar');
  sockets.refuse = false;
  await page.click('#state-bar button');
  await page.waitForSelector('#state-bar', { state: 'hidden' });
  await page.evaluate(() => fetch('/logout', { method: 'POST' }));
  await page.waitForSelector('#state-bar a:text-is("Log in")');
  await check(page, 'logged-out');
  assert.match(await page.getAttribute('#state-bar a', 'href'), /^\/login\?next=%2Fchat%2F\d+$/);
}

/** An address of a channel that the user is not in offers to join; of no chat, a sentence states that. */
async function missing(page, server, { bob }) {
  await page.goto(`${server.url}/chat/999999`);
  await page.waitForSelector('.chat-head h1:has-text("Chat not found")');
  await check(page, 'missing');
  assert.ok(await page.isHidden('.chat-head [data-join]'));
  const { id } = await api(server, bob, 'POST', '/api/chats', { kind: 'channel', name: 'open to all', participants: [] });
  await page.goto(`${server.url}/chat/${id}`);
  await page.click('.chat-head [data-join]');
  await page.waitForSelector('.chat-head h1:has-text("open to all")');
  await page.waitForSelector('#sidebar [aria-current]:has-text("open to all")');
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
      if (isPhone) assert.ok(await page.isVisible('#panel') && await page.isHidden('#chat'), 'the panel is a screen of its own');
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
  await page.addInitScript(() => {
    window.shownNotices = [];
    window.Notification = class extends EventTarget {
      static permission = 'granted';
      static requestPermission = async () => 'granted';
      constructor(_, { body, tag }) {
        super();
        window.shownNotices.push([body, tag]);
      }
    };
  });
  const sockets = { open: [], refuse: false };
  await page.routeWebSocket('**/ws', (socket) => {
    if (sockets.refuse) return socket.close();
    socket.connectToServer();
    sockets.open.push(socket);
  });
  await logIn(page, server, 'alice', PASSWORD);
  await keysOnly(page, server, facts);
  await partsAndKeys(page, server, facts);
  await switcher(page, server, facts);
  await inbox(page, server, facts);
  await thread(page, server, facts);
  await people(page, server, facts);
  await day(page, server, facts);
  await begin(page, server);
  await missing(page, server, facts);
  await attention(page, server, facts);
  await notices(page, server, facts);
  await stateBar(page, server, sockets);
  assert.deepEqual(problems, []);
  await context.close();
  await looks(browser, server, facts);
}
