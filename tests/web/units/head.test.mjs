import assert from 'node:assert/strict';
import test from 'node:test';
import { dayStart, seqAtTime } from '../../../web/js/chat/date_jump.js';
import { typingText } from '../../../web/js/chat/head.js';

test('typing_names_at_most_three_users', () => {
  const texts = [[], ['bob'], ['bob', 'carol'], ['bob', 'carol', 'dave'], ['bob', 'carol', 'dave', 'erin']].map(typingText);
  assert.deepEqual(texts, ['', 'bob is typing…', 'bob and carol are typing…', 'bob, carol and dave are typing…', 'bob, carol, dave and others are typing…']);
});

test('day_jump_finds_first_event_of_day', async () => {
  const times = Array.from({ length: 1000 }, (_, at) => at * 10);
  let asked = 0;
  const timeAt = async (/** @type {number} */ seq) => { asked += 1; return times[seq - 1] ?? null; };
  for (const [wanted, seq] of [[-5, 1], [0, 1], [1, 2], [5000, 501], [9990, 1000], [99_999, 1000]]) {
    asked = 0;
    assert.equal(await seqAtTime(wanted ?? 0, 1000, timeAt), seq);
    assert.ok(asked <= 10, `${asked} requests`);
  }
  assert.equal(await seqAtTime(5, 0, async () => null), 1);
});

test('day_jump_passes_over_trimmed_events', async () => {
  const timeAt = async (/** @type {number} */ seq) => Math.max(seq, 600) * 10;
  assert.ok(await seqAtTime(10, 1000, timeAt) <= 600);
  assert.equal(await seqAtTime(7000, 1000, timeAt), 700);
});

test('day_start_is_local_midnight', () => {
  assert.equal(new Date(dayStart('2026-11-29')).getHours(), 0);
  assert.ok(Number.isNaN(dayStart('')));
  assert.ok(Number.isNaN(dayStart('29.11.2026')));
});
