// The place of a page, and the sentence about the others there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hereWords, placeOf } from '../../../web/js/page/here.js';

test('all versions of a file are one place', () => {
  const file = { repository: 'alice/hello/web', place: 'src/a%20b.rs' };
  assert.deepEqual(placeOf('/alice/hello/web/-/blob/main/src/a%20b.rs'), file);
  assert.deepEqual(placeOf('/alice/hello/web/-/blame/8d8f1fb2/src/a%20b.rs'), file);
  assert.deepEqual(placeOf('/alice/hello/web/-/compare/main...fix'), { repository: 'alice/hello/web', place: 'main...fix' });
  assert.equal(placeOf('/alice/hello/web/-/tree/main/src'), null);
  assert.equal(placeOf('/alice/hello/web'), null);
});

test('sentence names at most two users', () => {
  assert.equal(hereWords([]), 'No other member is here.');
  assert.equal(hereWords(['Bob']), 'Bob is here.');
  assert.equal(hereWords(['Bob', 'Carol']), 'Bob and Carol are here.');
  assert.equal(hereWords(['Bob', 'Carol', 'Dora', 'Eve']), 'Bob, Carol and 2 more are here.');
});
