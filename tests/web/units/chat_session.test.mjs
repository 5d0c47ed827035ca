// The session, one rule at a time: a scripted server and a fake clock.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createStore } from '../../../web/js/chat/store.js';
import { coveredRange, createSession } from '../../../web/js/chat/session.js';
import { fakeClock, settled } from './fake.mjs';

const chat = (/** @type {number} */ id, /** @type {number} */ last, more = {}) => ({ id, kind: 'group', name: `c${id}`, last_seq: last, read_seq: last, unread_count: 0, ...more });
const message = (/** @type {number} */ chatId, /** @type {number} */ seq, more = {}) => ({
  packet_type: 'Event', chat_id: chatId, seq, kind: 'message', actor_id: 2, created_at: '2026-05-05T12:00:00Z',
  message: { id: chatId * 1000 + seq, chat_id: chatId, seq, sender_id: 2, client_id: `x${seq}`, content: `m${seq}`, created_at: '2026-05-05T12:00:00Z', ...more },
});

/** A session whose server is the test. */
function scripted(options = {}) {
  const clock = fakeClock();
  const store = createStore({ now: clock.now });
  /** @type {{ events: any, sent: any[], isClosed: boolean }[]} */
  const connections = [];
  const session = createSession({
    store, now: clock.now, clock: clock.now, after: clock.after, random: () => 0.5,
    connect: (events) => {
      const connection = { events, sent: /** @type {any[]} */ ([]), isClosed: false };
      connections.push(connection);
      return { send: (text) => connection.sent.push(JSON.parse(text)), close: () => { connection.isClosed = true; } };
    },
    ...options,
  });
  const now = () => connections[connections.length - 1];
  const push = (/** @type {any[]} */ ...packets) => { for (const packet of packets) now().events.message(JSON.stringify(packet)); };
  const take = (/** @type {string} */ type) => {
    const at = now().sent.findIndex((/** @type {any} */ packet) => packet.packet_type === type);
    return at < 0 ? undefined : now().sent.splice(at, 1)[0];
  };
  const welcome = (/** @type {any[]} */ chats, more = {}) => {
    now().events.opened();
    const hello = take('Hello');
    push({ packet_type: 'Welcome', request_id: hello.request_id, user_id: 1, username: 'alice', session_id: 1, epoch: 7, heartbeat_ms: 30_000, max_frame_bytes: 65536, window: 64, chats, has_more: false, ...more });
  };
  session.start();
  return { clock, store, session, connections, push, take, welcome, now };
}

test('session_sends_hello_without_token_and_ping_after_welcome', () => {
  const { welcome, take, store, connections } = scripted();
  welcome([chat(3, 10)]);
  assert.equal(store.connection().state, 'online');
  assert.equal(store.me.username, 'alice');
  assert.deepEqual(store.lasts(), [[3, 10]]);
  assert.ok(take('Ping'));
  assert.equal('token' in (connections[0]?.sent[0] ?? {}), false);
});

test('session_resumes_chat_after_gap_and_applies_replay', () => {
  const { welcome, take, push, store } = scripted();
  welcome([chat(3, 10)]);
  push(message(3, 12));
  assert.deepEqual(take('Resume').cursors, { 3: 10 });
  push(message(3, 13));
  assert.equal(take('Resume'), undefined);
  push(message(3, 11), message(3, 12), message(3, 13), { packet_type: 'Synced', chat_id: 3, seq: 13 });
  assert.deepEqual(store.lasts(), [[3, 13]]);
  assert.equal(store.chat(3)?.unread_count, 3);
  push(message(3, 13));
  assert.equal(store.chat(3)?.unread_count, 3);
});

test('session_reconnects_when_two_heartbeats_are_silent', async () => {
  const { clock, welcome, connections, store } = scripted();
  welcome([]);
  await clock.run(59_000);
  assert.equal(connections.length, 1);
  await clock.run(2000);
  assert.equal(connections.length, 2);
  assert.equal(connections[0]?.isClosed, true);
  assert.equal(store.connection().state, 'connecting');
});

test('session_notices_silence_when_wall_clock_goes_back', async () => {
  let wall = 1e12;
  const { welcome, connections, clock } = scripted({ now: () => wall });
  welcome([]);
  wall -= 3_600_000;
  await clock.run(61_000);
  assert.equal(connections.length, 2);
});

