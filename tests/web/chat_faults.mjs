// Three clients in node and a page in a browser write through a proxy that cuts, delays and stalls,
// and keeps connections half open; the server is killed meanwhile. At the end every client must have
// what the server has, and the page must show it: nothing lost, nothing twice, all in order.
import assert from 'node:assert/strict';
import { ChatClient, until } from './chat_client.mjs';
import { openFaultPage } from './chat_faults_page.mjs';
import { startProxy } from './cut_proxy.mjs';
import { randomOf } from './units/fake.mjs';
import { api, PASSWORD } from './world.mjs';

/** Actions a second, of which some 20 are messages. */
const RATE = 35;
const EMOJI = ['👍', '🎉', '🚀'];
const pause = (/** @type {number} */ ms) => new Promise((done) => { setTimeout(done, ms); });

/** @param {any} server @param {string} username @param {any} [more] */
async function tokenOf(server, username, more = {}) {
  await api(server, '', 'POST', '/api/users/register', { username, password: PASSWORD, ...more });
  return (await api(server, '', 'POST', '/api/users/login', { username, password: PASSWORD })).token;
}

/**
 * @param {{ server: any, browser: any, seconds: number, seed: number, log?: (text: string) => void }} options
 */
export async function runFaults({ server, browser, seconds, seed, log = () => {} }) {
  const random = randomOf(seed);
  const pick = (/** @type {any} */ list) => list[Math.floor(random() * list.length)];
  const tokens = [await tokenOf(server, 'alice', { setup_code: server.code }), await tokenOf(server, 'bob'), await tokenOf(server, 'carol')];
  await tokenOf(server, 'dave');
  const chats = [];
  for (const name of ['one', 'two', 'three']) chats.push((await api(server, tokens[0], 'POST', '/api/chats', { kind: 'group', name, participants: ['bob', 'carol', 'dave'] })).id);
  const proxy = await startProxy(Number(new URL(server.url).port), random);
  const clients = tokens.map((token) => new ChatClient({ port: proxy.port, token, random }));
  const all = (/** @type {(client: ChatClient) => boolean} */ isTrue) => clients.every(isTrue);
  /** @type {Awaited<ReturnType<typeof openFaultPage>> | undefined} */
  let page;
  try {
    await until('all are online', () => all((client) => client.store.chats().length === chats.length));
    await killBetweenSendAndAck(server, proxy, clients, chats[0], tokens);
    await oldConnectionsAreLate(proxy, clients, chats[1], log);
    page = await openFaultPage({ browser, port: proxy.port, username: 'dave', chat: chats[0], random });
    await Promise.all([load(), page.write(seconds)]);
    await calm();
    let events = 0;
    for (const [at, client] of clients.entries()) events += await compare(server, tokens[at], client, chats);
    const rows = await page.compare(await eventsOf(server, tokens[0], chats[0]));
    const { cuts, stalls, halfOpen, lateBytes } = proxy.faults;
    const late = clients.reduce((sum, client) => sum + client.lateFrames, 0);
    log(`${clients.reduce((sum, client) => sum + client.written.size, 0)} messages written in node, ${page.count()} in the page`);
    log(`${events} events of the clients and ${rows} rows of the page are equal to the server's`);
    log(`${cuts} cuts, ${stalls} stalls, ${kills} kills, ${halfOpen} connections half open`);
    log(`on connections that were replaced: ${lateBytes} bytes to the server, ${late} frames to clients`);
  } finally {
    await page?.close();
    for (const client of clients) client.stop();
    proxy.stop();
  }

  /** Writes, changes and reads at random, with faults. */
  async function load() {
    proxy.faults.isOn = true;
    const begun = Date.now();
    let killAt = begun + 6000;
    // Every action is due at its time: those during a restart of the server follow it at once.
    for (let count = 0; count < seconds * RATE; count += 1) {
      act(pick(clients), count);
      if (random() < 0.002) pick(clients).reload();
      if (random() < 0.004) pick(clients).reconnect();
      if (Date.now() > killAt) {
        killAt = Date.now() + 8000 + random() * 8000;
        kills += 1;
        await server.kill();
        await pause(random() * 500);
        await server.restart();
      }
      await pause(Math.max(0, begun + (count + random()) * 1000 / RATE - Date.now()));
    }
    proxy.faults.isOn = false;
  }

  /** @param {ChatClient} client @param {number} count */
  function act(client, count) {
    const { store } = client;
    const { actions } = client.page;
    const chat = pick(chats);
    const quiet = (/** @type {Promise<any>} */ promise) => { promise.catch(() => {}); };
    if (!store.chat(chat)) return;
    const last = store.chat(chat)?.last_seq ?? 0;
    const message = pick(store.events(chat, 1, last).filter((event) => event.kind === 'message'))?.message;
    const kind = random();
    if (kind < 0.6) quiet(client.send(chat, `${store.me.username} ${count}`));
    else if (kind < 0.7) quiet(actions.page(chat, pick([{}, { before: last }, { around: Math.floor(random() * last) + 1 }, { after: Math.max(0, last - 80) }])));
    else if (kind < 0.78) quiet(actions.read(chat, pick([last, last, Math.floor(random() * last) + 1])));
    // The server finds own messages in 100 runs above the cursor: more unread ones are not exact.
    else if (kind < 0.8) quiet(actions.unreadFrom(chat, Math.max(1, last - Math.floor(random() * 60))));
    else if (message) {
      if (random() < 0.6) quiet(actions.react(chat, message.id, pick(EMOJI), random() < 0.7));
      else if (random() < 0.5 && message.sender_id === store.me.id) quiet(actions.edit(chat, message.id, `edited ${count}`));
      else if (random() < 0.4 && message.sender_id === store.me.id) quiet(actions.remove(chat, message.id));
      else quiet(actions.pin(chat, message.id, random() < 0.7));
    }
  }

  /** Waits until every client has sent and received everything. */
  async function calm() {
    for (const client of clients) client.page.session.nudge();
    await page?.calm();
    await until('every client is online and nothing is unsent', () => all((client) => client.page.session.isOnline() && chats.every((id) => isSent(client, id))), 120);
    /** @type {Map<number, number>} */
    const heads = new Map();
    for (const id of chats) heads.set(id, (await api(server, tokens[0], 'GET', `/api/chats/${id}`)).last_seq);
    await until('every client has all events', () => all((client) => client.store.needs.counts.size === 0 && client.store.lasts().every(([id, last]) => last === heads.get(id))), 90);
  }
}
let kills = 0;

