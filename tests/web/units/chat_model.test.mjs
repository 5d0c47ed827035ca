// Session, store and outbox against a model of the server: random events, and a network that cuts,
// delays and doubles. At the end every client must equal the server.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createStore } from '../../../web/js/chat/store.js';
import { createSession } from '../../../web/js/chat/session.js';
import { createOutbox } from '../../../web/js/chat/outbox.js';
import { rescueUnsent } from '../../../web/js/chat/old_texts.js';
import { createActions } from '../../../web/js/chat/actions.js';
import { addActions } from '../../../web/js/chat/actions_more.js';
import { uuid7 } from '../../../web/js/kit/uuid7.js';
import { ModelServer } from './model_server.mjs';
import { fakeClock, randomOf, settled, sharedStorage } from './fake.mjs';

const CLIENTS = [1, 2, 3];
const OTHERS = [4, 5];
const EVENTS = Number(process.env.EVENTS ?? 10_000);
const SEEDS = process.env.SEED ? [Number(process.env.SEED)] : [1, 2, 3, 4, 5, 6];
/** Faults can cancel each other's effects: states are compared often. */
const CHECK_EVERY = 250;
const EMOJI = ['👍', '❤️', '🎉'];

/** A browser of one user. Its storage survives reloads. */
class Client {
  /** @param {any} world @param {number} user */
  constructor(world, user) {
    this.world = world;
    this.user = user;
    this.storage = sharedStorage();
    /** @type {any} */
    this.connection = null;
    /** Texts by client_id in the order in which they were written. @type {Map<string, { chat: number, text: string, epoch: number }>} */
    this.written = new Map();
    this.epoch = 0;
    this.page = this.load();
  }

  load() {
    const { clock, random } = this.world;
    const tab = this.storage.tab();
    const store = createStore({ now: clock.now });
    /** @type {import('../../../web/js/chat/session.js').Session} */
    const session = createSession({
      store, now: clock.now, after: clock.after, random, connect: (events) => this.connect(events),
      welcomed: (epoch, user) => {
        this.epoch = epoch;
        outbox.open(epoch, user);
        rescueUnsent({ outbox, local: tab, now: clock.now });
      },
    });
    const outbox = createOutbox({ store, local: tab, now: clock.now, after: clock.after, request: session.request, isOnline: session.isOnline, newId: () => uuid7(clock.now()) });
    const actions = addActions(createActions({ store, session, outbox, now: clock.now, call: () => Promise.reject(new Error('no HTTP')) }));
    session.start();
    return { tab, store, session, outbox, actions };
  }

  get store() { return this.page.store; }

  get session() { return this.page.session; }

  get outbox() { return this.page.outbox; }

  get actions() { return this.page.actions; }

  /** The page is closed and opened again. */
  reload() {
    this.session.stop();
    this.page.tab.close();
    this.page = this.load();
  }

  /** @param {any} events */
  connect(events) {
    const { clock, server } = this.world;
    let isOpen = true;
    let isDone = false;
    const end = () => {
      if (isDone) return;
      isDone = true;
      isOpen = false;
      clock.after(this.world.delay(), events.closed);
      if (session) clock.after(this.world.delay(), () => server.disconnect(session));
    };
    // Pushes are in order, and so are answers; nothing is known of the order between both.
    const lane = () => {
      let free = 0;
      return (/** @type {() => void} */ fn) => {
        free = Math.max(free, clock.now() + this.world.delay());
        clock.after(free - clock.now(), fn);
      };
    };
    const [pushes, answers, up] = [lane(), lane(), lane()];
    /** @param {any} packet */
    const deliver = (packet) => {
      const text = JSON.stringify(packet);
      return () => {
        if (!isOpen) return;
        events.message(text);
        if (isOpen && packet.packet_type === 'Event' && this.world.chance(0.02)) events.message(text);
      };
    };
    /** @type {any} */
    const session = this.world.isDown(this.user) ? null
      : server.connect(this.user, (/** @type {any} */ packet) => pushes(deliver(packet)), (/** @type {any} */ packet) => answers(deliver(packet)), end);
    this.connection = { end, session };
    if (!session) end();
    else clock.after(this.world.delay(), () => { if (isOpen) events.opened(); });
    return {
      send: (/** @type {string} */ text) => { if (isOpen) up(() => { if (session && !session.isDead) server.receive(session, JSON.parse(text)); }); },
      close: () => { isOpen = false; if (session) server.disconnect(session); },
    };
  }
}

