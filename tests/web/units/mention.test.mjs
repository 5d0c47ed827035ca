// The mention rule of the browser equals that of the server: both read the same vectors.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Meter, blocksOf, candidatesOf, tokensOf, trimSpace } from '../../../web/js/chat/mention.js';
import { mentionsOf } from './mentions_of.mjs';

const { vectors } = JSON.parse(readFileSync(new URL('../../../examples/mentions.json', import.meta.url), 'utf8'));

test('mention rule equals the vectors of the server', () => {
  assert.ok(vectors.length > 50);
  for (const { why, text, names, all } of vectors) assert.deepEqual(mentionsOf(text), { all, names }, `${why}: ${text}`);
});

test('longest name comes first among candidates', () => {
  assert.deepEqual(candidatesOf('Bob_-.'), ['bob_-.', 'bob_-', 'bob_', 'bob']);
  assert.deepEqual(candidatesOf('bob'), ['bob']);
  assert.equal(candidatesOf('x'.repeat(39) + '_'.repeat(100)).length, 1);
  for (const written of ['x'.repeat(40), '-bob', '', '.', 'bobé', 'bob\u212a']) assert.deepEqual(candidatesOf(written), [], written);
});

test('white space is that of the server', () => {
  assert.equal(trimSpace('\u0085\u00a0 x\u3000'), 'x');
  assert.equal(trimSpace('\ufeffx'), '\ufeffx');
  // U+FEFF is not white space: the line is neither blank nor a quote.
  assert.deepEqual(mentionsOf('`a\n\ufeff\n@bob`').names, []);
  assert.deepEqual(mentionsOf('`a\n\u0085\n@bob`').names, ['bob']);
  assert.deepEqual(mentionsOf('\ufeff> @bob').names, ['bob']);
});

test('tokens cover the whole text', () => {
  for (const { text } of vectors) {
    for (const block of blocksOf(text)) {
      if (block.kind !== 'paragraph') continue;
      let at = 0;
      for (const token of tokensOf(block.text)) {
        assert.equal(token.from, at);
        assert.ok(token.to > token.from);
        at = token.to;
      }
      assert.equal(at, block.text.length);
    }
  }
});

test('steps grow with the length of the text only', () => {
  const pieces = ['`', '[', '[a](', '[a](b', '``` a\n', '@a ', '@a_', 'a.', '://', '> @a\n', '`` ` ', '](', 'x/', '@', 'a', ' ', '\n'];
  for (const piece of pieces) {
    const meter = new Meter();
    const text = piece.repeat(Math.ceil(100_000 / piece.length));
    mentionsOf(text, meter);
    assert.ok(meter.steps <= 8 * text.length, `${JSON.stringify(piece)}: ${meter.steps} steps for ${text.length} characters`);
  }
  const meter = new Meter();
  const runs = Array.from({ length: 400 }, (_, length) => `${'`'.repeat(length + 1)}a`).join('');
  mentionsOf(runs, meter);
  assert.ok(meter.steps <= 8 * runs.length, `${meter.steps} steps for ${runs.length} characters`);
});
