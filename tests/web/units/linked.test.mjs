// The rules of the linker (src/web/link.rs), so that a wrong module is found without a build: one
// name at the top level, plain imports, no cycles.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';

const BASE = new URL('../../../web/js/', import.meta.url);
const DECLARED = /^(?:export )?(?:async function|function|const|let|class) ([A-Za-z0-9_$]*)/;
const IMPORTED = /^import \{ ([A-Za-z0-9_, ]+) \} from '(\.\.?\/[a-z0-9_/]+\.js)';$/;

/** @param {string} entry */
function problemsOf(entry) {
  /** @type {string[]} */
  const problems = [];
  /** @type {Map<string, string>} */
  const names = new Map();
  /** @type {Map<string, Set<string>>} */
  const exported = new Map();
  /** @type {Set<string>} */
  const open = new Set();
  /** @param {string} path */
  function visit(path) {
    if (exported.has(path)) return;
    if (open.has(path)) return void problems.push(`${path} imports itself`);
    open.add(path);
    const lines = readFileSync(new URL(path, BASE), 'utf8').split('\n');
    /** @type {Set<string>} */
    const own = new Set();
    for (const line of lines) {
      if (/^import\b/.test(line)) {
        const [, list = '', from = ''] = line.match(IMPORTED) ?? [];
        if (!from) { problems.push(`${path}: ${line}`); continue; }
        const target = new URL(from, new URL(path, BASE)).href.slice(BASE.href.length);
        visit(target);
        for (const name of list.split(', ')) if (exported.has(target) && !exported.get(target)?.has(name)) problems.push(`${path}: ${target} has no ${name}`);
        continue;
      }
      const isComment = /^\s*(\/\/|\*|\/\*)/.test(line);
      const name = line.match(DECLARED)?.[1];
      if (line.startsWith('export ') && !name) problems.push(`${path}: ${line}`);
      // Types may be named in comments on the line.
      if (!isComment && !line.includes("import('./more.js')") && /\bimport\(/.test(line.replace(/\/\*.*?\*\//g, ""))) problems.push(`${path}: ${line}`);
      if (name === undefined) continue;
      if (name === '') problems.push(`${path}: ${line}`);
      if (line.startsWith('export ')) own.add(name);
      if (names.has(name)) problems.push(`${path} and ${names.get(name)} both declare ${name}`);
      names.set(name, path);
    }
    open.delete(path);
    exported.set(path, own);
  }
  visit(entry);
  // The second file shares the names of the first.
  const more = entry.replace('main.js', 'more.js');
  if (readdirSync(new URL(entry.split('/')[0] ?? '', BASE)).includes('more.js')) visit(more);
  return problems;
}

for (const entry of ['chat/main.js', 'page/main.js']) {
  test(`modules_of_${entry.split('/')[0]}_can_be_linked`, () => assert.deepEqual(problemsOf(entry), []));
}
