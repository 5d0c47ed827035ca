import test from 'node:test';
import assert from 'node:assert/strict';
import { createStore, STORE_WINDOWS_MAX } from '../../../web/js/chat/store.js';
import { WINDOW_EVENTS_MAX, changedMessage, withRange, withoutRange } from '../../../web/js/chat/window.js';
import { fakeClock, settled } from './fake.mjs';

const AT = '2026-05-05T12:00:00Z';
const chat = (/** @type {number} */ id, /** @type {number} */ last, more = {}) => /** @type {any} */ ({ id, kind: 'group', name: `c${id}`, last_seq: last, read_seq: last, unread_count: 0, ...more });
const event = (/** @type {number} */ seq, /** @type {string} */ kind, more = {}, chatId = 3) => /** @type {any} */ ({ chat_id: chatId, seq, kind, actor_id: 2, created_at: AT, ...more });
const message = (/** @type {number} */ seq, more = {}, chatId = 3) => event(seq, 'message', { message: { id: chatId * 10_000 + seq, chat_id: chatId, seq, sender_id: 2, client_id: `k${seq}`, content: `m${seq}`, created_at: AT, ...more } }, chatId);
const range = (/** @type {number} */ from, /** @type {number} */ to) => Array.from({ length: to - from + 1 }, (_, n) => message(from + n));

/** A store of user 1 with chat 3, of which everything up to `last` was listed. */
function storeAt(last = 10, more = {}) {
  const clock = fakeClock();
  const store = createStore({ now: clock.now, me: { id: 1, username: 'alice' } });
  store.apply({ type: 'chats', chats: [chat(3, last, more)], token: 0 });
  const page = (/** @type {any[]} */ events, /** @type {number} */ from, /** @type {number} */ to, asOf = to) => store.apply({ type: 'page', chat_id: 3, from, to, events, as_of: asOf });
  const push = (/** @type {any[]} */ ...events) => { for (const one of events) store.apply({ type: 'event', event: one }); };
  return { store, clock, page, push };
}

test('ranges_join_and_divide', () => {
  assert.deepEqual(withRange([{ from: 1, to: 3 }, { from: 9, to: 9 }], { from: 4, to: 8 }), [{ from: 1, to: 9 }]);
  assert.deepEqual(withRange([{ from: 10, to: 12 }], { from: 1, to: 3 }), [{ from: 1, to: 3 }, { from: 10, to: 12 }]);
  assert.deepEqual(withRange([], { from: 5, to: 4 }), []);
  assert.deepEqual(withoutRange([{ from: 1, to: 9 }], { from: 3, to: 5 }), [{ from: 1, to: 2 }, { from: 6, to: 9 }]);
});

test('changes_follow_the_protocol', () => {
  const plain = message(5).message;
  const reacted = changedMessage(plain, event(6, 'react', { message_id: plain.id, emoji: '❤️' }));
  assert.deepEqual(reacted.reactions, [{ emoji: '❤️', user_ids: [2] }]);
  assert.equal(reacted.updated_seq, 6);
  assert.equal(changedMessage(reacted, event(6, 'unreact', { emoji: '❤️' })), reacted);
  assert.equal(changedMessage(reacted, event(7, 'unreact', { emoji: '❤' })).reactions, undefined);
  const pinned = changedMessage(reacted, event(8, 'pin'));
  assert.equal(pinned.pinned, true);
  const gone = changedMessage({ ...pinned, metadata: { a: 1 } }, event(9, 'delete'));
  assert.deepEqual(gone, { ...plain, content: '', deleted: true, updated_seq: 9 });
});

test('message_event_is_new_object_only_when_message_changed', () => {
  const { store, page, push } = storeAt();
  page(range(8, 10), 8, 10);
  const [first, second] = store.events(3, 8, 9);
  push(event(11, 'react', { message_id: first?.message?.id, emoji: '👍' }));
  assert.notEqual(store.events(3, 8, 8)[0], first);
  assert.equal(store.events(3, 9, 9)[0], second);
  page(range(8, 10), 8, 10);
  assert.deepEqual(store.events(3, 8, 8)[0]?.message?.reactions, [{ emoji: '👍', user_ids: [2] }]);
});

test('page_gets_changes_that_were_pushed_after_it_was_read', () => {
  const { store, page, push } = storeAt();
  store.apply({ type: 'window', chat_id: 3 });
  push(event(11, 'pin', { message_id: message(4).message.id }), event(12, 'delete', { message_id: message(5).message.id }));
  assert.equal(page(range(4, 10), 4, 10, 10), true);
  assert.equal(store.events(3, 4, 4)[0]?.message?.pinned, true);
  assert.equal(store.events(3, 5, 5)[0]?.message?.deleted, true);
  assert.deepEqual(store.timeline(3).ranges, [{ from: 4, to: 12 }]);
});

