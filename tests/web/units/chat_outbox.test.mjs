import test from 'node:test';
import assert from 'node:assert/strict';
import { createStore } from '../../../web/js/chat/store.js';
import { OUTBOX_MESSAGES_MAX, createDrafts, createOutbox } from '../../../web/js/chat/outbox.js';
import { oldTexts, rescueDrafts, rescueUnsent } from '../../../web/js/chat/old_texts.js';
import { RequestProblem } from '../../../web/js/chat/wire.js';
import { fakeClock, settled, sharedStorage } from './fake.mjs';

const chat = /** @type {any} */ ({ id: 3, kind: 'group', name: 'three', last_seq: 10, read_seq: 10, unread_count: 0 });

/** A tab whose server is the test. */
function tabOf(storage = sharedStorage(), clock = fakeClock()) {
  const store = createStore({ now: clock.now, me: { id: 1, username: 'alice' } });
  store.apply({ type: 'chats', chats: [chat, { ...chat, id: 4, name: 'four' }], token: 0 });
  /** @type {{ packet: any, done: (answer: any) => void, failed: (problem: any) => void }[]} */
  const sent = [];
  const state = { isOnline: true };
  const local = storage.tab();
  const outbox = createOutbox({
    store, local, now: clock.now, after: clock.after, isOnline: () => state.isOnline,
    request: (packet) => new Promise((done, failed) => { sent.push({ packet, done, failed }); }),
  });
  const next = () => {
    const one = sent.shift();
    if (!one) throw new Error('nothing was sent');
    return one;
  };
  const texts = () => store.pending(3).map(({ content, state: now, error }) => [content, now, error?.code]);
  return { store, outbox, sent, state, storage, clock, local, next, texts };
}

test('outbox_sends_messages_of_a_chat_one_after_another', async () => {
  const { outbox, sent, next, store } = tabOf();
  outbox.open(7, 1);
  const ids = [outbox.add(3, 'a'), outbox.add(3, 'b'), outbox.add(4, 'c')];
  assert.deepEqual(sent.map(({ packet }) => packet.message.content), ['a', 'c']);
  assert.deepEqual(store.pending(3).map((item) => item.client_id), ids.slice(0, 2));
  next().done({ success: true, message_id: 1, seq: 11 });
  await settled();
  assert.deepEqual(sent.map(({ packet }) => packet.message.content), ['c', 'b']);
});

test('acknowledged_message_stays_until_its_event_arrives', async () => {
  const { outbox, next, store, storage, texts } = tabOf();
  outbox.open(7, 1);
  const id = outbox.add(3, 'a', { reply_to: 5, metadata: { x: 1 } });
  const { packet, done } = next();
  assert.deepEqual(packet.message, { client_id: id, content: 'a', reply_to: 5, metadata: { x: 1 } });
  done({ success: true, message_id: 1, seq: 11 });
  await settled();
  assert.equal(storage.values.size, 0);
  assert.deepEqual(texts(), [['a', 'sending', undefined]]);
  const message = { id: 1, chat_id: 3, seq: 11, sender_id: 1, client_id: id, content: 'a', created_at: '2026-05-05T12:00:00Z' };
  store.apply({ type: 'event', event: { chat_id: 3, seq: 11, kind: 'message', actor_id: 1, created_at: message.created_at, message } });
  assert.deepEqual(texts(), []);
});

test('files_of_a_message_survive_a_reload', () => {
  const { outbox, storage, clock, next } = tabOf();
  outbox.open(7, 1);
  const files = [{ id: 9, name: 'a.png', size: 3, type: 'image/png', w: 1, h: 1 }];
  const id = outbox.add(3, '', { files });
  assert.deepEqual(next().packet.message, { client_id: id, content: '', reply_to: undefined, metadata: undefined, files: [9] });
  const again = tabOf(storage, clock);
  again.outbox.open(7, 1);
  assert.deepEqual(again.store.pending(3)[0].files, files);
  assert.deepEqual(again.next().packet.message.files, [9]);
});

