import assert from 'node:assert/strict';
import test from 'node:test';
import { neighbour } from '../../../web/js/chat/neighbour.js';
import { arrange, filtered, wantsAttention } from '../../../web/js/chat/sections.js';

/** @returns {any} */
const chat = (/** @type {number} */ id, /** @type {string} */ kind, /** @type {string} */ name, more = {}) => ({ id, kind, ...(kind === 'direct' ? { peer: name } : { name }), ...more });
const CHATS = [chat(1, 'group', 'dev'), chat(2, 'direct', 'bob'), chat(3, 'channel', 'alice/hello', { project_id: 9 }), chat(4, 'channel', 'random'), chat(5, 'direct', 'Alice'), chat(6, 'group', 'Art', { notify: 'none' })];
const counts = (/** @type {Record<number, [number, number]>} */ given) => (/** @type {number} */ id) => ({ count: given[id]?.[0] ?? 0, mentions: given[id]?.[1] ?? 0 });
const shape = (/** @type {any[]} */ sections) => sections.map((s) => [s.key, ...s.chats.map((/** @type {any} */ c) => c.id)]);

test('sections_hold_chats_by_kind_and_name', () => {
  assert.deepEqual(shape(arrange({ chats: CHATS, unread: counts({}) })), [['direct', 5, 2], ['group', 6, 1], ['project', 3], ['channel', 4]]);
});

test('unread_chats_come_first_and_mentions_before_them', () => {
  const unread = counts({ 1: [3, 0], 4: [1, 1], 6: [9, 0] });
  assert.deepEqual(shape(arrange({ chats: CHATS, unread })), [['unread', 4, 1], ['direct', 5, 2], ['group', 6], ['project', 3]]);
});

test('muted_chat_asks_for_attention_only_when_user_is_named', () => {
  const muted = chat(6, 'group', 'Art', { notify: 'none' });
  assert.equal(wantsAttention(muted, { count: 5, mentions: 0 }), false);
  assert.equal(wantsAttention(muted, { count: 5, mentions: 1 }), true);
});

test('chats_keep_their_places_while_pointer_is_inside', () => {
  const before = arrange({ chats: CHATS, unread: counts({ 1: [3, 0] }) });
  const unread = counts({ 2: [1, 0] });
  assert.deepEqual(shape(arrange({ chats: CHATS, unread, before, isHeld: true })), shape(before));
  const more = [...CHATS, chat(7, 'group', 'AAA')];
  assert.deepEqual(shape(arrange({ chats: more, unread, before, isHeld: true }))[2], ['group', 6, 7]);
  assert.deepEqual(shape(arrange({ chats: CHATS, unread, before })), [['unread', 2], ['direct', 5], ['group', 6, 1], ['project', 3], ['channel', 4]]);
});

test('open_chat_keeps_its_section_until_another_opens', () => {
  const before = arrange({ chats: CHATS, unread: counts({ 1: [3, 0] }) });
  assert.deepEqual(shape(arrange({ chats: CHATS, unread: counts({}), before, open: 1 }))[0], ['unread', 1]);
  assert.deepEqual(shape(arrange({ chats: CHATS, unread: counts({}), before, open: 2 }))[0], ['direct', 5, 2]);
  const read = arrange({ chats: CHATS, unread: counts({}) });
  assert.deepEqual(shape(arrange({ chats: CHATS, unread: counts({ 1: [1, 0] }), before: read, open: 1 })), shape(read));
});

test('filter_keeps_matching_names', () => {
  const sections = arrange({ chats: CHATS, unread: counts({}) });
  assert.deepEqual(shape(filtered(sections, ' AL ')), [['direct', 5], ['project', 3]]);
  assert.equal(filtered(sections, ''), sections);
});

test('neighbour_wraps_and_skips_read_chats', () => {
  const sections = arrange({ chats: CHATS, unread: counts({}) });
  const id = (/** @type {any} */ found) => found?.id;
  assert.equal(id(neighbour(sections, 5, 1)), 2);
  assert.equal(id(neighbour(sections, 4, 1)), 5);
  assert.equal(id(neighbour(sections, 5, -1)), 4);
  assert.equal(id(neighbour(sections, undefined, 1)), 5);
  assert.equal(id(neighbour(sections, undefined, -1)), 4);
  assert.equal(id(neighbour(sections, 5, 1, (c) => c.id === 1)), 1);
  assert.equal(neighbour(sections, 5, 1, () => false), undefined);
  assert.equal(neighbour([], undefined, 1), undefined);
});

test('read_chat_leaves_unread_when_places_are_released', () => {
  const before = arrange({ chats: [chat(1, 'group', 'team')], unread: () => ({ count: 1, mentions: 0 }) });
  assert.equal(before[0]?.key, 'unread');
  const read = { chats: [chat(1, 'group', 'team')], unread: () => ({ count: 0, mentions: 0 }), open: 1 };
  assert.equal(arrange({ ...read, before })[0]?.key, 'unread');
  assert.equal(arrange(read)[0]?.key, 'group');
});