test('session_waits_longer_after_each_failure_up_to_a_minute', async () => {
  const { clock, connections, store, now, welcome } = scripted();
  const waits = [];
  for (let n = 0; n < 9; n += 1) {
    now().events.closed();
    const wait = (store.connection().retry_at ?? 0) - clock.now();
    waits.push(wait);
    await clock.run(wait);
    assert.equal(connections.length, n + 2);
  }
  assert.deepEqual(waits, [1500, 3000, 6000, 12_000, 24_000, 48_000, 60_000, 60_000, 60_000]);
  welcome([]);
  now().events.closed();
  assert.equal((store.connection().retry_at ?? 0) - clock.now(), 1500);
});

test('session_reconnects_when_hello_gets_no_answer', async () => {
  const { clock, connections, now } = scripted();
  now().events.opened();
  await clock.run(12_000);
  assert.equal(connections.length, 2);
});

test('session_ends_when_login_ended', async () => {
  for (const code of ['revoked', 'unauthenticated']) {
    const { clock, welcome, push, store, connections } = scripted();
    welcome([chat(3, 10)]);
    push({ packet_type: 'Goodbye', code, reconnect: false });
    await clock.run(300_000);
    assert.equal(store.connection().state, 'logged_out');
    assert.equal(connections.length, 1);
    assert.deepEqual([store.chats(), store.events(3, 1, 10)], [[], []]);
  }
});

test('session_ends_when_hello_is_refused', () => {
  const { now, take, push, store } = scripted();
  now().events.opened();
  push({ packet_type: 'Ack', success: false, code: 'unauthenticated', error: 'log in', request_id: take('Hello').request_id });
  assert.equal(store.connection().state, 'logged_out');
});

test('session_waits_as_long_as_goodbye_asks', () => {
  const { clock, welcome, push, store } = scripted();
  welcome([]);
  push({ packet_type: 'Goodbye', code: 'overloaded', reconnect: true, after_ms: 90_000 });
  assert.equal((store.connection().retry_at ?? 0) - clock.now(), 90_000);
});

test('session_reconnects_at_once_when_online_again', () => {
  const { now, session, connections } = scripted();
  now().events.closed();
  session.nudge();
  assert.equal(connections.length, 2);
});

test('session_probes_connection_when_shown_after_30_s', async () => {
  const { clock, welcome, session, connections, take, push } = scripted();
  welcome([]);
  take('Ping');
  session.visible(true);
  await clock.run(29_000);
  session.visible(false);
  assert.equal(take('Ping'), undefined);
  push({ packet_type: 'Pong', chats: 0, heads_sum: 0 });
  session.visible(true);
  await clock.run(31_000);
  take('Ping');
  session.visible(false);
  assert.ok(take('Ping'));
  await clock.run(5001);
  assert.equal(connections.length, 2);
});

test('session_lists_chats_when_heads_sum_differs', () => {
  const { welcome, take, push, store } = scripted();
  welcome([chat(3, 10)]);
  push({ packet_type: 'Pong', chats: 1, heads_sum: 10 });
  assert.equal(take('GetChats'), undefined);
  push({ packet_type: 'Pong', chats: 1, heads_sum: 11 });
  const list = take('GetChats');
  assert.equal(list.after_chat_id, 0);
  push({ packet_type: 'Chats', request_id: list.request_id, chats: [chat(3, 11)], has_more: false });
  assert.deepEqual(take('Resume').cursors, { 3: 10 });
  assert.deepEqual(store.lasts(), [[3, 10]]);
});

test('session_removes_chats_that_list_does_not_name', () => {
  const { welcome, take, push, store } = scripted();
  welcome([chat(1, 1), chat(2, 1)], { has_more: true });
  const next = take('GetChats');
  assert.equal(next.after_chat_id, 2);
  push({ packet_type: 'Chats', request_id: next.request_id, chats: [chat(3, 1)], has_more: false });
  assert.deepEqual(store.chats().map(({ id }) => id), [1, 2, 3]);
  push({ packet_type: 'Pong', chats: 2, heads_sum: 2 });
  push({ packet_type: 'Chats', request_id: take('GetChats').request_id, chats: [chat(1, 1), chat(3, 1)], has_more: false });
  assert.deepEqual(store.chats().map(({ id }) => id), [1, 3]);
});