test('event_before_ack_ends_pending_message', async () => {
  const { outbox, next, store, texts, storage } = tabOf();
  outbox.open(7, 1);
  const id = outbox.add(3, 'a');
  const message = { id: 1, chat_id: 3, seq: 11, sender_id: 1, client_id: id, content: 'a', created_at: '2026-05-05T12:00:00Z' };
  store.apply({ type: 'event', event: { chat_id: 3, seq: 11, kind: 'message', actor_id: 1, created_at: message.created_at, message } });
  assert.deepEqual(texts(), []);
  next().done({ success: true, message_id: 1, seq: 11 });
  await settled();
  assert.equal(storage.values.size, 0);
});

test('lost_ack_is_sent_again_with_same_client_id', async () => {
  const { outbox, next, sent, state, texts } = tabOf();
  outbox.open(7, 1);
  const id = outbox.add(3, 'a');
  state.isOnline = false;
  next().failed(new RequestProblem('offline', 'lost'));
  await settled();
  outbox.add(3, 'b');
  assert.equal(sent.length, 0);
  assert.deepEqual(texts(), [['a', 'sending', undefined], ['b', 'sending', undefined]]);
  state.isOnline = true;
  outbox.open(7, 1);
  assert.equal(next().packet.message.client_id, id);
});

test('unsent_messages_survive_reload_in_order', () => {
  const first = tabOf();
  first.outbox.open(7, 1);
  first.state.isOnline = false;
  ['a', 'b', 'c'].forEach((text) => first.outbox.add(3, text));
  const second = tabOf(first.storage, first.clock);
  second.outbox.open(7, 1);
  assert.deepEqual(second.texts().map(([text]) => text), ['a', 'b', 'c']);
  assert.equal(second.next().packet.message.content, 'a');
});

test('refused_message_waits_as_long_as_server_asks', async () => {
  const { outbox, next, sent, clock, store } = tabOf();
  outbox.open(7, 1);
  outbox.add(3, 'a');
  next().failed(new RequestProblem('rate_limited', 'slow down', 5000));
  await settled();
  assert.equal((store.pending(3)[0]?.retry_at ?? 0) - clock.now(), 5000);
  await clock.run(4900);
  assert.equal(sent.length, 0);
  await clock.run(200);
  assert.equal(next().packet.message.content, 'a');
});

test('unknown_outcome_is_tried_more_and_more_slowly', async () => {
  const { outbox, next, clock, sent } = tabOf();
  outbox.open(7, 1);
  const id = outbox.add(3, 'a');
  const waits = [];
  for (let tries = 0; tries < 8; tries += 1) {
    const one = next();
    assert.equal(one.packet.message.client_id, id);
    one.failed(new RequestProblem('internal', 'failed'));
    const begun = clock.now();
    while (sent.length === 0) await clock.run(250);
    waits.push(clock.now() - begun);
  }
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
});

test('failed_message_keeps_text_and_lets_later_ones_pass', async () => {
  const { outbox, next, texts, storage, clock } = tabOf();
  outbox.open(7, 1);
  outbox.add(3, 'a');
  outbox.add(3, 'b');
  next().failed(new RequestProblem('forbidden', 'the chat is archived'));
  await settled();
  assert.deepEqual(texts(), [['a', 'failed', 'forbidden'], ['b', 'sending', undefined]]);
  assert.equal(next().packet.message.content, 'b');
  const again = tabOf(storage, clock);
  again.outbox.open(7, 1);
  assert.deepEqual(again.texts()[0], ['a', 'failed', 'forbidden']);
  assert.equal(again.next().packet.message.content, 'b');
});

