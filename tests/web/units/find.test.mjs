// The finder of files: names before folders, then scattered letters.
import assert from 'node:assert/strict';
import test from 'node:test';
import { best, rank } from '../../../web/js/page/find.js';

test('files_match_by_name_then_path_then_letters', () => {
  const paths = ['src/main.rs', 'docs/domain.md', 'main/a.rs', 'm/a/i/n.txt', 'other.txt'];
  assert.deepEqual(paths.map((path) => rank(path, 'main')), [0, 1, 2, 3, -1]);
  assert.deepEqual(best([...paths].reverse(), 'main'), paths.slice(0, 4));
});
