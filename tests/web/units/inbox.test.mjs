import assert from 'node:assert/strict';
import test from 'node:test';
import { noticesToShow } from '../../../web/js/chat/desktop.js';
import { countedTitle } from '../../../web/js/page/inbox.js';
import { excerptsWanted, firstLine, groupNotices, noticeHref, reasonOf } from '../../../web/js/chat/inbox_groups.js';

/** @returns {any} */
const notice = (/** @type {number} */ id, /** @type {string} */ kind, more = {}) => ({ id, kind, text: 'x', created_at: '2026-11-29T10:00:00Z', ...more });
const name = (/** @type {number} */ id) => `chat ${id}`;

test('notices_are_grouped_by_chat_or_repository', () => {
  const all = [notice(5, 'push', { chat_id: 3, seq: 9, repository: 'alice/hello/web' }), notice(4, 'mention', { chat_id: 1, seq: 7 }), notice(3, 'account'), notice(2, 'reply', { chat_id: 1, seq: 2, read_at: 'x' })];
  const shape = (/** @type {any[]} */ groups) => groups.map((group) => [group.title, group.href, ...group.notices.map((/** @type {any} */ one) => one.id)]);
  assert.deepEqual(shape(groupNotices(all, name, false)), [['alice/hello/web', '/alice/hello/web', 5], ['chat 1', '/chat/1', 4, 2], ['Your account', '/settings/tokens', 3]]);
  assert.deepEqual(shape(groupNotices(all, name, true))[1], ['chat 1', '/chat/1', 4]);
});

test('every_kind_states_its_reason', () => {
  for (const kind of ['mention', 'direct', 'reply', 'thread', 'added', 'push', 'account']) assert.match(reasonOf(notice(1, kind)), /^[A-Z].*\.$/, kind);
  assert.equal(reasonOf(notice(1, 'push', { repository: 'alice/hello/web', reason: 'watch' })), 'You watch alice/hello.');
  assert.equal(reasonOf(notice(1, 'push', { reason: 'named' })), 'A commit names you.');
  assert.equal(reasonOf(notice(1, 'later kind')), '');
});

test('notice_leads_to_its_message', () => {
  assert.equal(noticeHref(notice(1, 'mention', { chat_id: 7, seq: 1234 })), '/chat/7/1234');
  assert.equal(noticeHref(notice(1, 'added', { chat_id: 7 })), '/chat/7');
  assert.equal(noticeHref(notice(1, 'account')), '/settings/tokens');
});

test('desktop_notices_skip_old_read_and_visible_ones', () => {
  const all = [notice(9, 'mention', { chat_id: 1 }), notice(8, 'direct', { chat_id: 2 }), notice(7, 'push', { chat_id: 3, read_at: 'x' }), notice(6, 'account'), notice(3, 'reply', { chat_id: 2 })];
  assert.deepEqual(noticesToShow(all, 5, 1).map((one) => one.id), [6, 8]);
  assert.deepEqual(noticesToShow(all, 5, undefined).map((one) => one.id), [6, 8, 9]);
  assert.equal(noticesToShow(Array.from({ length: 50 }, (_, at) => notice(100 - at, 'mention')), 0, undefined).length, 5);
});

test('title_of_a_page_has_the_number_once', () => {
  assert.equal(countedTitle('People · NetBit', 3), '(3) People · NetBit');
  assert.equal(countedTitle('(3) People · NetBit', 12), '(9+) People · NetBit');
  assert.equal(countedTitle('(9+) People · NetBit', 0), 'People · NetBit');
});

test('messages_of_shown_notices_are_wanted_once_per_chat', () => {
  const all = [notice(5, 'direct', { chat_id: 3, seq: 9, message_id: 90 }), notice(4, 'mention', { chat_id: 3, seq: 7, message_id: 70 }), notice(3, 'push', { chat_id: 1, seq: 7, message_id: 60 }),
    notice(2, 'reply', { chat_id: 1, seq: 2, message_id: 20 }), notice(1, 'direct', { chat_id: 2, seq: 2, message_id: 10 })];
  assert.deepEqual([...excerptsWanted(all, (id) => id === 20, 4)], [[3, { before: 10, ids: [90, 70] }]]);
  assert.equal(firstLine('\n  two  words \nnext'), 'two words');
  assert.equal(firstLine(''), '');
});
