// The text dialect: a corpus of trees, hostile texts, and time in steps.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Meter } from '../../../web/js/chat/mention.js';
import { mentionsOf } from './mentions_of.mjs';
import { parseText, plainText } from '../../../web/js/chat/markdown.js';
import { safeAddress } from '../../../web/js/chat/inline.js';
import { splitHidden } from '../../../web/js/chat/hidden.js';
import { emojiLike, QUICK_EMOJI } from '../../../web/js/chat/emoji.js';
import { emojiOf } from '../../../web/js/chat/emoji_names.js';

/** @typedef {any} Any */

/** Writes a tree in a short form: `p(…)`, `*(…)`, `**(…)`. */
/** @type {(children: Any[]) => string} */
const inline = (children) => children.map((/** @type {Any} */ node) => {
  switch (node.type) {
    case 'text': return node.text;
    case 'break': return '⏎';
    case 'em': return `*(${inline(node.children)})`;
    case 'strong': return `**(${inline(node.children)})`;
    case 'code': return `code(${node.text})`;
    case 'link': return `link(${inline(node.children)}|${node.href})`;
    case 'mention': return `@(${node.written})`;
    case 'chat': return `#(${node.name})`;
    case 'repository': return `repo(${node.path}|${node.oid})`;
    case 'emoji': return node.char;
    default: return assert.fail(`unknown type ${node.type}`);
  }
}).join('');
/** @type {(node: Any) => string} */
const list = (node) => `${node.start === null ? 'ul' : `ol${node.start}`}(${node.items.map((/** @type {Any} */ item) => [inline(item.children), ...item.lists.map(list)].join('/')).join(', ')})`;
/** @type {(tree: Any[]) => string} */
const shape = (tree) => tree.map((/** @type {Any} */ node) => {
  switch (node.type) {
    case 'paragraph': return `p(${inline(node.children)})`;
    case 'code_block': return `fence[${node.info}](${node.text})`;
    case 'quote': return `q(${shape(node.children)})`;
    case 'list': return list(node);
    default: return assert.fail(`unknown type ${node.type}`);
  }
}).join(' ');

