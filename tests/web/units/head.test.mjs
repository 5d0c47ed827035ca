import assert from 'node:assert/strict';
import test from 'node:test';
import { dayStart } from '../../../web/js/chat/day_jump.js';
import { typingText } from '../../../web/js/chat/head.js';

test('typing_names_at_most_three_users', () => {
  const texts = [[], ['bob'], ['bob', 'carol'], ['bob', 'carol', 'dave'], ['bob', 'carol', 'dave', 'erin']].map(typingText);
  assert.deepEqual(texts, ['', 'bob is typing…', 'bob and carol are typing…', 'bob, carol and dave are typing…', 'bob, carol, dave and others are typing…']);
});

test('day_start_is_local_midnight', () => {
  assert.equal(dayStart('2026-11-29')?.getHours(), 0);
  assert.equal(dayStart(''), undefined);
  assert.equal(dayStart('29.11.2026'), undefined);
});