test('retry_keeps_client_id_unless_it_is_used', async () => {
  const { outbox, next, texts, storage } = tabOf();
  outbox.open(7, 1);
  const id = outbox.add(3, 'a');
  next().failed(new RequestProblem('forbidden', 'no'));
  await settled();
  outbox.retry(id);
  const second = next();
  assert.equal(second.packet.message.client_id, id);
  second.failed(new RequestProblem('client_id_reused', 'used'));
  await settled();
  assert.deepEqual(texts(), [['a', 'failed', 'client_id_reused']]);
  outbox.retry(id);
  assert.notEqual(next().packet.message.client_id, id);
  assert.equal(storage.values.size, 1);
});

test('discarded_message_is_gone_from_every_tab', async () => {
  const one = tabOf();
  const other = tabOf(one.storage, one.clock);
  one.outbox.open(7, 1);
  other.outbox.open(7, 1);
  const id = one.outbox.add(3, 'a');
  one.next().failed(new RequestProblem('forbidden', 'no'));
  await settled();
  await settled();
  assert.deepEqual(other.texts(), [['a', 'failed', 'forbidden']]);
  one.outbox.discard(id);
  await settled();
  assert.deepEqual(other.texts(), []);
  assert.equal(one.storage.values.size, 0);
});

test('other_tab_sends_message_that_stays_unsent', async () => {
  const one = tabOf();
  const other = tabOf(one.storage, one.clock);
  one.outbox.open(7, 1);
  other.outbox.open(7, 1);
  const id = one.outbox.add(3, 'a');
  await settled();
  assert.equal(other.sent.length, 0);
  await one.clock.run(31_000);
  assert.equal(other.next().packet.message.client_id, id);
});

test('texts_of_replaced_history_return_as_failed_to_the_same_name', () => {
  const { outbox, state, store, texts, storage, sent, local, clock } = tabOf();
  outbox.open(7, 1);
  state.isOnline = false;
  const id = outbox.add(3, 'a', { reply_to: 9 });
  outbox.add(9, 'of a chat without a name');
  // Ids of files have other meanings, too.
  outbox.add(3, 'with a file', { files: [{ id: 9, name: 'a.png', size: 3 }] });
  outbox.add(3, '', { files: [{ id: 10, name: 'b.png', size: 3 }] });
  state.isOnline = true;
  outbox.open(8, 1);
  rescueUnsent({ outbox, local, now: clock.now });
  assert.deepEqual(texts(), [['a', 'failed', 'history_replaced'], ['with a file', 'failed', 'history_replaced']]);
  assert.deepEqual(store.pending(3).map(({ files }) => files), [undefined, undefined]);
  assert.equal(sent.length, 0);
  assert.ok(![...storage.values.keys()].some((key) => key.endsWith(id)));
});

test('messages_of_another_user_are_not_sent', () => {
  const { outbox, state, sent, texts } = tabOf();
  outbox.open(7, 1);
  state.isOnline = false;
  outbox.add(3, 'a');
  state.isOnline = true;
  outbox.open(7, 2);
  assert.equal(sent.length, 0);
  assert.deepEqual(texts(), []);
});

test('unsent_messages_of_other_users_stay_when_the_clock_jumps', async () => {
  const { outbox, state, storage, clock, local } = tabOf();
  outbox.open(7, 1);
  state.isOnline = false;
  outbox.add(3, 'a');
  await clock.run(40 * 86_400_000);
  outbox.open(8, 2);
  rescueUnsent({ outbox, local, now: clock.now });
  assert.equal(storage.values.size, 1);
  outbox.open(8, 1);
  rescueUnsent({ outbox, local, now: clock.now });
  assert.equal(storage.values.size, 0);
});

test('message_that_is_not_stored_shows_it_until_it_is_sent', async () => {
  const { outbox, local, next, texts, sent } = tabOf();
  local.set = () => false;
  outbox.open(7, 1);
  const id = outbox.add(3, 'a');
  assert.deepEqual(texts(), [['a', 'sending', 'not_stored']]);
  next().failed(new RequestProblem('forbidden', 'no'));
  await settled();
  assert.deepEqual(texts(), [['a', 'failed', 'forbidden']]);
  outbox.retry(id);
  assert.equal(sent.length, 1);
  assert.deepEqual(texts(), [['a', 'sending', 'not_stored']]);
});