/** @param {number} seed */
async function run(seed) {
  const random = randomOf(seed);
  const clock = fakeClock();
  const pick = (/** @type {any} */ list) => list[Math.floor(random() * list.length)];
  const chance = (/** @type {number} */ part) => random() < part;
  const server = new ModelServer({ random, now: clock.now, after: clock.after });
  const down = new Set();
  let isCalm = false;
  const world = {
    random, clock, server, chance: (/** @type {number} */ part) => !isCalm && chance(part),
    delay: () => (isCalm ? 5 : chance(0.05) ? random() * 3000 : random() * 80), isDown: (/** @type {number} */ user) => down.has(user),
  };
  server.refuse = () => {
    if (isCalm || !chance(0.05)) return undefined;
    return pick([{ code: 'rate_limited', retry_after_ms: 500 }, { code: 'overloaded' }, { code: 'read_only', retry_after_ms: 2000 }, { code: 'internal' }, { code: 'internal', after: true }]);
  };
  for (let n = 0; n < 5; n += 1) server.create([...CLIENTS, ...OTHERS], `chat ${n}`);
  const clients = CLIENTS.map((user) => new Client(world, user));
  let snapshot = save(server);
  let count = 0;

  /** Something that happens on the server. */
  function serverStep() {
    const chat = pick([...server.chats.values()]);
    if (!chat) return void server.create([...CLIENTS, ...OTHERS], `chat ${server.nextChat}`);
    const user = pick([...chat.members.keys()]);
    const kind = random();
    const messages = chat.events.slice(-60).filter((/** @type {any} */ event) => event.kind === 'message');
    const message = pick(messages)?.message;
    if (user === undefined || kind < 0.45) return void server.post(chat, pick(OTHERS), { client_id: uuid7(clock.now()), content: `from a stranger ${count}` });
    if (kind < 0.88) {
      if (!message) return;
      const change = pick(['edit', 'delete', 'react', 'unreact', 'react', 'pin', 'unpin']);
      return void server.change(chat, pick(OTHERS), message, change, change === 'edit' ? `edited ${count}` : pick(EMOJI));
    }
    if (kind < 0.9) {
      chat.name = `renamed ${count}`;
      return void server.event(chat, { kind: 'rename', actor_id: user, name: chat.name });
    }
    if (kind < 0.91) {
      chat.archived = !chat.archived;
      return void server.event(chat, { kind: 'archive', actor_id: user, archived: chat.archived });
    }
    if (kind < 0.92) return void server.event(chat, { kind: 'push', actor_id: user, push: { repository: 'a/b/c', refs: [], commits: [] } });
    if (kind < 0.925) return void server.event(chat, { kind: 'role', actor_id: user, user_id: user, role: pick(['admin', 'member']) });
    if (kind < 0.93) return void server.event(chat, { kind: 'unknown_kind', actor_id: user, anything: [1] });
    if (kind < 0.94 && chat.last > 50) return server.trim(chat, user, Math.max(chat.trimmed, chat.last - 30 - Math.floor(random() * 100)));
    if (kind < 0.955) {
      const client = pick(CLIENTS);
      return chat.members.has(client) ? server.leave(chat, user, client) : server.join(chat, user, client);
    }
    if (kind < 0.958 && server.chats.size > 3) return server.remove(chat);
    if (kind < 0.962 && server.chats.size < 9) return void server.create([...CLIENTS, ...OTHERS], `chat ${server.nextChat}`);
    if (kind < 0.98) return server.mark(user, chat, Math.floor(random() * (chat.last + 1)));
    if (kind < 0.99) return server.markUnread(user, chat, Math.floor(random() * (chat.last + 1)));
    return server.hide(user, chat, chance(0.5));
  }

  /** Something that a user does. @param {Client} client */
  function clientStep(client) {
    const { store, actions } = client;
    const chat = pick(store.chats());
    if (!chat || !store.me.id) return;
    const quiet = (/** @type {Promise<any>} */ promise) => { promise.catch(() => {}); };
    const kind = random();
    const mine = pick(store.events(chat.id, 1, chat.last_seq).filter((event) => event.kind === 'message'))?.message;
    if (kind < 0.45) {
      const text = `${client.user}: ${count}`;
      quiet(actions.send(chat.id, text).then((id) => { client.written.set(id, { chat: chat.id, text, epoch: client.epoch }); }));
    } else if (kind < 0.65) {
      const at = Math.floor(random() * (chat.last_seq + 2));
      quiet(actions.page(chat.id, pick([{}, { before: at + 1 }, { after: at }, { around: at }, { before: at + 1, limit: 7 }, { after: at, limit: 3 }])));
    } else if (kind < 0.75) quiet(actions.read(chat.id, pick([chat.last_seq, Math.floor(random() * (chat.last_seq + 1))])));
    else if (kind < 0.78) quiet(actions.unreadFrom(chat.id, Math.floor(random() * chat.last_seq) + 1));
    else if (kind < 0.95 && mine) {
      if (chance(0.3)) quiet(actions.edit(chat.id, mine.id, `edited by ${client.user} ${count}`));
      else if (chance(0.3)) quiet(actions.remove(chat.id, mine.id));
      else if (chance(0.7)) quiet(actions.react(chat.id, mine.id, pick(EMOJI), chance(0.6)));
      else quiet(actions.pin(chat.id, mine.id, chance(0.6)));
    } else if (kind < 0.96) quiet(actions.hide(chat.id, chance(0.5)));
    else quiet(actions.typing(chat.id));
  }

  /** @param {Client} client */
  function fault(client) {
    const kind = random();
    if (kind < 0.5) client.connection?.end();
    else if (kind < 0.7) { if (client.connection?.session) server.limit(client.connection.session); }
    else if (kind < 0.85) {
      down.add(client.user);
      client.connection?.end();
      clock.after(random() * 40_000, () => { down.delete(client.user); client.session.nudge(); });
    } else if (kind < 0.95) client.reload();
    else { client.session.visible(true); clock.after(40_000, () => client.session.visible(false)); }
  }

  while (count < EVENTS) {
    count += 1;
    if (chance(0.5)) serverStep(); else clientStep(pick(clients));
    if (chance(0.012)) fault(pick(clients));
    if (chance(0.0004)) { snapshot = save(server); }
    if (chance(0.0003)) {
      for (const client of clients) client.connection?.end();
      for (const session of [...server.sessions]) server.disconnect(session);
      restore(server, snapshot, 1000 + count);
    }
    await clock.run(chance(0.02) ? 2000 : random() * 40);
    if (count % CHECK_EVERY === 0) await check();
  }

  /** Lets the network rest until every client has caught up, and compares. */
  async function check() {
    isCalm = true;
    down.clear();
    for (const client of clients) client.session.nudge();
    for (let round = 0; round < 30 && (round < 8 || !clients.every((client) => isEqual(server, client))); round += 1) await clock.run(10_000);
    for (const client of clients) compare(server, client);
    isCalm = false;
  }
}

