// The rules of marks at lines that messages are about.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileAt } from '../../../web/js/kit/file_at.js';
import { lineFragment, lineWords } from '../../../web/js/kit/range.js';
import { talkMarkName, talkMarks } from '../../../web/js/page/talks.js';

const oid = '8d8f1fb2a0b3f2a9d6a3d6c5a1e0f9b8c7d6e5f4';
let id = 100;
const talk = (/** @type {number} */ from, to = from, unchanged = true) => {
  id -= 1;
  return { message_id: id, chat_id: 7, seq: id, created_at: '2026-11-24T09:00:00Z', oid, from, to, replies: 0, unchanged };
};

test('file is read from the permalink', () => {
  const file = { repository: 'alice/hello/web', oid, path: 'src/a b.rs' };
  assert.deepEqual(fileAt(`/alice/hello/web/-/blob/${oid}/src/a%20b.rs`), file);
  assert.deepEqual(fileAt(`/alice/hello/web/-/blame/${oid}/src/a%20b.rs`), file);
  assert.equal(fileAt('/alice/hello/web/-/blob/main/README'), null, 'a branch is not a permalink');
  assert.equal(fileAt(`/alice/hello/web/-/tree/${oid}/src`), null);
  assert.equal(fileAt(`/alice/hello/web/-/blob/${oid}/%ff`), null, 'the path is not UTF-8');
});

test('marks leave out other versions and never touch', () => {
  const marks = talkMarks([talk(12), talk(3, 9), talk(4), talk(5), talk(3), talk(1, 2, false)]);
  assert.deepEqual(marks.map((mark) => [mark.line, mark.talks.length]), [[3, 3], [5, 1], [12, 1]]);
  assert.deepEqual(talkMarks([]), []);
});

test('names of marks and lines are sentences', () => {
  assert.equal(lineWords({ from: 3, to: 3 }), 'line 3');
  assert.equal(lineWords({ from: 3, to: 9 }), 'lines 3 to 9');
  assert.deepEqual([lineFragment({ from: 3, to: 3 }), lineFragment({ from: 3, to: 9 })], ['#L3', '#L3-L9']);
  assert.equal(talkMarkName({ line: 3, talks: [talk(3)] }), '1 talk about line 3');
  assert.equal(talkMarkName({ line: 3, talks: [talk(3, 9), talk(4)] }), '2 talks about lines 3 to 9');
});
