import assert from 'node:assert/strict';
import test from 'node:test';
import { rolesToGive } from '../../../web/js/chat/people.js';
import { threadOf } from '../../../web/js/chat/thread.js';

test('roles_to_give_stay_below_own_role', () => {
  const group = /** @type {const} */ ({ kind: 'group' });
  assert.deepEqual(rolesToGive(group, 'owner', 'member'), ['owner', 'admin', 'member']);
  assert.deepEqual(rolesToGive(group, 'admin', 'member'), ['admin', 'member']);
  assert.deepEqual(rolesToGive(group, 'admin', 'owner'), []);
  assert.deepEqual(rolesToGive(group, 'member', 'member'), []);
  assert.deepEqual(rolesToGive(group, undefined, 'member'), []);
});

test('roles_of_readers_exist_in_free_channels_only', () => {
  assert.ok(rolesToGive({ kind: 'channel' }, 'owner', 'member').includes('reader'));
  assert.deepEqual(rolesToGive({ kind: 'channel', project_id: 1 }, 'owner', 'member'), []);
  assert.deepEqual(rolesToGive({ kind: 'direct' }, 'owner', 'member'), []);
});

test('thread_has_its_first_message_and_replies_in_order', () => {
  const message = (/** @type {number} */ id, /** @type {number} */ seq, /** @type {number} */ thread_id) => /** @type {any} */ ({ id, seq, thread_id });
  const all = [message(9, 30, 5), message(5, 10, 0), message(7, 20, 5), message(8, 25, 6)];
  assert.deepEqual(threadOf(all, 5).map((found) => found.id), [5, 7, 9]);
});