/** @param {ModelServer} server */
function save(server) {
  const chats = [...server.chats.values()].map((chat) => ({
    ...chat, members: new Map([...chat.members].map(([user, member]) => [user, { ...member }])), events: JSON.parse(JSON.stringify(chat.events)),
  }));
  return { chats, nextMessage: server.nextMessage, nextChat: server.nextChat };
}

/** The server is restored from an older copy. @param {ModelServer} server @param {any} snapshot @param {number} epoch */
function restore(server, snapshot, epoch) {
  const { chats, nextMessage, nextChat } = save(/** @type {any} */ ({ ...snapshot, chats: new Map(snapshot.chats.map((/** @type {any} */ chat) => [chat.id, chat])) }));
  server.chats = new Map(chats.map((chat) => [chat.id, chat]));
  Object.assign(server, { nextMessage, nextChat, epoch });
  server.sent = new Map();
  for (const chat of server.chats.values()) {
    const byId = new Map();
    for (const event of chat.events) if (event.kind === 'message') byId.set(event.message.id, event.message);
    for (const event of chat.events) if (event.editing) event.editing = byId.get(event.editing.id) ?? event.editing;
    for (const message of byId.values()) server.sent.set(`${message.sender_id}:${message.client_id}`, Object.defineProperty(message, 'original', { value: message.content }));
  }
}