test('page_with_unstored_messages_asks_before_it_is_left', async (t) => {
  /** @type {((event: any) => void)[]} */
  const asked = [];
  const place = /** @type {any} */ (globalThis);
  place.addEventListener = (/** @type {string} */ name, /** @type {any} */ fn) => { if (name === 'beforeunload') asked.push(fn); };
  t.after(() => { delete place.addEventListener; });
  const { outbox, local, next } = tabOf();
  let count = 0;
  const leave = () => asked.forEach((fn) => fn({ preventDefault() { count += 1; } }));
  outbox.open(7, 1);
  outbox.add(3, 'a');
  next();
  leave();
  assert.equal(count, 0);
  local.set = () => false;
  outbox.add(4, 'b');
  leave();
  assert.equal(count, 1);
  next().done({ success: true, message_id: 1, seq: 0 });
  await settled();
  leave();
  assert.equal(count, 1);
});

test('outbox_refuses_messages_above_its_bound', () => {
  const { outbox, state } = tabOf();
  outbox.open(7, 1);
  state.isOnline = false;
  for (let n = 0; n < OUTBOX_MESSAGES_MAX; n += 1) outbox.add(3, 'a');
  assert.throws(() => outbox.add(3, 'a'), { code: 'overloaded' });
});

test('drafts_belong_to_chat_user_and_history', () => {
  const storage = sharedStorage();
  let space = '7:1';
  const drafts = createDrafts(storage.tab(), () => space);
  drafts.set('7:1', '3:55', { draft: 'unfinished', edit: { id: 9, text: 'edited' } });
  assert.equal(drafts.get('7:1', '3:55').draft, 'unfinished');
  assert.deepEqual(drafts.get('7:1', 3), {});
  assert.deepEqual(drafts.get('7:2', '3:55'), {});
  assert.deepEqual(drafts.get('8:1', '3:55'), {});
  space = '8:2';
  assert.deepEqual(drafts.old(), []);
  space = '8:1';
  assert.deepEqual(drafts.old(), ['draft:7:1:3:55']);
  drafts.set('7:1', '3:55', { draft: '', edit: null, title: 'three' });
  assert.equal(storage.values.size, 0);
});

test('drafts_of_replaced_history_move_to_chat_of_same_id_and_title', () => {
  const storage = sharedStorage();
  const local = storage.tab();
  const drafts = createDrafts(local, () => '8:1');
  drafts.set('7:1', 3, { draft: 'a', edit: { id: 5, text: 'edited' }, reply: { id: 6, name: 'Bob', text: 'b' }, title: 'three' });
  drafts.set('7:1', '3:55', { draft: 'in a thread', title: 'three' });
  drafts.set('7:1', 4, { draft: 'of another chat', title: 'gone' });
  drafts.set('7:2', 3, { draft: 'of another user', title: 'three' });
  drafts.set('8:1', 3, { draft: 'new' });
  const place = { drafts, local, now: Date.now, store: { chat: (/** @type {number} */ id) => ({ ...chat, id, name: id === 3 ? 'three' : 'four' }) } };
  assert.deepEqual(rescueDrafts(place), [3, 3]);
  assert.deepEqual(drafts.get('8:1', 3).draft?.split('\n').sort(), ['a', 'edited', 'in a thread', 'new']);
  assert.deepEqual([drafts.get('8:1', 3).edit, drafts.get('8:1', 3).reply], [undefined, undefined]);
  assert.deepEqual(oldTexts(place), ['of another chat']);
  rescueDrafts({ ...place, now: () => Date.now() + 31 * 86_400_000 });
  assert.deepEqual(oldTexts(place), []);
  assert.equal(drafts.get('7:2', 3).draft, 'of another user');
});
