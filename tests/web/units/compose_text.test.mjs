// Facts of the composer about a text: bytes, parts, fences, completion and commands.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { writtenAs } from '../../../web/js/chat/commands.js';
import { completedAt } from '../../../web/js/chat/completed.js';
import { MESSAGE_BYTES_MAX, byteLength, isInFence, sentText } from '../../../web/js/chat/compose_text.js';
import { splitMessages, splitText } from '../../../web/js/chat/split_text.js';

const encoder = new TextEncoder();

/** @param {number} seed */
function random(seed) {
  let state = seed;
  return (/** @type {number} */ below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const PIECES = ['a', 'word ', '\n', '\n\n', '```\n', '```rust\n', '~~~\n', ' ```', '😀', 'é', '名', '\ud800', '\r\n', '> ', '- ', 'x'.repeat(50), '\t', '`', '👩‍💻'];

test('bytes are those of the encoding', () => {
  const next = random(1);
  for (let round = 0; round < 2_000; round += 1) {
    let text = '';
    for (let n = next(20); n >= 0; n -= 1) text += PIECES[next(PIECES.length)];
    assert.equal(byteLength(text), encoder.encode(text).length, JSON.stringify(text));
  }
});

test('joined parts equal the text', () => {
  const next = random(2);
  for (let round = 0; round < 5_000; round += 1) {
    let text = '';
    for (let n = next(80); n > 0; n -= 1) text += PIECES[next(PIECES.length)];
    const limit = 4 + next(120);
    const parts = splitText(text, limit);
    assert.equal(parts.map((part) => part.text).join(''), text);
    for (const part of parts) {
      assert.ok(part.text.length > 0);
      assert.ok(byteLength(part.text) <= limit, `${byteLength(part.text)} of ${limit}`);
      assert.ok(!/^[\udc00-\udfff]/.test(part.text), 'a character is divided');
    }
  }
});

test('text is divided at line ends outside of fences', () => {
  const parts = (/** @type {string} */ text, /** @type {number} */ limit) => splitText(text, limit).map((part) => part.text);
  assert.deepEqual(parts('aaa\nbbb\nccc', 8), ['aaa\nbbb\n', 'ccc']);
  assert.deepEqual(parts('aaa\n```\nb\n```\nc', 14), ['aaa\n```\nb\n```\n', 'c']);
  assert.deepEqual(parts('aaa\n```\nbbbb\n```\nc', 16), ['aaa\n', '```\nbbbb\n```\nc']);
  assert.deepEqual(parts('aaa bbb ccc', 8), ['aaa bbb ', 'ccc']);
  assert.deepEqual(parts('aaaaaaaaaa', 4), ['aaaa', 'aaaa', 'aa']);
  assert.deepEqual(parts('😀😀', 4), ['😀', '😀']);
});

test('messages fit, and a divided fence is closed and opened again', () => {
  const line = `${'x'.repeat(99)}\n`;
  const text = `Look:\n\`\`\`rust\n${line.repeat(400)}\`\`\`\nend`;
  const messages = splitMessages(text);
  assert.equal(messages.length, 4);
  for (const message of messages) {
    assert.ok(byteLength(message) <= MESSAGE_BYTES_MAX);
    assert.ok(!isInFence(message), 'a fence is open');
  }
  assert.equal(messages[0], 'Look:');
  assert.ok(messages[2]?.startsWith('```rust\nx'));
  assert.equal(messages.join('\n').split(line).length - 1, 400);
  assert.deepEqual(splitMessages('short\n'), ['short\n']);
  assert.ok(splitMessages(' \n'.repeat(10_000)).length === 0);
});

test('messages keep every letter of a long text', () => {
  const next = random(3);
  for (let round = 0; round < 30; round += 1) {
    let text = '';
    while (text.length < 40_000) text += PIECES[next(PIECES.length)]?.repeat(1 + next(40));
    const messages = splitMessages(text);
    const letters = (/** @type {string} */ value) => value.replace(/[^aé名😀x]/gu, '');
    assert.equal(letters(messages.join('')).length >= letters(text).length, true);
    for (const message of messages) {
      assert.ok(byteLength(message) <= MESSAGE_BYTES_MAX, `${byteLength(message)}`);
      assert.notEqual(message.trim(), '');
    }
  }
});

test('enter breaks the line in an open fence only', () => {
  for (const text of ['```', '```rust', '```\na', 'x\n~~~\n', '````\n```']) assert.equal(isInFence(text), true, text);
  for (const text of ['', 'a', '```\na\n```', '`a', '```a```', '> ```\n> a', '```\n```\nb']) assert.equal(isInFence(text), false, text);
});

test('words at the caret are completed', () => {
  const at = (/** @type {string} */ marked) => {
    const caret = marked.indexOf('|');
    const found = completedAt(marked.replace('|', ''), caret);
    return found && `${found.trigger}${found.query} ${found.from}-${found.to}`;
  };
  assert.equal(at('@|'), '@ 0-1');
  assert.equal(at('hi @bo|'), '@bo 3-6');
  assert.equal(at('hi @b|ob!'), '@b 3-7');
  assert.equal(at('(@b|'), '@b 1-3');
  assert.equal(at('x@b|'), null);
  assert.equal(at('`@b|'), null);
  assert.equal(at('`a` @b|'), '@b 4-6');
  assert.equal(at('> @b|'), null);
  assert.equal(at('```\n@b|'), null);
  assert.equal(at('#de|'), '#de 0-3');
  assert.equal(at('#alice/he|'), '#alice/he 0-9');
  assert.equal(at(':ta|'), ':ta 0-3');
  assert.equal(at(':t|'), null);
  assert.equal(at('10:30|'), null);
  assert.equal(at(':+1|'), ':+1 0-3');
  assert.equal(at('/|'), '/ 0-1');
  assert.equal(at('/in|'), '/in 0-3');
  assert.equal(at('/usr/b|'), null);
  assert.equal(at(' /in|'), null);
  assert.equal(at('/invite bo|'), '@bo 8-10');
  assert.equal(at('/invite @bo|'), '@bo 8-11');
  assert.equal(at('a|'), null);
  assert.equal(at('|'), null);
});

test('texts and commands are distinguished', () => {
  const as = (/** @type {string} */ text) => writtenAs(text, (name) => name === 'invite');
  assert.deepEqual(as('/invite @bob  admin '), { kind: 'command', name: 'invite', rest: '@bob  admin' });
  assert.deepEqual(as('/INVITE bob'), { kind: 'command', name: 'invite', rest: 'bob' });
  assert.deepEqual(as('/shrug'), { kind: 'unknown', name: 'shrug' });
  assert.deepEqual(as(' /shrug'), { kind: 'text', text: '/shrug' });
  assert.deepEqual(as('//shrug'), { kind: 'text', text: '/shrug' });
  assert.deepEqual(as('/usr/bin/x is'), { kind: 'text', text: '/usr/bin/x is' });
  assert.deepEqual(as('/'), { kind: 'text', text: '/' });
  assert.deepEqual(as('a /invite'), { kind: 'text', text: 'a /invite' });
});

test('blank lines around a text are not sent', () => {
  assert.equal(sentText('\n \n  a\n\nb \n'), '  a\n\nb');
  assert.equal(sentText(' \n'), '');
});
