import test from 'node:test';
import assert from 'node:assert/strict';
import { createActions } from '../../../web/js/chat/actions.js';
import { addActions } from '../../../web/js/chat/actions_more.js';
import { createStore } from '../../../web/js/chat/store.js';
import { RequestProblem } from '../../../web/js/chat/wire.js';
import { fakeClock, settled } from './fake.mjs';

const AT = '2026-05-05T12:00:00Z';
const message = (/** @type {number} */ seq, more = {}) => ({ id: seq, chat_id: 3, seq, sender_id: 2, client_id: `k${seq}`, content: `m${seq}`, created_at: AT, ...more });

/** Actions whose session and HTTP API are the test. */
function acting() {
  const clock = fakeClock();
  const store = createStore({ now: clock.now, me: { id: 1, username: 'alice' } });
  store.apply({ type: 'chats', chats: [/** @type {any} */ ({ id: 3, kind: 'group', name: 'dev', last_seq: 50, read_seq: 5, unread_count: 9 })], token: 0 });
  /** @type {{ packet: any, done: (answer?: any) => void, failed: (problem: any) => void }[]} */
  const sent = [];
  /** @type {{ path: string, done: (answer: any) => void, failed: (problem: any) => void }[]} */
  const calls = [];
  /** @type {(() => void)[]} */
  const waiters = [];
  const state = { isOnline: true };
  const request = (/** @type {any} */ packet) => new Promise((done, failed) => { sent.push({ packet, done, failed }); });
  const session = /** @type {any} */ ({
    request, isOnline: () => state.isOnline, setStatus: () => Promise.resolve(),
    online: () => (state.isOnline ? Promise.resolve() : new Promise((done) => { waiters.push(() => done(undefined)); })),
    page: (/** @type {number} */ chat, /** @type {any} */ range) => request({ packet_type: 'GetEvents', chat, ...range }),
  });
  const call = (/** @type {string} */ method, /** @type {string} */ path) => new Promise((done, failed) => { calls.push({ path: `${method} ${path}`, done, failed }); });
  const actions = addActions(createActions({ store, session, outbox: /** @type {any} */ ({}), now: clock.now, call }));
  return { clock, store, sent, calls, state, waiters, actions };
}

test('typing_is_sent_once_in_two_and_a_half_seconds', async () => {
  const { actions, sent, clock } = acting();
  for (let n = 0; n < 5; n += 1) void actions.typing(3);
  assert.equal(sent.length, 1);
  await clock.run(2600);
  void actions.typing(3);
  assert.equal(sent.length, 2);
});

test('marks_of_a_chat_are_merged_while_another_is_sent', async () => {
  const { actions, sent } = acting();
  void actions.read(3, 10);
  await settled();
  void actions.read(3, 12);
  void actions.read(3, 20);
  void actions.read(3, 15);
  void actions.read(3, 4);
  assert.deepEqual(sent.map(({ packet }) => packet.read_seq), [10]);
  sent[0]?.done();
  await settled();
  assert.deepEqual(sent.map(({ packet }) => packet.read_seq), [10, 20]);
});

test('mark_of_a_replaced_history_is_not_sent', async () => {
  const { actions, sent, state, waiters } = acting();
  const reading = actions.read(3, 10);
  await settled();
  state.isOnline = false;
  sent[0]?.failed(new RequestProblem('offline', 'gone'));
  await settled();
  actions.parts.reading.clear();
  waiters.forEach((fn) => fn());
  await reading;
  assert.equal(sent.length, 1);
});

test('mark_is_sent_again_after_the_connection_was_lost', async () => {
  const { actions, sent, state, waiters } = acting();
  void actions.read(3, 10);
  await settled();
  state.isOnline = false;
  sent[0]?.failed(new RequestProblem('offline', 'lost'));
  await settled();
  assert.equal(sent.length, 1);
  state.isOnline = true;
  waiters.forEach((fn) => fn());
  await settled();
  assert.deepEqual(sent.map(({ packet }) => packet.read_seq), [10, 10]);
});

test('equal_pages_are_read_once', async () => {
  const { actions, sent } = acting();
  const pages = [actions.page(3, { before: 20 }), actions.page(3, { before: 20 }), actions.page(3, { around: 30 })];
  await settled();
  assert.deepEqual(sent.map(({ packet }) => [packet.before_seq, packet.after_seq, packet.limit]), [[20, undefined, 50], [undefined, 5, 50]]);
  sent.forEach(({ done }) => done());
  await Promise.all(pages);
});

test('changes_are_refused_while_offline', async () => {
  const { actions, state, sent } = acting();
  state.isOnline = false;
  await assert.rejects(actions.react(3, 1, '👍', true), { code: 'offline' });
  await assert.rejects(actions.edit(3, 1, 'text'), { code: 'offline' });
  assert.equal(sent.length, 0);
});

test('thread_has_changes_that_were_pushed_while_it_was_read', async () => {
  const { actions, calls, store } = acting();
  const thread = actions.thread(3, 40);
  store.apply({ type: 'event', event: { chat_id: 3, seq: 51, kind: 'react', actor_id: 2, created_at: AT, message_id: 41, emoji: '👍' } });
  assert.equal(calls[0]?.path, 'GET /api/chats/3/messages?thread=40&limit=100');
  calls[0]?.done({ items: [message(40), message(41)], has_more: false });
  const [, reply] = await thread;
  assert.deepEqual(reply?.reactions, [{ emoji: '👍', user_ids: [2] }]);
  store.apply({ type: 'event', event: { chat_id: 3, seq: 52, kind: 'delete', actor_id: 2, created_at: AT, message_id: 41 } });
  assert.equal(store.message(41)?.deleted, true);
});

test('notifications_are_listed_again_after_a_removal', async () => {
  const { actions, calls, store } = acting();
  const notice = (/** @type {number} */ id) => ({ id, kind: 'mention', chat_id: 3, message_id: 100 + id, seq: 40 + id, text: 't', created_at: AT });
  store.apply({ type: 'notification', notification: notice(1) });
  const loaded = actions.loadNotifications();
  store.apply({ type: 'event', event: { chat_id: 3, seq: 51, kind: 'delete', actor_id: 2, created_at: AT, message_id: 101 } });
  calls[0]?.done({ items: [notice(1)] });
  await settled();
  assert.equal(calls.length, 2);
  calls[1]?.done({ items: [notice(2)] });
  await loaded;
  assert.deepEqual(store.notifications().map(({ id }) => id), [2]);
});

test('failed_list_of_notifications_is_a_fact_until_it_loads', async () => {
  const { actions, store, calls } = acting();
  assert.equal(store.notificationsProblem(), undefined);
  void actions.loadNotifications();
  await settled();
  calls.shift()?.failed({ detail: 'the server is busy' });
  await settled();
  assert.equal(store.notificationsProblem(), 'The server is busy');
  void actions.loadNotifications();
  await settled();
  calls.shift()?.done({ items: [], next: null });
  await settled();
  assert.equal(store.notificationsProblem(), '');
});
