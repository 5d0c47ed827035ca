import test from 'node:test';
import assert from 'node:assert/strict';
import { uuid7 } from '../../../web/js/kit/uuid7.js';
import { clock } from '../../../web/js/kit/clock.js';
import { createLocal } from '../../../web/js/kit/local.js';
import { relativeTime } from '../../../web/js/kit/relative_time.js';
import { dayKey } from '../../../web/js/kit/time.js';

test('uuid7_has_version_variant_and_time', () => {
  const at = Date.parse('2035-01-02T03:04:05.678Z');
  const id = uuid7(at);
  assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(parseInt(id.slice(0, 8) + id.slice(9, 13), 16), at);
});

test('uuid7_grows_within_one_millisecond', () => {
  const at = Date.parse('2036-01-02T03:04:05.678Z');
  const ids = Array.from({ length: 10_000 }, () => uuid7(at));
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(ids, [...ids].sort());
});

test('clock_goes_forward_when_wall_clock_goes_back', (t) => {
  let [wall, steps] = [Date.now(), performance.now()];
  t.mock.method(Date, 'now', () => wall);
  t.mock.method(performance, 'now', () => steps);
  const start = clock();
  const step = (/** @type {number} */ ofWall, /** @type {number} */ ofSteps) => { wall += ofWall; steps += ofSteps; return Math.round(clock() - start); };
  assert.deepEqual([step(-3_600_000, 100), step(100, 100), step(60_000, 0), step(1, 0.6), step(0, 0.6)], [100, 200, 60_200, 60_201, 60_201]);
});

test('local_keeps_values_of_page_when_storage_is_full', () => {
  const full = /** @type {any} */ ({ length: 0, key: () => null, getItem: () => null, removeItem() {}, setItem() { throw new Error('full'); } });
  const local = createLocal('x:', full);
  assert.equal(local.set('a', { b: 1 }), false);
  assert.deepEqual(local.get('a'), { b: 1 });
  assert.deepEqual(local.keys(''), ['a']);
  local.remove('a');
  assert.equal(local.get('a'), undefined);
});

test('times_are_relative_up_to_a_week', () => {
  const now = Date.parse('2026-05-05T12:00:00Z');
  assert.match(relativeTime('2026-05-05T11:00:00Z', now), /1/);
  assert.equal(relativeTime('nonsense', now), '');
  assert.equal(dayKey(now), dayKey(now + 1));
});