/**
 * The server is killed after it has committed a message, before the answer arrives.
 * @param {any} server @param {any} proxy @param {ChatClient[]} clients @param {number} chat @param {string[]} tokens
 */
async function killBetweenSendAndAck(server, proxy, clients, chat, tokens) {
  const [alice, bob] = clients;
  await alice.page.actions.page(chat, {});
  await bob.page.actions.page(chat, {});
  proxy.hold();
  await alice.send(chat, 'written before the crash');
  await untilAsync('the server has the message', async () => (await eventsOf(server, tokens[0], chat)).some((event) => event.message?.content === 'written before the crash'));
  assert.equal(alice.store.pending(chat).length, 1, 'the answer is held back');
  kills += 1;
  await server.kill();
  await alice.send(chat, 'written while the server is down');
  proxy.cutAll();
  proxy.release();
  await server.restart();
  await until('both messages are there', () => alice.store.pending(chat).length === 0, 30);
  await until('bob has both', () => textsOf(bob, chat).length === 2, 30);
  for (const client of [alice, bob]) assert.deepEqual(textsOf(client, chat), ['written before the crash', 'written while the server is down']);
}

/** Whether a client has sent all of its messages of a chat. */
const isSent = (client, chat) => client.store.pending(chat).every(({ state }) => state !== 'sending');

/**
 * The connections of all clients become silent while packets are on their way. The clients connect
 * again and send everything again; then the old connections deliver what they hold.
 * @param {any} proxy @param {ChatClient[]} clients @param {number} chat @param {(text: string) => void} log
 */