const CORPUS = [
  ['', ''],
  ['hello', 'p(hello)'],
  ['one\ntwo\r\nthree', 'p(one⏎two⏎three)'],
  ['one\n\n\ntwo', 'p(one) p(two)'],
  ['  indented', 'p(  indented)'],
  // Emphasis.
  ['*em* **strong** ***both***', 'p(*(em) **(strong) **(*(both)))'],
  ['**a *b* c**', 'p(**(a *(b) c))'],
  ['*a **b** c*', 'p(*(a **(b) c))'],
  ['*a **b* c**', 'p(*(a **b) c**)'],
  ['**a\nb**', 'p(**(a⏎b))'],
  ['2*3*4 and 2 * 3 * 4', 'p(2*3*4 and 2 * 3 * 4)'],
  ['ls *.rs and *.js', 'p(ls *.rs and *.js)'],
  ['*a *b* c', 'p(*a *(b) c)'],
  ['**open', 'p(**open)'],
  ['**** x', 'p(**** x)'],
  ['这是**粗体**字', 'p(这是**(粗体)字)'],
  ['snake_case _em_ ~~no~~', 'p(snake_case *(em) ~~no~~)'],
  ['_a_, (_b_) _c d_!', 'p(*(a), (*(b)) *(c d)!)'],
  ['_snake_case_ a_b_c _a_b', 'p(*(snake_case) a_b_c _a_b)'],
  ['__init__ __a__ _ a _ _', 'p(__init__ __a__ _ a _ _)'],
  ['größe_über_all 变量_名_称', 'p(größe_über_all 变量_名_称)'],
  ['*a _b_ c* _a *b* c_ **_x_**', 'p(*(a *(b) c) *(a *(b) c) **(*(x)))'],
  ['_a *b_ c*', 'p(*(a *b) c*)'],
  ['_open *open', 'p(_open *open)'],
  ['_`a_b` @bob_', 'p(_code(a_b) @(bob_))'],
  ['_https://x.org/a_b_', 'p(*(link(https://x.org/a_b|https://x.org/a_b)))'],
  [':white_check_mark: #a_b_ /usr/_x_/y', 'p(✅ #(a_b)_ /usr/*(x)/y)'],
  ['**`x` @bob**', 'p(**(code(x) @(bob)))'],
  ['\\*a\\*', 'p(\\*(a\\))'],
  // Code.
  ['a `b *c* @d` e', 'p(a code(b *c* @d) e)'],
  ['`` a ` b ``', 'p(code(a ` b))'],
  ['`a\nb`', 'p(code(a b))'],
  ['it`s', 'p(it`s)'],
  ['```rust\nfn main() {}\n\n@bob\n```\nafter', 'fence[rust](fn main() {}\n\n@bob) p(after)'],
  ['~~~\n```\n~~~', 'fence[](```)'],
  ['  ```\n    x\n  y\n  ```', 'fence[](  x\ny)'],
  ['```\nopen', 'fence[](open)'],
  ['```', 'fence[]()'],
  ['```a``` b', 'p(code(a) b)'],
  // Quotes.
  ['> a\n> b\nc', 'q(p(a⏎b)) p(c)'],
  ['> a\n\n> b', 'q(p(a)) q(p(b))'],
  ['> a\n>\n> b', 'q(p(a) p(b))'],
  ['> > a\n> b', 'q(q(p(a)) p(b))'],
  ['> @bob **x**', 'q(p(@bob **(x)))'],
  ['> ```\n> x\n> ```', 'q(fence[](x))'],
  ['>>>>>> deep', 'q(q(q(q(p(>> deep)))))'],
  // Lists.
  ['- a\n- b', 'ul(a, b)'],
  ['* a\n* **b**', 'ul(a, **(b))'],
  ['Todo:\n- a\n- b\ndone', 'p(Todo:) ul(a, b) p(done)'],
  ['1. a\n2. b', 'ol1(a, b)'],
  ['3) a', 'ol3(a)'],
  ['In\n2026. Good', 'p(In⏎2026. Good)'],
  ['- a\n  - b\n    - c\n- d', 'ul(a/ul(b/ul(c)), d)'],
  ['- a\n  more\n- b', 'ul(a⏎  more, b)'],
  ['- a\n1. b', 'ul(a) ol1(b)'],
  ['- a\n  1. b\n  2. c', 'ul(a/ol1(b, c))'],
  ['- `a\n- b` c', 'ul(code(a - b) c)'],
  ['- `x`', 'ul(code(x))'],
  ['-\n- ', 'p(-⏎-)'],
  ['-a\n+ b', 'p(-a⏎+ b)'],
  ['--- a', 'p(--- a)'],
  // Links.
  ['https://example.org/a?b=c#d', 'p(link(https://example.org/a?b=c#d|https://example.org/a?b=c#d))'],
  ['(see https://x.org/a_(b)).', 'p((see link(https://x.org/a_(b)|https://x.org/a_(b))).)'],
  ['<https://x.org/>, https://x.org/!', 'p(<link(https://x.org/|https://x.org/)>, link(https://x.org/|https://x.org/)!)'],
  ['**https://x.org/**', 'p(**(link(https://x.org/|https://x.org/)))'],
  ['http://localhost:8080', 'p(link(http://localhost:8080|http://localhost:8080/))'],
  ['ftp://x.org/a javascript:alert(1) example.org/a', 'p(ftp://x.org/a javascript:alert(1) example.org/a)'],
  ['[a *b*](https://x.org)', 'p(link(a *(b)|https://x.org/))'],
  ['[w](https://x.org/a_(b))', 'p(link(w|https://x.org/a_(b)))'],
  ['[](https://x.org)', 'p(link(https://x.org|https://x.org/))'],
  ['[a](/alice/hello) [b](//evil.org) [c](/\\evil.org)', 'p(link(a|/alice/hello) [b](//evil.org) [c](/\\evil.org))'],
  ['[a](javascript:alert(1)) [b](data:text/html,x) [c](vbscript:x)', 'p([a](javascript:alert(1)) [b](data:text/html,x) [c](vbscript:x))'],
  ['[a](JAVA\tscript:alert) [a](\u0001javascript:x)', 'p([a](JAVA\tscript:alert) [a](\u0001javascript:x))'],
  ['https://bank.org@evil.org/', 'p(https://bank.org@evil.org/)'],
  ['mailto:carol@example.org.', 'p(link(mailto:carol@example.org|mailto:carol@example.org).)'],
  ['carol@example.org', 'p(carol@example.org)'],
  ['[x]: y [z] (q)', 'p([x]: y [z] (q))'],
  // Names.
  ['@bob, @carol.', 'p(@(bob), @(carol.))'],
  ['x@bob', 'p(x@bob)'],
  ['#dev #dev-team. a#b ##', 'p(#(dev) #(dev-team). a#b ##)'],
  ['alice/hello/web alice/hello and/or', 'p(repo(alice/hello/web|) alice/hello and/or)'],
  ['alice/hello/web@1a2b3c4 web@1a2b3c4d, x@zzzzzzz', 'p(repo(alice/hello/web|1a2b3c4) repo(web|1a2b3c4d), x@zzzzzzz)'],
  ['/usr/local/lib ../a/b/c ~/a/b/c', 'p(/usr/local/lib ../a/b/c ~/a/b/c)'],
  ['https://x.org/a/b/c', 'p(link(https://x.org/a/b/c|https://x.org/a/b/c))'],
  // Emoji.
  [':tada: :+1: :nope: 1:100:2 :100:', 'p(🎉 👍 :nope: 1:100:2 💯)'],
  [':TADA::rocket:', 'p(🎉🚀)'],
  // No HTML.
  ['<script>alert(1)</script> &amp;', 'p(<script>alert(1)</script> &amp;)'],
];

