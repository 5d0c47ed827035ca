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

/** Files that export for the linker: the program loads them, no module imports their names. */
const ENTRIES = ['chat/main.js', 'chat/more.js', 'page/main.js'];

/** @param {string} folder @returns {string[]} */
const filesOf = (folder) => readdirSync(new URL(folder, BASE)).filter((name) => name.endsWith('.js')).map((name) => `${folder}${name}`);

/** @param {string} text */
const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');

/** @param {string} text @returns {Set<string>} */
const importedBy = (text) => new Set([...text.matchAll(/^import \{ ([^}]*) \} from/gm)].flatMap(([, list = '']) => list.split(', ').map((name) => name.split(' as ')[0] ?? '')));

test('every_export_is_used_by_another_module', () => {
  const modules = new Map(['chat/', 'kit/', 'page/'].flatMap(filesOf).map((path) => [path, withoutComments(readFileSync(new URL(path, BASE), 'utf8'))]));
  const units = new URL('./', import.meta.url);
  const tested = new Set(readdirSync(units).filter((name) => name.endsWith('.mjs')).flatMap((name) => [...importedBy(readFileSync(new URL(name, units), 'utf8'))]));
  /** @type {string[]} */
  const unused = [];
  for (const [path, text] of modules) {
    if (ENTRIES.includes(path)) continue;
    const imported = new Set([...modules].filter(([other]) => other !== path).flatMap(([, other]) => [...importedBy(other)]));
    for (const line of text.split('\n').filter((other) => other.startsWith('export '))) {
      const name = line.match(DECLARED)?.[1] ?? '';
      if (!name || imported.has(name)) continue;
      // A name that only tests import must have a use in its module.
      const uses = text.split(new RegExp(`(?<![\\w$])${name}(?![\\w$])`)).length - 1;
      if (!tested.has(name) || uses < 2) unused.push(`${path}: ${name}`);
    }
  }
  assert.deepEqual(unused, []);
});

test('every_module_belongs_to_a_script', () => {
  /** @type {Set<string>} */
  const linked = new Set();
  /** @param {string} path */
  const visit = (path) => {
    if (linked.has(path)) return;
    linked.add(path);
    for (const line of readFileSync(new URL(path, BASE), 'utf8').split('\n')) {
      const from = line.match(IMPORTED)?.[2];
      if (from) visit(new URL(from, new URL(path, BASE)).href.slice(BASE.href.length));
    }
  };
  ENTRIES.forEach(visit);
  // `types.js` has types only.
  assert.deepEqual(['chat/', 'kit/', 'page/'].flatMap(filesOf).filter((path) => !linked.has(path)), ['chat/types.js']);
});