test('session_keeps_chats_when_earlier_list_ends_after_limited', () => {
  const { welcome, take, push, store } = scripted();
  welcome([chat(1, 1), chat(2, 1)], { has_more: true });
  const early = take('GetChats');
  push({ packet_type: 'Limited' });
  push({ packet_type: 'Chats', request_id: early.request_id, chats: [chat(3, 1)], has_more: false });
  assert.deepEqual(store.chats().map(({ id }) => id), [1, 2, 3]);
  push({ packet_type: 'Chats', request_id: take('GetChats').request_id, chats: [chat(1, 1), chat(2, 1), chat(3, 1)], has_more: false });
  assert.deepEqual(store.chats().map(({ id }) => id), [1, 2, 3]);
});

test('session_resumes_every_chat_after_limited', () => {
  const { welcome, take, push } = scripted();
  welcome([chat(1, 5), chat(2, 6)]);
  push({ packet_type: 'Limited' });
  assert.deepEqual(take('Resume').cursors, { 1: 5, 2: 6 });
  push({ packet_type: 'Chats', request_id: take('GetChats').request_id, chats: [chat(1, 5), chat(2, 6), chat(9, 4)], has_more: false });
  assert.deepEqual(take('Resume').cursors, { 9: 4 });
});

test('session_leaves_gap_and_refreshes_loaded_rows_after_limited', async () => {
  const { clock, welcome, take, push, store, session } = scripted();
  welcome([chat(3, 10)]);
  const loaded = session.page(3, { limit: 50 });
  await settled();
  push({ packet_type: 'Events', request_id: take('GetEvents').request_id, chat_id: 3, events: [message(3, 10)], has_more: true, as_of: 10 });
  await loaded;
  push(message(3, 12));
  take('Resume');
  push({ packet_type: 'Limited', chat_id: 3, from: 11, head: 5000 }, message(3, 5001));
  assert.deepEqual(store.timeline(3).ranges, [{ from: 10, to: 10 }, { from: 5001, to: 5001 }]);
  await settled();
  const again = take('GetEvents');
  assert.deepEqual([again.after_seq, again.before_seq], [9, 11]);
  push({ packet_type: 'Events', request_id: again.request_id, chat_id: 3, events: [message(3, 10, { content: 'edited', updated_seq: 800 })], has_more: false, as_of: 5001 });
  await settled();
  assert.equal(store.events(3, 10, 10)[0]?.message?.content, 'edited');
  assert.deepEqual(store.stale(3), []);
  await clock.run(1000);
  const counts = take('GetChats');
  push({ packet_type: 'Chats', request_id: counts.request_id, chats: [chat(3, 5000, { unread_count: 4000 })], has_more: false });
  await settled();
  assert.equal(store.chat(3)?.unread_count, 4001);
});

test('session_refuses_page_that_is_older_than_skipped_events', async () => {
  const { welcome, take, push, store, session } = scripted();
  welcome([chat(3, 10)]);
  const loaded = session.page(3, { limit: 50 });
  await settled();
  const first = take('GetEvents');
  push(message(3, 12));
  push({ packet_type: 'Limited', chat_id: 3, from: 11, head: 40 });
  push({ packet_type: 'Events', request_id: first.request_id, chat_id: 3, events: [message(3, 10)], has_more: true, as_of: 10 });
  await settled();
  assert.equal(store.events(3, 10, 10)[0], undefined);
  push({ packet_type: 'Events', request_id: take('GetEvents').request_id, chat_id: 3, events: [message(3, 10, { content: 'new' })], has_more: true, as_of: 40 });
  await loaded;
  assert.equal(store.events(3, 10, 10)[0]?.message?.content, 'new');
});

test('session_discards_chat_after_reset', async () => {
  const { welcome, take, push, store, session } = scripted();
  welcome([chat(3, 10), chat(4, 1)]);
  const loaded = session.page(3, {});
  await settled();
  push({ packet_type: 'Events', request_id: take('GetEvents').request_id, chat_id: 3, events: [message(3, 10)], has_more: true, as_of: 10 });
  await loaded;
  push({ packet_type: 'Reset', chat_id: 3, head: 4 }, { packet_type: 'Reset', chat_id: 4 });
  assert.deepEqual(store.lasts(), [[3, 4]]);
  assert.deepEqual(store.timeline(3).ranges, []);
});

