// The search for messages in the switcher: pauses, late answers, and how hits are shown.
import assert from 'node:assert/strict';
import test from 'node:test';
import { SEARCH_HITS_MAX, chatFilter, createMessageSearch, excerptLine, hitPlace } from '../../../web/js/chat/message_search.js';
import { splitTyped } from '../../../web/js/chat/rank.js';
import { searchedText } from '../../../web/js/chat/switcher_hits.js';
import { fakeClock, randomOf, settled } from './fake.mjs';

/** @param {string} excerpt @returns {import('../../../web/js/chat/message_search.js').MessageHit} */
const hit = (excerpt) => ({ chat: { id: 7, kind: 'group', name: 'team' }, message_id: 1, seq: 3, sender: 'bob', excerpt });

/** A search whose answers a test gives. */
function searching() {
  const clock = fakeClock();
  /** @type {{ text: string, answer: (excerpt: string) => void, refuse: (error: unknown) => void }[]} */
  const asked = [];
  let [changes, open, most] = [0, 0, 0];
  const search = createMessageSearch({
    after: clock.after,
    changed: () => { changes += 1; },
    ask: (text) => new Promise((done, failed) => {
      open += 1;
      most = Math.max(most, open);
      const end = () => { open -= 1; };
      asked.push({ text, answer: (excerpt) => { end(); done([hit(excerpt)]); }, refuse: (error) => { end(); failed(error); } });
    }),
  });
  return { clock, asked, search, changes: () => changes, most: () => most, excerpts: () => search.state().hits.map(({ excerpt }) => excerpt) };
}

test('search_begins_after_a_pause_in_the_typing', async () => {
  const { clock, asked, search } = searching();
  for (const text of ['d', 'di', 'dis', 'disk']) {
    search.want(text);
    await clock.run(200);
  }
  assert.deepEqual(asked.map(({ text }) => text), []);
  await clock.run(50);
  assert.deepEqual(asked.map(({ text }) => text), ['disk']);
  search.want('disk');
  await clock.run(1000);
  assert.equal(asked.length, 1, 'the same text is not searched for again');
});

test('late_answer_is_dropped_and_one_request_runs_at_once', async () => {
  const { clock, asked, search, changes, excerpts } = searching();
  search.want('first');
  await clock.run(250);
  search.want('second');
  await clock.run(1000);
  assert.equal(asked.length, 1, 'the second request waits for the first');
  asked[0]?.answer('about first');
  await settled();
  assert.deepEqual([changes(), excerpts(), search.state().isDone], [0, [], false]);
  assert.deepEqual(asked.map(({ text }) => text), ['first', 'second']);
  asked[1]?.answer('about second');
  await settled();
  assert.deepEqual([changes(), excerpts(), search.state().isDone], [1, ['about second'], true]);
});

test('answer_during_the_pause_does_not_begin_the_next_search', async () => {
  const { clock, asked, search, excerpts } = searching();
  search.want('first');
  await clock.run(250);
  search.want('second');
  await clock.run(100);
  asked[0]?.answer('about first');
  await settled();
  assert.equal(asked.length, 1);
  await clock.run(150);
  asked[1]?.answer('about second');
  await settled();
  assert.deepEqual(excerpts(), ['about second']);
});

test('text_that_returns_gets_its_own_answer', async () => {
  const { clock, asked, search, excerpts } = searching();
  search.want('word');
  await clock.run(250);
  search.want('words');
  search.want('word');
  await clock.run(250);
  asked[0]?.answer('an answer to the same text');
  await settled();
  assert.equal(asked.length, 2);
  asked[1]?.answer('the newest answer');
  await settled();
  assert.deepEqual(excerpts(), ['the newest answer']);
});

