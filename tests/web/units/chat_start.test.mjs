import test from 'node:test';
import assert from 'node:assert/strict';
import { applyPageState } from '../../../web/js/chat/connection.js';
import { createStore } from '../../../web/js/chat/store.js';

const AT = '2026-05-05T12:00:00Z';
const message = (/** @type {number} */ seq) => ({ chat_id: 3, seq, kind: 'message', actor_id: 2, created_at: AT, message: { id: seq, chat_id: 3, seq, sender_id: 2, content: `m${seq}`, created_at: AT } });

/** @param {number} last @param {any} open */
function startedWith(last, open) {
  const me = { id: 1, username: 'alice', display_name: 'Alice' };
  const store = createStore({ now: () => 0, me });
  const chats = /** @type {any} */ ([{ id: 3, kind: 'direct', peer: 'bob', last_seq: last, read_seq: 1, unread_count: 4 }]);
  applyPageState(store, { me, epoch: 7, version: '1', chats, has_more: false, users: [{ id: 2, username: 'bob', display_name: 'Bob' }], open });
  return store;
}

test('state_of_page_is_shown_before_the_session', () => {
  const store = startedWith(10, { chat_id: 3, events: [message(9), message(10)], has_more: true });
  assert.equal(store.me.username, 'alice');
  assert.equal(store.unread(3).count, 4);
  assert.equal(store.peer(3), 2);
  assert.deepEqual(store.timeline(3), { ranges: [{ from: 9, to: 10 }], last: 10, first_known: 1 });
  assert.deepEqual(store.needs.users.size, 0);
});

test('events_of_page_above_its_list_are_pushed_again', () => {
  const store = startedWith(9, { chat_id: 3, events: [message(8), message(9), message(10)], has_more: false });
  assert.deepEqual(store.timeline(3).ranges, [{ from: 1, to: 9 }]);
});

test('events_of_page_below_its_list_are_not_taken', () => {
  const store = startedWith(11, { chat_id: 3, events: [message(9), message(10)], has_more: true });
  assert.deepEqual(store.timeline(3).ranges, []);
});

test('page_without_open_chat_has_the_list', () => {
  const store = startedWith(11, null);
  assert.equal(store.chats().length, 1);
});
