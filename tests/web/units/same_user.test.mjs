// Two tabs of a browser, and the login of another user. The API stays ended, so this is a file of
// its own.
import test from 'node:test';
import assert from 'node:assert/strict';
import { publishUser, watchUser } from '../../../web/js/chat/same_user.js';
import { barOf } from '../../../web/js/chat/state_bar.js';
import { createStore } from '../../../web/js/chat/store.js';
import { api } from '../../../web/js/kit/api.js';
import { settled, sharedStorage } from './fake.mjs';

test('tab_of_another_user_ends', async () => {
  globalThis.fetch = async () => new Response('1');
  const storage = sharedStorage();
  const store = createStore({ now: Date.now, me: { id: 1, username: 'alice', display_name: '' } });
  let stops = 0;
  const first = storage.tab();
  publishUser(first, store.me);
  watchUser(first, store, () => { stops += 1; });
  publishUser(storage.tab(), { id: 0, username: '', display_name: '' });
  publishUser(storage.tab(), store.me);
  await settled();
  assert.equal(stops, 0);
  assert.equal(await api('GET', '/api/x'), 1);
  publishUser(storage.tab(), { id: 2, username: 'bob', display_name: '' });
  await settled();
  assert.equal(stops, 1);
  const bar = barOf({ connection: store.connection(), isSlow: false, isOutdated: false, now: 0 });
  assert.deepEqual([bar?.words, bar?.action], ['You are logged in as bob in another tab.', 'reload']);
  await assert.rejects(api('GET', '/api/x'), { code: 'unauthenticated' });
});