test('session_clears_everything_when_epoch_changes', () => {
  /** @type {number[]} */
  const cleared = [];
  const { welcome, now, store, session } = scripted({ cleared: (/** @type {number} */ epoch) => cleared.push(epoch) });
  welcome([chat(3, 10)]);
  now().events.closed();
  session.nudge();
  welcome([chat(5, 2)], { epoch: 8 });
  assert.deepEqual(cleared, [8]);
  assert.deepEqual(store.lasts(), [[5, 2]]);
});

test('session_stops_when_another_user_is_logged_in', () => {
  const { welcome, now, store, session } = scripted();
  welcome([]);
  now().events.closed();
  session.nudge();
  welcome([], { user_id: 2, username: 'bob' });
  assert.equal(store.connection().state, 'replaced');
});

test('session_keeps_requests_below_window', async () => {
  const { welcome, session, now, push } = scripted();
  welcome([]);
  const requests = Array.from({ length: 200 }, (_, n) => session.request({ packet_type: 'Typing', chat_id: n }));
  const written = () => now().sent.filter((/** @type {any} */ packet) => packet.packet_type === 'Typing');
  assert.ok(written().length < 64, `${written().length} in flight`);
  for (let n = 0; n < 200; n += 1) push({ packet_type: 'Ack', success: true, request_id: written()[n].request_id });
  await Promise.all(requests);
  assert.equal(written().length, 200);
});

test('session_fails_requests_when_connection_ends', async () => {
  const { welcome, session, now } = scripted();
  welcome([]);
  const request = session.request({ packet_type: 'Typing', chat_id: 1 });
  now().events.closed();
  await assert.rejects(request, { code: 'offline' });
  await assert.rejects(session.request({ packet_type: 'Typing', chat_id: 1 }), { code: 'offline' });
});

test('session_requests_unknown_users_in_one_batch', async () => {
  const { welcome, store, take, push } = scripted();
  welcome([]);
  assert.equal(store.user(5).missing, true);
  store.user(6);
  await settled();
  const asked = take('GetUsers');
  assert.deepEqual(asked.user_ids, [5, 6]);
  push({ packet_type: 'Users', request_id: asked.request_id, people: [{ id: 5, username: 'eve', display_name: 'Eve' }] });
  await settled();
  assert.equal(store.user(5).username, 'eve');
  assert.equal(store.user(6).missing, true);
  await settled();
  assert.equal(take('GetUsers'), undefined);
});

test('session_sends_status_with_growing_versions', async () => {
  const { welcome, session, take, push, now } = scripted();
  welcome([]);
  const first = session.setStatus('away');
  const away = take('Status');
  push({ packet_type: 'Ack', success: true, request_id: away.request_id });
  await first;
  void session.setStatus('online').catch(() => {});
  const online = take('Status');
  assert.ok(online.version > away.version);
  void session.setStatus('away').catch(() => {});
  now().events.closed();
  session.nudge();
  now().events.opened();
  assert.equal(take('Hello').status, 'away');
});

test('page_covers_what_server_read', () => {
  const page = (/** @type {any} */ range, /** @type {number[]} */ seqs, /** @type {boolean} */ has_more, as_of = 100) => coveredRange(range, /** @type {any} */ ({ events: seqs.map((seq) => ({ seq })), has_more, as_of }));
  assert.deepEqual(page({}, [51, 100], true), { from: 51, to: 100 });
  assert.deepEqual(page({}, [4, 100], false), { from: 1, to: 100 });
  assert.deepEqual(page({ before_seq: 51 }, [20, 50], true), { from: 20, to: 50 });
  assert.deepEqual(page({ before_seq: 500 }, [90, 100], true), { from: 90, to: 100 });
  assert.deepEqual(page({ after_seq: 10 }, [11, 60], true), { from: 11, to: 60 });
  assert.deepEqual(page({ after_seq: 10 }, [11, 60], false), { from: 11, to: 100 });
  assert.deepEqual(page({ after_seq: 10, before_seq: 20 }, [], false), { from: 11, to: 19 });
  assert.deepEqual(page({ before_seq: 1 }, [], false), { from: 1, to: 0 });
});

