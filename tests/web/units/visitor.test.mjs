// The name that a page keeps of its user, also where localStorage is forbidden.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keptValue } from '../../../web/js/kit/kept_value.js';
import { visitor } from '../../../web/js/page/visitor.js';

/** @param {any} storage */
const browserOf = (storage) => Object.defineProperty(globalThis, 'localStorage', { configurable: true, ...storage });
const page = /** @type {any} */ ({ querySelector: () => ({ getAttribute: () => '/people/bob' }) });

test('page informs other tabs of its user', () => {
  /** @type {Map<string, string>} */
  const values = new Map();
  browserOf({ value: { getItem: (/** @type {string} */ key) => values.get(key) ?? null, setItem: (/** @type {string} */ key, /** @type {string} */ value) => values.set(key, value) } });
  assert.equal(visitor(page), 'bob');
  assert.equal(keptValue('netbit:user'), '"bob"');
  assert.equal(visitor(/** @type {any} */ ({ querySelector: () => null })), '');
  assert.equal(keptValue('netbit:user'), '"bob"');
});

test('page works where storage is forbidden', () => {
  browserOf({ get() { throw new Error('forbidden'); } });
  assert.equal(visitor(page), 'bob');
  assert.equal(keptValue('here:bob', '1'), null);
});