test('parser returns the expected trees', () => {
  for (const [text, expected] of CORPUS) assert.equal(shape(parseText(text)), expected, JSON.stringify(text));
});

/**
 * Returns all texts of a tree, and checks its types and addresses.
 * @param {Any} nodes
 * @param {number} depth
 * @returns {string}
 */
function allText(nodes, depth = 0) {
  assert.ok(depth <= 12, 'the tree is deep');
  return nodes.map((/** @type {Any} */ node) => {
    switch (node.type) {
      case 'text': case 'code': return node.text;
      case 'break': return '\n';
      case 'em': case 'strong': case 'paragraph': case 'quote': return allText(node.children, depth + 1);
      case 'link': {
        assert.match(node.href, /^(https?:\/\/|mailto:|\/(?![/\\]))/);
        assert.doesNotMatch(node.href, /[\s\u0000-\u001f]/);
        const inner = allText(node.children, depth + 1);
        return inner === node.address ? inner : `${inner} ${node.address}`;
      }
      case 'mention': return `@${node.written}`;
      case 'chat': return `#${node.name}`;
      case 'repository': return `${node.path}@${node.oid}`;
      case 'emoji': return node.name;
      case 'code_block': return `${node.info}\n${node.text}\n`;
      case 'list': return node.items.map((/** @type {Any} */ item) => allText(item.children, depth + 1) + allText(item.lists, depth + 1)).join('\n');
      default: return assert.fail(`unknown type ${node.type}`);
    }
  }).join('\n');
}

/** @type {(nodes: Any[]) => string[]} */
const mentions = (nodes) => (nodes.flatMap((/** @type {Any} */ node) => {
  if (node.type === 'mention') return [node.written];
  return [...mentions(node.children ?? []), ...(node.items ?? []).flatMap((/** @type {Any} */ item) => [...mentions(item.children), ...mentions(item.lists)])];
}));

