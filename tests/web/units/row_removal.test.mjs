// Deletions that can be undone, and those that outlive the page.
import test from 'node:test';
import assert from 'node:assert/strict';
import { keepRemovals, removeLater, resendRemovals, sendRemovals, undoRemoval } from '../../../web/js/chat/row_removal.js';
import { isRemoving } from '../../../web/js/chat/row_state.js';
import { settled, sharedStorage } from './fake.mjs';

/** @param {any} t @param {number} status of the answers over HTTP; 0: none */
function placeWith(t, status) {
  const storage = sharedStorage();
  const place = { epoch: 7, state: 'online', sent: /** @type {any[]} */ ([]), storage, status };
  const store = /** @type {any} */ ({ message: () => ({ chat_id: 3 }), connection: () => ({ state: place.state }) });
  keepRemovals({ store, local: storage.tab(), space: () => `${place.epoch}:1` });
  t.mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {any} */ options) => {
    place.sent.push([path, options]);
    if (!place.status) throw new Error('offline');
    return { ok: place.status < 300, status: place.status };
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  return place;
}

test('deletion_cannot_be_undone_once_it_is_sent', async (t) => {
  placeWith(t, 200);
  /** @type {() => void} */
  let answer = () => {};
  removeLater(1, () => new Promise((done) => { answer = () => done(undefined); }));
  assert.equal(isRemoving(1), 'waits');
  undoRemoval(1);
  assert.equal(isRemoving(1), undefined);
  removeLater(1, () => new Promise((done) => { answer = () => done(undefined); }));
  t.mock.timers.tick(5000);
  undoRemoval(1);
  assert.equal(isRemoving(1), 'sent');
  answer();
  await settled();
  t.mock.timers.tick(2000);
  assert.equal(isRemoving(1), undefined);
});

test('deletion_is_sent_when_the_page_is_left', async (t) => {
  const place = placeWith(t, 204);
  removeLater(2, async () => assert.fail('sent twice'));
  sendRemovals();
  sendRemovals();
  assert.deepEqual([...place.storage.values], [['removal:7:1:2', '3']]);
  assert.equal(place.sent.length, 1);
  const [path, { method, keepalive, headers }] = place.sent[0];
  assert.deepEqual([path, method, keepalive, headers['X-NetBit-Web']], ['/api/chats/3/messages/2', 'DELETE', true, '1']);
  await settled();
  assert.equal(place.storage.values.size, 0);
  t.mock.timers.tick(5000);
});

test('deletion_is_kept_until_the_server_answers', async (t) => {
  const place = placeWith(t, 0);
  removeLater(4, () => Promise.reject({ code: 'offline' }));
  t.mock.timers.tick(5000);
  await settled();
  assert.equal(isRemoving(4), 'sent');
  assert.equal(place.storage.values.size, 1);
  resendRemovals();
  await settled();
  assert.equal(place.storage.values.size, 1);
  place.status = 404;
  resendRemovals();
  await settled();
  t.mock.timers.tick(1);
  assert.equal(place.storage.values.size, 0);
  assert.equal(isRemoving(4), undefined);
});

test('deletion_of_another_history_or_user_is_not_sent', (t) => {
  const place = placeWith(t, 204);
  place.storage.values.set('removal:6:1:5', '3').set('removal:7:2:6', '3');
  resendRemovals();
  assert.deepEqual([place.sent.length, [...place.storage.values.keys()]], [0, ['removal:7:2:6']]);
});

test('deletion_that_is_refused_shows_the_message_again', async (t) => {
  const place = placeWith(t, 204);
  removeLater(8, () => Promise.reject({ code: 'forbidden' }));
  t.mock.timers.tick(5000);
  await settled();
  t.mock.timers.tick(1);
  assert.equal(isRemoving(8), undefined);
  assert.equal(place.storage.values.size, 0);
});