test('users_and_avatars_change_when_the_server_announces_it', async () => {
  const { welcome, take, push, store } = scripted();
  welcome([chat(3, 10)]);
  store.apply({ type: 'users', users: [{ id: 2, username: 'bob', display_name: 'Bob' }] });
  push({ packet_type: 'Users', people: [{ id: 2, username: 'bob', display_name: 'Bob', avatar: 'a1' }, { id: 9, username: 'eve', display_name: 'Eve' }] });
  assert.equal(store.user(2).avatar, 'a1');
  assert.deepEqual(store.users().map(({ id }) => id), [2], 'nobody needs the other user');
  push({ packet_type: 'Users', people: [{ id: 1, username: 'alice', display_name: 'Alice', avatar: 'b1' }] });
  assert.deepEqual([store.me.display_name, store.me.avatar], ['Alice', 'b1']);
  push({ packet_type: 'ChatAvatar', chat_id: 3, avatar: 'c1' });
  assert.equal(store.chat(3)?.avatar, 'c1');
  push({ packet_type: 'ChatAvatar', chat_id: 3 });
  assert.equal(store.chat(3)?.avatar, undefined);
  await settled();
  assert.equal(take('GetUsers'), undefined);
});

test('older_answers_do_not_replace_announced_users_and_avatars', async () => {
  const { welcome, take, push, store } = scripted();
  welcome([chat(3, 10)], { has_more: true });
  const list = take('GetChats');
  assert.equal(store.user(2).missing, true);
  await settled();
  const asked = take('GetUsers');
  push({ packet_type: 'Users', people: [{ id: 2, username: 'bob', display_name: 'Bob', avatar: 'a2' }] });
  push({ packet_type: 'ChatAvatar', chat_id: 3, avatar: 'c2' });
  push({ packet_type: 'Users', request_id: asked.request_id, people: [{ id: 2, username: 'bob', display_name: 'Bob', avatar: 'a1' }] });
  push({ packet_type: 'Chats', request_id: list.request_id, chats: [chat(3, 10, { avatar: 'c1' }), chat(4, 2)], has_more: false });
  await settled();
  assert.deepEqual([store.user(2).avatar, store.chat(3)?.avatar, store.chat(4)?.avatar], ['a2', 'c2', undefined]);
  assert.equal(take('GetUsers'), undefined);
});

test('avatar_of_a_chat_that_is_not_listed_yet_is_requested', async () => {
  const { welcome, take, push, store, clock } = scripted();
  welcome([chat(3, 10)], { has_more: true });
  const list = take('GetChats');
  push({ packet_type: 'ChatAvatar', chat_id: 4, avatar: 'd1' });
  push({ packet_type: 'Chats', request_id: list.request_id, chats: [chat(4, 2)], has_more: false });
  await clock.run(1000);
  const again = take('GetChats');
  assert.equal(again.after_chat_id, 3);
  push({ packet_type: 'Chats', request_id: again.request_id, chats: [chat(4, 2, { avatar: 'd1' })], has_more: false });
  await settled();
  assert.equal(store.chat(4)?.avatar, 'd1');
});

test('users_of_the_page_are_requested_again', async () => {
  const { welcome, take, store } = scripted();
  store.apply({ type: 'users', users: [{ id: 2, username: 'bob', display_name: 'Bob' }] });
  welcome([chat(3, 10)]);
  assert.equal(store.user(2).display_name, 'Bob');
  await settled();
  assert.deepEqual(take('GetUsers').user_ids, [2]);
});

test('users_are_requested_again_after_a_connection_that_was_lost', async () => {
  const { welcome, take, push, store, now, clock } = scripted();
  welcome([chat(3, 10)]);
  store.apply({ type: 'users', users: [{ id: 2, username: 'bob', display_name: 'Bob' }, { id: 5, username: 'eve', display_name: 'Eve' }] });
  now().events.closed();
  await clock.run(2000);
  welcome([chat(3, 10)]);
  assert.equal(store.user(2).display_name, 'Bob', 'the known state is shown meanwhile');
  await settled();
  const asked = take('GetUsers');
  assert.deepEqual(asked.user_ids, [2], 'only users that a view needs');
  push({ packet_type: 'Users', request_id: asked.request_id, people: [{ id: 2, username: 'bob', display_name: 'Bob', avatar: 'a1' }] });
  await settled();
  assert.equal(store.user(2).avatar, 'a1');
  await settled();
  assert.equal(take('GetUsers'), undefined);
  push({ packet_type: 'Limited' });
  assert.equal(store.user(2).avatar, 'a1');
  await settled();
  assert.deepEqual(take('GetUsers').user_ids, [2]);
});