test('page_that_was_read_before_the_window_is_refused', () => {
  const { store, page, push } = storeAt();
  push(event(11, 'pin', { message_id: message(4).message.id }));
  assert.equal(page(range(4, 10), 4, 10, 10), false);
  assert.deepEqual(store.timeline(3).ranges, []);
  assert.equal(page([...range(4, 10), event(11, 'pin', { message_id: 1 })], 4, 11, 11), true);
});

test('edit_event_has_id_and_no_message', () => {
  const { store, page, push } = storeAt();
  page(range(8, 10), 8, 10);
  const edited = { ...message(9).message, content: 'new', edited_at: AT, updated_seq: 11 };
  push(event(11, 'edit', { message: edited }));
  assert.equal(store.events(3, 9, 9)[0]?.message?.content, 'new');
  assert.deepEqual(store.events(3, 11, 11), [event(11, 'edit', { message_id: edited.id })]);
  assert.equal(store.message(edited.id)?.content, 'new');
});

test('trim_removes_what_it_names_also_from_late_pages', () => {
  const { store, page, push } = storeAt();
  page(range(1, 10), 1, 10);
  push(event(11, 'trim', { to_seq: 8 }));
  assert.deepEqual(store.timeline(3).ranges, [{ from: 9, to: 11 }]);
  assert.equal(store.message(message(3).message.id), undefined);
  page(range(5, 10), 5, 10, 10);
  assert.deepEqual(store.timeline(3).ranges, [{ from: 9, to: 11 }]);
});

/** @param {import('../../../web/js/chat/store.js').Store} store @param {number} seq */
const isLoaded = (store, seq) => store.timeline(3).ranges.some(({ from, to }) => from <= seq && seq <= to);

test('window_keeps_events_near_the_reader', () => {
  const { store, page, push } = storeAt(5000);
  for (let at = 5000; at > 3000; at -= 100) page(range(at - 99, at), at - 99, at, 5000);
  for (let at = 3000; at > 2000; at -= 100) page(range(at - 99, at), at - 99, at, 5000);
  const { ranges } = store.timeline(3);
  const count = store.events(3, 1, 6000).length;
  assert.ok(count <= WINDOW_EVENTS_MAX, `${count} events`);
  assert.ok(isLoaded(store, 2001), JSON.stringify(ranges));
  assert.ok(!isLoaded(store, 5000));
  push(message(5001));
  store.apply({ type: 'focus', chat_id: 3, seq: 5001 });
  for (let seq = 5002; seq < 7500; seq += 1) push(message(seq));
  assert.ok(store.events(3, 1, 9000).length <= WINDOW_EVENTS_MAX);
  assert.ok(isLoaded(store, 7499) && !isLoaded(store, 2001));
});

test('window_keeps_messages_among_events_without_row', () => {
  for (const [on, off] of [['react', 'unreact'], ['pin', 'unpin']]) {
    const { store, page, push } = storeAt(2620);
    const id = message(120).message.id;
    const all = [...range(1, 120), ...Array.from({ length: 2500 }, (_, n) => event(121 + n, n % 2 ? off : on, { message_id: id, emoji: 'x' }))];
    for (let to = 2620; to > 0; to -= 50) page(all.slice(Math.max(0, to - 50), to), Math.max(1, to - 49), to, 2620);
    assert.deepEqual(store.timeline(3).ranges, [{ from: 1, to: 2620 }]);
    assert.equal(store.events(3, 1, 120).length, 120);
    for (let seq = 2621; seq < 5200; seq += 1) push(event(seq, seq % 2 ? off : on, { message_id: id, emoji: 'x' }));
    assert.deepEqual(store.timeline(3).ranges, [{ from: 1, to: 5199 }]);
    assert.ok(store.events(3, 1, 6000).length <= WINDOW_EVENTS_MAX);
  }
});

test('window_keeps_what_the_timeline_shows', () => {
  const { store, page, push } = storeAt(400);
  page(range(301, 400), 301, 400);
  store.show(3, 310, 390);
  for (let seq = 401; seq < 3000; seq += 1) push(message(seq));
  assert.ok(isLoaded(store, 310) && isLoaded(store, 390));
  store.show(3, 2900, 2999);
  for (let seq = 3000; seq < 6000; seq += 1) { push(message(seq)); store.show(3, seq - 99, seq); }
  assert.ok(isLoaded(store, 5900) && isLoaded(store, 5999));
});