/** Whether a client has caught up. @param {ModelServer} server @param {Client} client */
function isEqual(server, client) {
  try {
    compare(server, client);
    return true;
  } catch {
    return false; // The last comparison shows the difference.
  }
}

/** @param {ModelServer} server @param {Client} client */
function compare(server, client) {
  const { store, user } = client;
  const own = [...server.chats.values()].filter((chat) => chat.members.has(user));
  assert.equal(store.connection().state, 'online');
  assert.deepEqual(store.lasts().sort((a, b) => a[0] - b[0]), own.map((chat) => [chat.id, chat.last]).sort((a, b) => a[0] - b[0]), `heads of ${user}`);
  for (const chat of own) {
    const { id, kind, name, last_seq, read_seq, unread_count, archived, hidden } = server.summary(chat, user);
    const held = store.chat(id);
    assert.deepEqual(
      { id, kind, name, last_seq, read_seq, unread_count, archived: archived ?? false, hidden: hidden ?? false },
      { id, kind: held?.kind, name: held?.name, last_seq: held?.last_seq, read_seq: held?.read_seq, unread_count: held?.unread_count, archived: held?.archived ?? false, hidden: held?.hidden ?? false },
      `chat ${id} of ${user}`,
    );
    for (const { from, to } of store.timeline(id).ranges) {
      const expected = chat.events.filter((event) => event.seq >= from && event.seq <= to).map(plain);
      assert.deepEqual(store.events(id, from, to).map(plain), expected, `events ${from} to ${to} of chat ${id} of ${user}`);
    }
    assert.deepEqual(store.pending(id).filter((item) => item.state === 'sending'), [], `unsent in ${id}`);
  }
  sentOnce(server, client);
}

/** Every message that was written in this history is there once, in order, or has failed. @param {ModelServer} server @param {Client} client */
function sentOnce(server, client) {
  const failed = new Set(client.storage.tab().keys('unsent:').map((key) => key.split(':').at(-1)));
  /** @type {Map<number, number>} */
  const lastSeq = new Map();
  let isFailed = false;
  for (const [id, { chat, epoch }] of client.written) {
    if (epoch !== server.epoch) continue;
    const found = server.sent.get(`${client.user}:${id}`);
    if (failed.has(id)) { isFailed = true; assert.equal(found, undefined, `${id} was sent and failed`); continue; }
    assert.ok(found, `message ${id} of ${client.user} in chat ${chat} is lost`);
    if (server.chats.has(chat) && !isFailed) {
      assert.ok(found.seq > (lastSeq.get(chat) ?? 0), `order of ${client.user} in chat ${chat}`);
      lastSeq.set(chat, found.seq);
    }
  }
}

/** An event as it is compared: a message has its state, an edit only its id. @param {any} event */
function plain(event) {
  const { editing, message, ...rest } = event;
  if (event.kind === 'edit') return { ...rest, message_id: (editing ?? message)?.id ?? rest.message_id };
  return JSON.parse(JSON.stringify(message ? { ...rest, message } : rest));
}

for (const seed of SEEDS) {
  test(`clients_equal_server_after_random_events_seed_${seed}`, async () => {
    try {
      await run(seed);
    } catch (error) {
      console.error(`seed ${seed}: run it again with SEED=${seed} node --test tests/web/units/chat_model.test.mjs`);
      throw error;
    }
    await settled();
  });
}