test('refusal_is_kept_until_the_text_changes', async () => {
  const { clock, asked, search, changes } = searching();
  search.want('from:');
  await clock.run(250);
  asked[0]?.refuse({ detail: 'q from: needs a user name' });
  await settled();
  assert.deepEqual([changes(), search.state().problem, search.state().isDone], [1, { detail: 'q from: needs a user name' }, true]);
  search.want('');
  assert.deepEqual([search.state().problem, search.state().text], [null, '']);
  await clock.run(1000);
  assert.equal(asked.length, 1, 'no text, no search');
});

test('hits_belong_to_the_present_text_whatever_is_typed', async () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = randomOf(seed);
    const { clock, asked, search, most, excerpts } = searching();
    let [answered, typed] = [0, ''];
    for (let step = 0; step < 60; step += 1) {
      const next = random();
      if (next < 0.5) search.want(typed = ['', 'a', 'ab', 'abc'][Math.floor(random() * 4)] ?? '');
      else if (next < 0.75) await clock.run(Math.floor(random() * 400));
      else if (answered < asked.length) asked[answered]?.answer(asked[answered]?.text ?? ''), answered += 1;
      await settled();
      for (const excerpt of excerpts()) assert.equal(excerpt, typed, `seed ${seed}`);
      assert.ok(most() <= 1, `seed ${seed}`);
    }
    // In the end, the last text has its answer.
    for (let round = 0; round < 3; round += 1) {
      await clock.run(1000);
      for (; answered < asked.length; answered += 1) asked[answered]?.answer(asked[answered]?.text ?? '');
      await settled();
    }
    assert.deepEqual(excerpts(), typed ? [typed] : [], `seed ${seed}`);
  }
});

test('line_begins_near_the_first_match', () => {
  const line = (/** @type {string} */ excerpt, /** @type {[number, number][] | undefined} */ highlights) => excerptLine({ excerpt, highlights }).map(({ text, isMatch }) => (isMatch ? `[${text}]` : text)).join('');
  assert.equal(line('the disk\nis full', [[4, 8], [12, 16]]), 'the [disk] is [full]');
  assert.equal(line('👍👍 größe', [[3, 8]]), '👍👍 [größe]');
  assert.equal(line('no words', undefined), 'no words');
  assert.equal(line(`${'x'.repeat(50)} needle in it`, [[51, 57]]), `…${'x'.repeat(23)} [needle] in it`);
  assert.equal(line('abc', [[2, 9], [1, 2], [0, 1]]), 'a[b]c', 'impossible ranges are ignored');
  assert.equal(line('', []), '');
});

test('chat_is_named_as_its_filter_names_it', () => {
  /** @type {[import('../../../web/js/chat/message_search.js').FoundChat, string, string][]} */
  const table = [
    [{ id: 1, kind: 'direct', peer: 'bob' }, 'in:@bob', '@bob'],
    [{ id: 2, kind: 'channel', name: 'general' }, 'in:#general', '#general'],
    [{ id: 3, kind: 'channel', name: 'our place' }, 'in:!3', '#our place'],
    [{ id: 4, kind: 'channel', name: 'alice/hello', project_id: 9 }, 'in:#alice/hello', 'alice/hello'],
    [{ id: 5, kind: 'group', name: 'team' }, 'in:!5', 'team'],
    [{ id: 6, kind: 'direct' }, 'in:!6', 'chat 6'],
  ];
  for (const [chat, filter, place] of table) assert.deepEqual([chatFilter(chat), hitPlace(chat)], [filter, place]);
  assert.equal(SEARCH_HITS_MAX, 5);
});

test('text_with_another_prefix_is_not_searched_for', () => {
  const searched = (/** @type {string} */ typed) => {
    const { prefix, text } = splitTyped(typed);
    return searchedText(prefix, text);
  };
  assert.deepEqual(['disk full', ' ?in:#dev ', '? x', '東', 'd', '', '?'].map(searched), ['disk full', 'in:#dev', '', '東', '', '', '']);
  assert.deepEqual(['#disk', '@disk', '/disk', '>disk'].map(searched), ['', '', '', '']);
});