test('typing_ends_when_wall_clock_goes_back', () => {
  let [wall, steady] = [1e12, 0];
  const store = createStore({ now: () => wall, clock: () => steady, me: { id: 1, username: 'alice' } });
  store.apply({ type: 'chats', chats: [chat(3, 1)], token: 0 });
  store.apply({ type: 'typing', chat_id: 3, user_id: 2 });
  wall -= 3_600_000;
  assert.deepEqual(store.typing(3), [2]);
  steady = 6050;
  assert.deepEqual(store.typing(3), []);
});

test('store_keeps_windows_of_chats_used_last', () => {
  const { store } = storeAt();
  for (let id = 1; id <= 60; id += 1) {
    store.apply({ type: 'chats', chats: [chat(id, 10)], token: 0 });
    store.apply({ type: 'page', chat_id: id, from: 10, to: 10, events: [message(10, {}, id)], as_of: 10 });
  }
  assert.equal(Array.from({ length: 60 }, (_, at) => store.hasWindow(at + 1)).filter(Boolean).length, STORE_WINDOWS_MAX);
  assert.deepEqual(store.timeline(60).ranges, [{ from: 10, to: 10 }]);
  assert.deepEqual(store.timeline(1).ranges, []);
});

test('unread_counts_messages_of_others_and_deletions', () => {
  const { store, push } = storeAt();
  push(message(11), message(12), message(13, { sender_id: 1 }), event(14, 'react', { message_id: 1, emoji: '👍' }));
  assert.equal(store.unread(3).count, 2);
  assert.equal(store.chat(3)?.read_seq, 10);
  push(event(15, 'delete', { message_id: message(12).message.id }));
  assert.equal(store.unread(3).count, 1);
  store.apply({ type: 'marks', chat_id: 3, marks: [{ user_id: 1, read_seq: 15, delivered_seq: 15 }], unread_count: 0 });
  assert.deepEqual([store.unread(3).count, store.chat(3)?.read_seq], [0, 15]);
  push(message(16, { sender_id: 1 }));
  assert.equal(store.chat(3)?.read_seq, 16);
});

test('replay_does_not_count_what_the_list_counted', () => {
  const { store, push } = storeAt(10);
  store.apply({ type: 'chats', chats: [chat(3, 14, { read_seq: 10, unread_count: 2 })], token: 0 });
  push(message(11), message(12), message(13, { deleted: true, content: '', updated_seq: 14 }), event(14, 'delete', { message_id: message(13).message.id }), message(15));
  assert.equal(store.unread(3).count, 3);
});

test('list_counts_messages_that_are_deleted_after_it', () => {
  const { store, push } = storeAt(10);
  store.apply({ type: 'chats', chats: [chat(3, 13, { read_seq: 10, unread_count: 3 })], token: 0 });
  push(message(11), message(12), message(13, { deleted: true, content: '', updated_seq: 14 }));
  assert.equal(store.unread(3).count, 3);
  push(event(14, 'delete', { message_id: message(13).message.id }));
  assert.equal(store.unread(3).count, 2);
});

test('list_that_is_older_than_pushes_gets_their_effects', () => {
  const { store, push } = storeAt(10);
  push(message(11), message(12), event(13, 'rename', { name: 'new name' }));
  store.apply({ type: 'chats', chats: [chat(3, 11, { read_seq: 10, unread_count: 1 })], token: 0 });
  assert.equal(store.unread(3).count, 2);
  assert.equal(store.chat(3)?.name, 'new name');
});

test('deletion_of_unknown_unread_message_is_counted_by_server', () => {
  const { store, push } = storeAt(10, { read_seq: 5, unread_count: 4 });
  push(event(11, 'delete', { message_id: 77 }));
  assert.deepEqual([...store.needs.counts], [3]);
});

test('hidden_chat_is_shown_by_its_next_message', () => {
  const { store, push } = storeAt(10, { hidden: true });
  assert.deepEqual(store.chats(), []);
  assert.ok(store.chat(3));
  push(event(11, 'role', { user_id: 2, role: 'admin' }));
  assert.deepEqual(store.chats(), []);
  push(message(12));
  assert.equal(store.chats().length, 1);
});

test('presence_keeps_largest_version_and_ends_with_session', () => {
  const { store } = storeAt();
  store.apply({ type: 'presence', users: [{ user_id: 2, status: 'online', version: 5 }] });
  store.apply({ type: 'presence', users: [{ user_id: 2, status: 'away', version: 4 }] });
  assert.equal(store.presence(2), 'online');
  store.apply({ type: 'session_over' });
  assert.equal(store.presence(2), 'offline');
});

