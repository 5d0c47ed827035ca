import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCodeRef } from '../../../web/js/chat/code_ref.js';
import { parsePlace, screenOf, titleOf } from '../../../web/js/chat/router.js';

test('addresses_name_chat_message_and_thread', () => {
  assert.deepEqual(parsePlace('/inbox'), { page: 'inbox' });
  assert.deepEqual(parsePlace('/chat/'), { page: 'chat' });
  assert.equal(parsePlace('/chat/7')?.chat, 7);
  assert.equal(parsePlace('/chat/7/1234')?.seq, 1234);
  const thread = parsePlace('/chat/7/thread/55');
  assert.deepEqual([thread?.chat, thread?.thread, thread?.panel], [7, 55, 'thread']);
});

test('addresses_of_other_pages_are_refused', () => {
  const others = ['/', '/chats', '/chat/x', '/chat/0', '/chat/07', '/chat/7/x', '/chat/7/thread', '/chat/7/thread/x', '/chat/7/8/9',
    '/chat/7/thread/5/6', '/chat/-1', '/chat/1e3', '/chat/99999999999999999999', '/inbox/1', '/alice/chat/7'];
  for (const path of others) assert.equal(parsePlace(path), null, path);
});

test('panel_comes_from_history_entry', () => {
  assert.equal(parsePlace('/chat/7', '', { panel: 'people' })?.panel, 'people');
  assert.equal(parsePlace('/chat/7', '', { panel: 'other' })?.panel, undefined);
  assert.equal(parsePlace('/chat/7/thread/5', '', { panel: 'people' })?.panel, 'thread');
});

test('code_reference_keeps_path_with_spaces_and_hash', () => {
  const oid = 'a'.repeat(40);
  const reference = `alice/hello/web@${oid}:docs/a #1: b@c.md#L9-L3`;
  const code = { repository: 'alice/hello/web', oid, path: 'docs/a #1: b@c.md', from: 3, to: 9 };
  assert.deepEqual(parseCodeRef(reference), code);
  assert.equal(parsePlace('/chat/7', `?code=${encodeURIComponent(reference)}`)?.code, reference);
  assert.equal(parseCodeRef(`a/b/c@${oid}:x#L4`)?.to, 4);
});

test('code_reference_that_is_not_whole_is_ignored', () => {
  const oid = 'a'.repeat(40);
  for (const wrong of ['', 'x', `a/b@${oid}:x#L1`, 'a/b/c@main:x#L1', `a/b/c@${oid}:x`, `a/b/c@${oid}:x#L0`, `a/b/c@${oid}:#L1`, `a/b/c@${oid}:${'x'.repeat(3000)}#L1`]) {
    assert.equal(parseCodeRef(wrong), undefined, wrong);
  }
});

test('narrow_window_shows_one_screen', () => {
  assert.equal(screenOf({ page: 'chat' }), 'list');
  assert.equal(screenOf({ page: 'chat', chat: 7 }), 'chat');
  assert.equal(screenOf({ page: 'chat', chat: 7, panel: 'pins' }), 'panel');
  assert.equal(screenOf({ page: 'inbox' }), 'inbox');
});

test('title_counts_unread_messages', () => {
  assert.equal(titleOf(3, 'Thread', 'dev'), '(3) Thread · dev · NetBit');
  assert.equal(titleOf(0, 'Inbox'), 'Inbox · NetBit');
});
