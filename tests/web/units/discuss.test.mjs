import assert from 'node:assert/strict';
import test from 'node:test';
import { parseCodeRef } from '../../../web/js/chat/code_ref.js';
import { parsePlace } from '../../../web/js/chat/router.js';
import { discussHref } from '../../../web/js/page/discuss.js';

test('address_of_discussed_lines_is_read_by_the_chat', () => {
  const oid = 'b'.repeat(40);
  const href = discussHref('7', `/alice/hello/web/-/blob/${oid}/a%20file%20%231%20%2541.txt`, { from: 3, to: 9 });
  const url = new URL(href, 'http://x');
  assert.equal(url.hash, '');
  assert.deepEqual(parseCodeRef(parsePlace(url.pathname, url.search)?.code), { repository: 'alice/hello/web', oid, path: 'a file #1 %41.txt', from: 3, to: 9 });
});

test('lines_without_permalink_are_not_discussed', () => {
  const oid = 'b'.repeat(40);
  for (const path of [`/alice/hello/web/-/blob/main/x`, `/alice/hello/web/-/tree/${oid}/x`, `/alice/hello/web/-/blob/${oid}/%FF`]) assert.equal(discussHref('7', path, { from: 1, to: 1 }), '', path);
  assert.equal(discussHref('', `/alice/hello/web/-/blob/${oid}/x`, { from: 1, to: 1 }), '');
});