test('typing_that_arrives_after_its_message_is_not_shown', () => {
  let steady = 1000;
  const store = createStore({ now: () => 1e12, clock: () => steady, me: { id: 1, username: 'alice' } });
  store.apply({ type: 'chats', chats: [chat(3, 1), chat(4, 1)], token: 0 });
  const types = (/** @type {number} */ chatId, /** @type {number} */ user) => store.apply({ type: 'typing', chat_id: chatId, user_id: user });
  store.apply({ type: 'event', event: message(2) });
  steady = 1500;
  types(3, 2);
  assert.deepEqual(store.typing(3), []);
  types(3, 5);
  types(4, 2);
  assert.deepEqual([store.typing(3), store.typing(4)], [[5], [2]], 'other users and chats');
  steady = 2600;
  types(3, 2);
  assert.deepEqual(store.typing(3).toSorted(), [2, 5]);
});

test('typing_ends_after_6_s_and_with_the_message', async () => {
  const { store, clock, push } = storeAt();
  const types = (/** @type {number} */ id) => store.apply({ type: 'typing', chat_id: 3, user_id: id });
  types(2);
  types(1);
  assert.deepEqual(store.typing(3), [2]);
  await clock.run(6000);
  assert.deepEqual(store.typing(3), []);
  types(2);
  push(message(11));
  assert.deepEqual(store.typing(3), []);
});

test('notifications_are_read_by_id_chat_and_all', () => {
  const { store, push } = storeAt();
  const notice = (/** @type {number} */ id, more = {}) => store.apply({ type: 'notification', notification: { id, kind: 'mention', chat_id: 3, message_id: 30_000 + id, seq: id, text: 't', created_at: AT, ...more } });
  [11, 12, 13, 14].forEach((id) => notice(id));
  notice(15, { kind: 'added' });
  assert.equal(store.notificationsUnread(), 5);
  assert.equal(store.unread(3).mentions, 4);
  store.apply({ type: 'notifications_read', notification_id: 14, read_at: AT });
  store.apply({ type: 'notifications_read', chat_id: 3, seq: 11, read_at: AT });
  assert.equal(store.unread(3).mentions, 2);
  push(...range(11, 12), event(13, 'delete', { message_id: 30_012 }));
  assert.equal(store.unread(3).mentions, 1);
  assert.deepEqual(store.notifications().map(({ id }) => id), [15, 14, 13, 11]);
  store.apply({ type: 'notifications_read', read_at: AT });
  assert.equal(store.notificationsUnread(), 0);
  push(event(14, 'trim', { to_seq: 12 }));
  assert.equal(store.needs.notices, true);
});

test('list_of_notifications_keeps_what_was_pushed_meanwhile', () => {
  const { store } = storeAt();
  const one = (/** @type {number} */ id) => ({ id, kind: 'mention', text: 't', created_at: AT });
  [1, 2].forEach((id) => store.apply({ type: 'notification', notification: one(id) }));
  store.apply({ type: 'notifications_read', notification_id: 2, read_at: AT });
  store.apply({ type: 'notification', notification: one(3) });
  store.apply({ type: 'notifications', items: [one(2)], newest: 2, has_more: false });
  assert.deepEqual(store.notifications().map(({ id, read_at: at }) => [id, at]), [[3, undefined], [2, AT]]);
});

test('subscribers_get_changes_once_a_microtask', async () => {
  const { store, push } = storeAt();
  await settled();
  /** @type {Set<string>[]} */
  const sets = [];
  const off = store.subscribe((changes) => sets.push(changes));
  push(message(11), message(12));
  assert.equal(sets.length, 0);
  await settled();
  assert.deepEqual([...sets[0] ?? []].sort(), ['chat:3', 'chats']);
  off();
  push(message(13));
  await settled();
  assert.equal(sets.length, 1);
});

test('peer_is_known_by_name_of_loaded_user', () => {
  const { store } = storeAt(10, { kind: 'direct', name: undefined, peer: 'bob' });
  assert.equal(store.peer(3), undefined);
  store.apply({ type: 'presence', users: [{ user_id: 2, status: 'online', version: 1 }] });
  assert.deepEqual([...store.needs.users], [2]);
  store.apply({ type: 'users', users: [{ id: 2, username: 'bob', display_name: '' }], asked: [2] });
  assert.equal(store.peer(3), 2);
});
