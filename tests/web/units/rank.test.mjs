import assert from 'node:assert/strict';
import test from 'node:test';
import { matching, rankOf, splitTyped } from '../../../web/js/chat/rank.js';

/** @returns {any} */
const entry = (/** @type {string} */ kind, /** @type {string} */ name, more = {}) => ({ kind, name, key: `${kind}:${name}`, ...more });
const ENTRIES = [entry('chat', 'dev'), entry('chat', 'random'), entry('user', 'dave', { words: 'David Bowman' }), entry('project', 'alice/hello'),
  entry('repository', 'alice/hello/web'), entry('file', 'src/main.rs'), entry('command', 'Mark all chats as read')];
const names = (/** @type {string} */ typed, /** @type {string[]} */ recents = [], max = 20) => matching(ENTRIES, typed, recents, max).map((found) => found.name);

test('ranks_grow_from_whole_name_to_scattered_letters', () => {
  assert.deepEqual(['dev', 'develop', 'x/dev', 'x dev', 'redev', 'd-e-v', 'x'].map((name) => rankOf(name, 'dev')), [0, 1, 2, 3, 4, 5, -1]);
});

test('prefix_limits_kinds', () => {
  assert.deepEqual(names('#'), ['dev', 'random']);
  assert.deepEqual(names('@da'), ['dave']);
  assert.deepEqual(names('/main'), ['src/main.rs']);
  assert.deepEqual(names('>'), ['Mark all chats as read']);
  assert.deepEqual(splitTyped(' # De '), { prefix: '#', text: 'De', wanted: 'de' });
});

test('files_need_their_prefix_and_commands_a_word', () => {
  assert.ok(!names('main').includes('src/main.rs'));
  assert.ok(!names('').includes('Mark all chats as read'));
  assert.deepEqual(names('mark'), ['Mark all chats as read']);
});

test('recent_entries_come_first_among_equal_ranks', () => {
  assert.deepEqual(names('', ['user:dave', 'chat:random']).slice(0, 2), ['dave', 'random']);
  assert.deepEqual(names('d', ['user:dave']).slice(0, 2), ['dave', 'dev']);
  assert.deepEqual(names('dev', ['user:dave'])[0], 'dev');
});

test('further_words_match_too', () => {
  assert.deepEqual(names('bowman'), ['dave']);
});

test('special_characters_match_as_themselves', () => {
  for (const typed of ['.*', '(', '[', '\\', '$', 'a/h', '-']) assert.doesNotThrow(() => names(typed), typed);
  assert.deepEqual(names('.*'), []);
});

test('list_is_cut_at_its_limit', () => {
  const many = Array.from({ length: 10_000 }, (_, at) => entry('file', `src/module_${at}/file_${at}.rs`));
  assert.equal(matching(many, '/file_99', [], 50).length, 50);
});
