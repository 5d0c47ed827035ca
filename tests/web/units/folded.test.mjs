// Searches find names without the difference of upper and lower case, in every script.
import assert from 'node:assert/strict';
import test from 'node:test';
import { membersLike } from '../../../web/js/chat/composer_options.js';
import { matching } from '../../../web/js/chat/rank.js';
import { filtered } from '../../../web/js/chat/sections.js';
import { folded } from '../../../web/js/kit/folded.js';

const NAMES = [['Straße', 'STRASSE'], ['Straße', 'strasse'], ['İstanbul', 'i'], ['İstanbul', 'İST'], ['Irmak', 'ırm'], ['ΟΔΟΣΑ', 'οδος'], ['Ὀδυσσεύς', 'ὈΔΥΣΣΕΎΣ'], ['Ｗｉｄｅ', 'wide'], ['ﬁne', 'FI']];

test('folded_texts_are_equal_without_case', () => {
  for (const [name = '', begin = ''] of NAMES) assert.ok(folded(name).startsWith(folded(begin)), `${name}: ${begin}`);
  assert.ok(!folded('dev').startsWith(folded('e')));
});

test('chats_and_entries_are_found_without_case', () => {
  for (const [name = '', begin = ''] of NAMES) {
    const chat = /** @type {any} */ ({ id: 1, kind: 'group', name });
    assert.equal(filtered([{ key: 'group', chats: [chat] }], begin).length, 1, `${name}: ${begin}`);
    assert.equal(matching([/** @type {any} */ ({ kind: 'chat', key: 'chat:1', name })], begin, [], 9).length, 1, `${name}: ${begin}`);
    assert.equal(matching([/** @type {any} */ ({ kind: 'user', key: 'user:x', name: 'x', words: name })], begin, [], 9).length, 1, `${name}: ${begin}`);
  }
});

test('members_are_completed_by_a_word_of_their_name', () => {
  const store = /** @type {any} */ ({ me: { id: 1 }, user: () => ({ display_name: 'Ada Straße' }) });
  const people = /** @type {any} */ ([{ user_id: 2, username: 'ada' }]);
  for (const begin of ['STRASS', 'straß', 'AD']) assert.equal(membersLike(/** @type {any} */ ({ store }), people, begin).length, 1, begin);
});