async function oldConnectionsAreLate(proxy, clients, chat, log) {
  for (const client of clients) await client.page.actions.page(chat, {});
  const before = proxy.faults.lateBytes;
  const thaw = proxy.freeze();
  const [alice, bob, carol] = clients;
  await alice.send(chat, 'alice on the old connection');
  await bob.send(chat, 'bob on the old connection');
  alice.reconnect();
  await until('alice has sent it again', () => isSent(alice, chat));
  // The old connections of bob and carol hold this event, and their new ones replay it.
  bob.reconnect();
  await until('bob has sent it again', () => isSent(bob, chat));
  carol.reconnect();
  const expected = ['alice on the old connection', 'bob on the old connection'];
  const haveAll = () => clients.every((client) => textsOf(client, chat).length >= expected.length);
  await until('all have both', haveAll);
  thaw();
  await until('the old connections deliver', () => [bob, carol].every((client) => client.lateFrames > 0));
  await carol.send(chat, 'after the old connections');
  expected.push('after the old connections');
  await until('all have the last', haveAll);
  for (const client of clients) assert.deepEqual(textsOf(client, chat), expected);
  assert.ok(proxy.faults.lateBytes > before, 'the server received packets of connections that were replaced');
  log(`${clients.reduce((sum, client) => sum + client.lateFrames, 0)} frames arrived on old connections after the new ones had caught up`);
}

/** @param {ChatClient} client @param {number} chat */
function textsOf(client, chat) {
  const events = client.store.events(chat, 1, client.store.chat(chat)?.last_seq ?? 0);
  return events.filter((event) => event.kind === 'message').map((event) => event.message?.content);
}

/** @param {string} what @param {() => Promise<boolean>} isTrue */
async function untilAsync(what, isTrue) {
  for (let tries = 0; tries < 100; tries += 1) {
    if (await isTrue()) return;
    await pause(50);
  }
  throw new Error(`not yet: ${what}`);
}

/** Returns all events of a chat. @param {any} server @param {string} token @param {number} chat @returns {Promise<any[]>} */
async function eventsOf(server, token, chat) {
  const events = [];
  for (let after = 0; ;) {
    const page = await api(server, token, 'GET', `/api/chats/${chat}/events?after_seq=${after}&limit=100`);
    events.push(...page.items);
    if (!page.has_more) return events;
    after = page.items[page.items.length - 1].seq;
  }
}

/**
 * Compares a client with the server; returns the number of events that were compared.
 * @param {any} server @param {string} token @param {ChatClient} client @param {number[]} chats
 */
async function compare(server, token, client, chats) {
  const { store } = client;
  const name = store.me.username;
  const listed = (await api(server, token, 'GET', '/api/chats')).items;
  let count = 0;
  for (const id of chats) {
    const events = await eventsOf(server, token, id);
    // The part that a user scrolls to at the end is loaded; parts that were loaded before are current.
    await client.page.actions.page(id, {});
    const { last_seq, read_seq, unread_count } = listed.find((/** @type {any} */ chat) => chat.id === id);
    const held = store.chat(id);
    assert.deepEqual({ last_seq: held?.last_seq, read_seq: held?.read_seq, unread_count: held?.unread_count }, { last_seq, read_seq, unread_count }, `counts of chat ${id} of ${name}`);
    for (const { from, to } of store.timeline(id).ranges) {
      const expected = events.filter((event) => event.seq >= from && event.seq <= to).map(plain);
      assert.deepEqual(store.events(id, from, to).map(plain), expected, `events ${from} to ${to} of chat ${id} of ${name}`);
      count += expected.length;
    }
    assert.deepEqual(store.pending(id), [], `nothing is pending in chat ${id} of ${name}`);
    sentOnce(events, client, id);
  }
  return count;
}

/** Every message that the user wrote is in the chat once, in order. @param {any[]} events @param {ChatClient} client @param {number} id */
function sentOnce(events, client, id) {
  const own = events.filter((event) => event.kind === 'message' && event.actor_id === client.store.me.id).map((event) => event.message.client_id);
  const written = [...client.written].filter(([, chat]) => chat === id).map(([clientId]) => clientId);
  assert.deepEqual(own, written, `messages of ${client.store.me.username} in chat ${id}`);
}

/** @param {any} event */
function plain(event) {
  const { message, message_id: id, ...rest } = event;
  if (event.kind === 'edit') return { ...rest, message_id: message?.id ?? id };
  return JSON.parse(JSON.stringify(message ? { ...rest, message } : { ...rest, message_id: id }));
}