/** The written names of a tree as `mentionsOf` returns them. */
function namesOf(/** @type {Any[]} */ tree) {
  const stems = mentions(tree).filter((name) => /^[a-z0-9][a-z0-9._-]*$/i.test(name)).map((name) => name.replace(/[._-]+$/, '').toLowerCase()).filter((name) => name.length <= 39);
  return { all: stems.includes('all'), names: [...new Set(stems.filter((name) => name !== 'all'))] };
}

/** A generator of numbers with a seed: a failure can be repeated. */
function random(/** @type {number} */ seed) {
  let state = seed;
  return (/** @type {number} */ below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const PIECES = ['*', '**', '***', '`', '``', '```', '~~~', '\n', '\n\n', '\r\n', '> ', '>', '- ', '* ', '1. ', '  ', '\t', ' ', '[', ']', '](', '(', ')', '!', '@', '@bob', '@all', '@bob.', '#', '#dev', ':', ':tada:', 'a', 'b.c', 'x/y/z', '/', 'https://', 'https://h.org/', 'mailto:', 'javascript:', 'data:', 'm@h.org', '://', '@1a2b3c4d', '_', '-', '.', ',', '\\', '<b>', '&', '"', '\u202e', '\u2066', '\u200b', '\ufeff', '\u0085', 'é', 'e\u0301', '名', '😀', '👩‍💻', '\ud800', '\u0001'];

test('hostile texts keep their content, types and names', () => {
  const seed = Number(process.env.SEED ?? 20);
  const next = random(seed);
  for (let round = 0; round < 20_000; round += 1) {
    let text = '';
    for (let n = next(24); n >= 0; n -= 1) text += PIECES[next(PIECES.length)];
    const meter = new Meter();
    const tree = parseText(text, meter);
    const letters = (/** @type {string} */ value) => value.replace(/[^\p{L}\p{M}\p{So}]/gu, '');
    assert.equal(letters(allText(tree)), letters(text), `seed ${seed}, round ${round}: ${JSON.stringify(text)}`);
    assert.ok(meter.steps <= 60 * (text.length + 4), `${meter.steps} steps for ${JSON.stringify(text)}`);
    assert.deepEqual(namesOf(tree), mentionsOf(text), `names of ${JSON.stringify(text)}`);
    plainText(tree);
  }
});

test('highlighted names are those of the vectors', () => {
  const { vectors } = JSON.parse(readFileSync(new URL('../../../examples/mentions.json', import.meta.url), 'utf8'));
  for (const { text, names, all } of vectors) assert.deepEqual(namesOf(parseText(text)), { all, names }, text);
});

test('steps of hostile texts grow with their length only', () => {
  const size = 16_384;
  const fill = (/** @type {string} */ piece) => piece.repeat(Math.ceil(size / piece.length)).slice(0, size);
  const texts = ['[', '*', '**', '** ', '**a ', '*a **b ', '***a ', '@', '@a', '>', '> ', '>\n', '(', '[(', '[a](', '[a](b', '](', '`', '`a', '` ``', '- ', '- a\n', '  - a\n', '1. ', ':', ':a', '::', '#', '#a', '#.', 'a/', 'a.', 'a@', '.', '..a', 'mailto:', 'mailto:a@', 'mailto:a', 'https://', 'https://a', 'https://a.b/)', 'https://a.b/( ', 'http://a!', ' ', '\t', '\n', '\r', '~', '```\n', '~~~a\n', '> ```\n', '\u202e', '😀', '*\n', '**\n- '].map(fill);
  texts.push(Array.from({ length: 180 }, (_, length) => `${'`'.repeat(length)}a`).join(''));
  texts.push(Array.from({ length: 120 }, (_, length) => `${' '.repeat(length)}- a\n`).join(''));
  texts.push(`${'>'.repeat(8000)}${'[x](https://a.b) '.repeat(400)}`);
  for (const text of texts) {
    const meter = new Meter();
    parseText(text, meter);
    assert.ok(meter.steps <= 40 * text.length, `${JSON.stringify(text.slice(0, 12))}: ${meter.steps} steps for ${text.length}`);
  }
});

test('limits cut links and nesting, not content', () => {
  const links = 'https://a.org/x '.repeat(1000);
  const flat = JSON.stringify(parseText(links));
  assert.equal(flat.split('"type":"link"').length - 1, 200);
  assert.equal(flat.split('https://a.org/x').length - 1, 200 * 3 + 800);
  const nested = Array.from({ length: 10 }, (_, depth) => `${'  '.repeat(depth)}- a${depth}`).join('\n');
  assert.equal(JSON.stringify(parseText(nested)).match(/"lists":\[\{/g)?.length, 3);
  assert.deepEqual(parseText('*'.repeat(16_385)), [{ type: 'paragraph', children: [{ type: 'text', text: '*'.repeat(16_385) }] }]);
});

test('addresses of other schemes are refused', () => {
  for (const address of ['javascript:alert(1)', 'JaVaScRiPt:x', ' javascript:x', 'java\nscript:x', 'data:text/html,x', 'vbscript:x', 'file:///etc', 'blob:x', 'about:blank', '//x.org', '/\\x.org', '/\t/x.org', 'x', '', '#a', '?a', 'https:x', 'https:///x', 'https://', 'https://u:p@x.org', 'https://u@x.org', 'http://%zz', 'mailto:', 'mailto:?cc=x', `https://x.org/${'a'.repeat(2000)}`, 'https://x.org/\u202egpj.exe']) {
    assert.equal(safeAddress(address), null, address);
  }
  assert.deepEqual(safeAddress('HTTPS://Example.ORG'), { href: 'https://example.org/', external: true });
  assert.deepEqual(safeAddress('/chat/7'), { href: '/chat/7', external: false });
});

test('plain text is one line without markup and reordering', () => {
  const plain = (/** @type {string} */ text, limit = 1000) => plainText(parseText(text), limit);
  assert.equal(plain('**a** `b`\n[c](https://x.org) :tada: @bob'), 'a b c 🎉 @bob');
  assert.equal(plain('> quoted\n\nanswer'), 'answer');
  assert.equal(plain('> quoted'), 'quoted');
  assert.equal(plain('- a\n- b\n\n```sh\nls\n```'), 'a; b ls');
  assert.equal(plain('a\u202eb\u2066c\u0000d'), 'abc d');
  assert.equal(plain('😀'.repeat(20), 5), '😀😀😀😀…');
});

test('code marks hidden characters, text marks reordering ones', () => {
  const marks = (/** @type {string} */ text, /** @type {boolean} */ isCode) => splitHidden(text, isCode).map(({ text: part, mark }) => (mark ? `[${part.codePointAt(0)?.toString(16)}]` : part)).join('');
  assert.equal(marks('a\u202eb\u200bc\u0000', false), 'a[202e]b\u200bc\ufffd');
  assert.equal(marks('a\u202eb\u200bc\u0000', true), 'a[202e]b[200b]c[0]');
  assert.equal(marks('👩‍💻❤️ क्‍ष می‌خواهم', true), '👩‍💻❤️ क्‍ष می‌خواهم');
  assert.equal(marks('plain\ttext\n', true), 'plain\ttext\n');
});

test('emoji have names and are found by them', () => {
  assert.equal(emojiOf('tada'), '🎉');
  assert.equal(emojiOf('+1'), '👍');
  assert.equal(emojiOf('constructor'), '');
  assert.deepEqual(emojiLike('roc', 5).map(({ name }) => name), ['rocket']);
  assert.ok(emojiLike('', 1000).length >= 150);
  const chars = emojiLike('', 1000).map(({ char }) => char);
  for (const char of QUICK_EMOJI) assert.ok(chars.includes(char), char);
  for (const { name, char } of emojiLike('', 1000)) {
    assert.match(name, /^[a-z0-9_+-]{1,32}$/);
    assert.match(char, new RegExp('^\\p{RGI_Emoji}$', 'v'), name);
  }
});
