// The user is away after a while without input, and the server gets each status.
import assert from 'node:assert/strict';
import test from 'node:test';
import { IDLE_MS, createAway } from '../../../web/js/chat/away.js';
import { createSession } from '../../../web/js/chat/session.js';
import { createStore } from '../../../web/js/chat/store.js';
import { fakeClock, settled } from './fake.mjs';

/** A welcomed session whose socket is the test, and the state of its user. */
async function present() {
  const clock = fakeClock();
  const store = createStore({ now: clock.now });
  /** @type {any[]} */
  const sent = [];
  /** @type {any} */
  let socket;
  const session = createSession({
    store, now: clock.now, after: clock.after, random: () => 0,
    connect: (events) => { socket = events; return { send: (text) => sent.push(JSON.parse(text)), close: () => {} }; },
  });
  const push = (/** @type {any} */ packet) => socket.message(JSON.stringify(packet));
  const welcome = () => {
    socket.opened();
    push({ packet_type: 'Welcome', request_id: sent.at(-1).request_id, user_id: 1, username: 'alice', epoch: 1, chats: [], has_more: false, heartbeat_ms: 1e9 });
  };
  const away = createAway(clock.now, (isIdle) => { session.setIdle(isIdle).catch(() => {}); });
  /** The statuses that were sent; answers them. @param {{ success: boolean, code?: string }} [answer] */
  const statuses = async (answer = { success: true }) => {
    await settled();
    const found = sent.splice(0).filter(({ packet_type: type }) => type === 'Status');
    for (const { request_id } of found) push({ packet_type: 'Ack', request_id, ...answer });
    await settled();
    return found.map(({ status }) => status);
  };
  session.start();
  welcome();
  return { clock, session, away, sent, statuses, welcome, lose: () => socket.closed() };
}

test('user_is_away_after_five_minutes_until_input', async () => {
  const { clock, away, statuses } = await present();
  await clock.run(IDLE_MS - 1000);
  away.check();
  assert.deepEqual(await statuses(), []);
  await clock.run(1000);
  away.check();
  away.check();
  assert.deepEqual(await statuses(), ['away']);
  away.active();
  away.active();
  assert.deepEqual(await statuses(), ['online']);
  await clock.run(IDLE_MS / 2);
  away.active();
  await clock.run(IDLE_MS / 2);
  away.check();
  assert.deepEqual(await statuses(), [], 'input begins the time again');
});

test('status_that_was_refused_is_sent_by_the_next_check', async () => {
  const { clock, away, statuses } = await present();
  await clock.run(IDLE_MS);
  away.check();
  assert.deepEqual(await statuses({ success: false, code: 'rate_limited' }), ['away']);
  away.check();
  assert.deepEqual(await statuses(), ['away']);
  away.check();
  assert.deepEqual(await statuses(), []);
});

test('chosen_status_is_kept_while_the_user_is_away', async () => {
  const { clock, session, away, statuses } = await present();
  void session.setStatus('dnd');
  assert.deepEqual(await statuses(), ['dnd']);
  await clock.run(IDLE_MS);
  away.check();
  away.active();
  assert.deepEqual(await statuses(), []);
});

test('user_who_is_away_reconnects_as_away', async () => {
  const { clock, away, sent, statuses, welcome, lose } = await present();
  await clock.run(IDLE_MS);
  lose();
  away.check();
  await statuses();
  await clock.run(5000);
  welcome();
  assert.equal(sent.find(({ packet_type: type }) => type === 'Hello')?.status, 'away');
  away.active();
  assert.deepEqual(await statuses(), ['online']);
});
