// Rows, windows and cards of the timeline: pure functions.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { personName } from '../../../web/js/chat/person_name.js';
import { createStore } from '../../../web/js/chat/store.js';
import { buildRows, noteLines, noteSentence, pushOf, threadsOf } from '../../../web/js/chat/timeline_rows.js';
import { followTail, gapsIn, growDown, growUp, pageOfGap, trimWindow, windowAround, windowAtEnd, WINDOW_ROWS_MAX } from '../../../web/js/chat/timeline_window.js';
import { isAtEnd } from '../../../web/js/chat/anchor.js';
import { createReadMarks, isRowSeen } from '../../../web/js/chat/read_marks.js';
import { avatarClass, fnv1a, initialsOf } from '../../../web/js/chat/avatar.js';
import { createUnread } from '../../../web/js/chat/timeline_unread.js';
import { createPages } from '../../../web/js/chat/timeline_pages.js';
import { foldedText } from '../../../web/js/chat/text_context.js';
import { createNews, newsSentence } from '../../../web/js/chat/timeline_news.js';

const ME = 1;
const BEGIN = new Date(2026, 10, 27, 9, 0).getTime();
const at = (/** @type {number} */ minute) => new Date(BEGIN + minute * 60_000).toISOString();
/** @param {number} seq @param {number} sender @param {number} minute @param {object} [more] */
const message = (seq, sender, minute, more = {}) => ({ chat_id: 7, seq, kind: 'message', actor_id: sender, created_at: at(minute), message: { id: 100 + seq, chat_id: 7, seq, sender_id: sender, content: `text ${seq}`, created_at: at(minute), ...more } });
/** @param {number} seq @param {string} kind @param {number} minute @param {object} [more] */
const change = (seq, kind, minute, more = {}) => ({ chat_id: 7, seq, kind, actor_id: 2, created_at: at(minute), ...more });
/** @param {any[]} events @param {object} [more] */
const rows = (events, more = {}) => buildRows({ events, me: ME, last: events.at(-1)?.seq ?? 0, ...more });
/** @param {import('../../../web/js/chat/timeline_rows.js').TimelineRow[]} list */
const kinds = (list) => list.map((row) => row.kind).join(' ');
/** @param {[number, number][]} ranges @param {number} last */
const facts = (ranges, last) => ({ ranges: ranges.map(([from, to]) => ({ from, to })), last, first_known: 1 });

test('messages_of_one_sender_share_a_head_within_five_minutes', () => {
  const list = rows([message(1, 2, 0), message(2, 2, 5), message(3, 2, 11), message(4, 3, 12), message(5, 2, 13)]);
  assert.deepEqual(list.filter((row) => row.kind === 'message').map((row) => row.head), [true, false, true, true, true]);
});

test('change_between_messages_ends_the_head', () => {
  const list = rows([message(1, 2, 0), change(2, 'rename', 1, { name: 'x' }), message(3, 2, 2)]);
  assert.equal(kinds(list), 'day message note message');
  assert.equal(list.at(-1)?.head, true);
});

test('day_line_stands_before_the_first_row_of_each_day', () => {
  assert.equal(kinds(rows([message(1, 2, 0), message(2, 2, 1), message(3, 2, 24 * 60)])), 'day message message day message');
});

test('new_line_stands_before_the_first_unread_message_of_others', () => {
  assert.equal(kinds(rows([message(1, 2, 0), message(2, ME, 1), message(3, 2, 2), message(4, 2, 3)], { newAfter: 1 })), 'day message message new message message');
  assert.equal(kinds(rows([message(1, 2, 0), message(2, 2, 1)], { newAfter: 2 })), 'day message message');
  assert.equal(kinds(rows([message(1, 2, 0), message(2, 2, 1)])), 'day message message');
});

test('new_line_is_left_out_when_it_is_above_the_window', () => {
  assert.equal(kinds(rows([message(9, 2, 0), message(10, 2, 1)], { newAfter: 3, first: 9 })), 'day message message');
});

test('events_that_change_messages_have_no_row', () => {
  const list = rows([message(1, 2, 0), change(2, 'react', 1), change(3, 'edit', 1), change(4, 'delete', 1), change(5, 'unknown_kind', 1)]);
  assert.equal(kinds(list), 'day message');
  assert.equal(list.at(-1)?.through, 5);
});

test('joins_are_folded_when_they_follow_each_other', () => {
  const joins = [1, 2, 3, 4].map((n) => change(n, 'join', n, { user_id: n, actor_id: n, role: 'member' }));
  const [row] = rows(joins).filter((item) => item.kind === 'note');
  const lines = noteLines(row?.groups ?? [], (id) => `u${id}`);
  assert.deepEqual(lines.map((line) => [line.text, line.more.length]), [['4 joined', 4]]);
});

test('long_run_of_changes_is_one_line_of_counts', () => {
  const groups = ['join', 'leave', 'join', 'rename'].map((kind, n) => ({ kind, events: [change(n, kind, 0, { user_id: 3, name: 'x' })] }));
  assert.equal(noteLines(groups, () => 'a')[0]?.text, '2 joined · 1 left · renamed once');
});

test('sentence_names_the_actor_when_another_user_is_changed', () => {
  const plain = (/** @type {any} */ event) => noteSentence(event, (id) => `u${id}`).replace(/[\u2068\u2069]/gu, '');
  assert.equal(plain(change(1, 'join', 0, { user_id: 3 })), 'u2 added u3');
  assert.equal(plain(change(1, 'join', 0, { user_id: 2 })), 'u2 joined');
  assert.equal(plain(change(1, 'leave', 0, { user_id: 3 })), 'u2 removed u3');
  assert.equal(plain(change(1, 'role', 0, { user_id: 3, role: 'owner' })), 'u2 made u3 an owner');
});

test('sentence_isolates_names', () => {
  const event = change(1, 'rename', 0, { name: 'dev” and left\u2069' });
  assert.equal(noteSentence(event, () => 'bob\u202e'), '\u2068bob\u2069 renamed the chat to “\u2068dev” and left\u2069”');
});

test('name_that_another_user_has_is_shown_with_the_user_name', () => {
  const store = createStore({ now: () => 0 });
  const user = (/** @type {number} */ id, /** @type {string} */ username, display_name = '') => ({ id, username, display_name });
  store.apply({ type: 'users', users: [user(1, 'alice', 'Alice'), user(2, 'bob', 'The Builder'), user(3, 'carol')] });
  const names = () => [1, 2, 3, 4].map((id) => personName(/** @type {any} */ ({ store }), id));
  assert.deepEqual(names(), ['Alice', 'The Builder', 'carol', 'user 4']);
  store.apply({ type: 'users', users: [user(4, 'mallory', 'ALICE'), user(2, 'bob', 'Carol'), user(3, 'carol', 'Carol @carol')] });
  assert.deepEqual(names(), ['Alice @alice', 'Carol @bob', 'Carol @carol @carol', 'ALICE @mallory']);
});

const PUSH = { repository_id: 1, repository: 'alice/hello/web', refs: [{ ref: 'refs/heads/main', old: 'a'.repeat(40), new: 'b'.repeat(40) }], ref_count: 1, commits: [], commit_count: 0 };

test('push_and_its_message_are_one_row', () => {
  const list = rows([change(1, 'push', 0, { push: PUSH }), message(2, 2, 0, { metadata: { push_seq: 1 } })]);
  assert.equal(kinds(list), 'day message');
  assert.equal(list.at(-1)?.push?.seq, 1);
});

test('push_is_not_taken_from_metadata_of_another_user', () => {
  const push = change(1, 'push', 0, { push: PUSH });
  assert.equal(pushOf(/** @type {any} */ (message(2, 3, 0, { metadata: { push_seq: 1 } }).message), () => push), undefined);
  assert.equal(pushOf(/** @type {any} */ (message(3, 2, 0, { metadata: { push_seq: 1 } }).message), () => push), undefined);
  assert.equal(pushOf(/** @type {any} */ (message(2, 2, 0, { metadata: { push_seq: '1' } }).message), () => push), undefined);
});

test('push_without_its_message_has_a_row_of_its_own', () => {
  const events = [change(1, 'push', 0, { push: PUSH }), message(2, 2, 0, { deleted: true })];
  assert.equal(kinds(rows(events)), 'day push message');
  assert.equal(kinds(rows(events.slice(0, 1))), '', 'the message of the newest push is about to arrive');
});

test('own_message_keeps_the_key_of_its_pending_row', () => {
  const pending = { client_id: 'x', chat_id: 7, content: 'hi', state: /** @type {const} */ ('sending'), created_at: BEGIN };
  const [, waiting] = buildRows({ events: [], pending: [pending], me: ME, last: 0 });
  const [, sent] = rows([message(1, ME, 0, { client_id: 'x' })]);
  assert.equal(waiting?.key, sent?.key);
});

test('gap_stands_between_the_loaded_rows', () => {
  const list = rows([message(1, 2, 0), message(9, 2, 1)], { gaps: [{ from: 2, to: 8 }] });
  assert.equal(kinds(list), 'day message gap message');
  assert.equal(list[1]?.through, 1, 'what is not loaded is not read');
});

test('replies_are_counted_for_the_root_of_their_thread', () => {
  const threads = threadsOf([message(1, 2, 0), message(2, 3, 1, { thread_id: 101 }), message(3, 3, 2, { thread_id: 101 }), message(4, 3, 3, { thread_id: 101, deleted: true })]);
  assert.deepEqual(threads.get(101), { count: 2, last: at(2) });
});

test('window_at_the_end_follows_new_events', () => {
  const { window, need } = windowAtEnd(facts([[1, 500]], 500));
  assert.deepEqual([window, need], [{ first: 401, last: 500, tail: true }, undefined]);
  assert.equal(followTail(window, facts([[1, 501]], 501)).last, 501);
  assert.deepEqual(windowAtEnd(facts([], 500)).need, { before: 501 });
  assert.deepEqual(windowAtEnd(facts([], 0)).window, { first: 1, last: 0, tail: true });
});

test('window_around_a_seq_requests_the_page_when_it_is_not_loaded', () => {
  const known = facts([[100, 200], [400, 500]], 500);
  assert.deepEqual(windowAround(known, 300).need, { around: 300 });
  assert.deepEqual(windowAround(known, 190).window, { first: 101, last: 200, tail: false });
  assert.equal(windowAround(known, 480).window.tail, true);
});

test('window_grows_within_loaded_ranges_then_by_pages', () => {
  const known = facts([[100, 200], [400, 500]], 500);
  const up = growUp({ first: 120, last: 200, tail: false }, known);
  assert.deepEqual(up.window, { first: 100, last: 200, tail: false });
  assert.deepEqual(growUp(up.window, known).need, { before: 100 });
  assert.deepEqual(growDown(up.window, known).need, { after: 200 });
  assert.equal(growDown({ first: 401, last: 460, tail: false }, known).window.tail, true);
  assert.equal(growUp({ first: 1, last: 9, tail: false }, facts([[1, 9]], 9)).need, undefined);
});

test('gap_is_closed_from_the_side_of_the_reader', () => {
  const known = facts([[1, 50], [90, 100]], 120);
  assert.deepEqual(gapsIn({ first: 40, last: 120, tail: true }, known), [{ from: 51, to: 89 }, { from: 101, to: 120 }]);
  assert.deepEqual(pageOfGap({ from: 51, to: 89 }, 'up'), { before: 90 });
  assert.deepEqual(pageOfGap({ from: 51, to: 89 }, 'down'), { after: 50 });
});

test('window_is_trimmed_on_the_far_side_by_rows_and_weight', () => {
  const list = Array.from({ length: 400 }, (_, n) => ({ seq: n + 1, through: n + 1, weight: 5 }));
  const window = { first: 1, last: 400, tail: true };
  assert.deepEqual(trimWindow(window, list, 'top', { rows: WINDOW_ROWS_MAX, weight: 1e9 }), { first: 101, last: 400, tail: true });
  assert.deepEqual(trimWindow(window, list, 'bottom', { rows: WINDOW_ROWS_MAX, weight: 1e9 }), { first: 1, last: 300, tail: false });
  assert.deepEqual(trimWindow(window, list, 'top', { rows: WINDOW_ROWS_MAX, weight: 500 }), { first: 301, last: 400, tail: true });
  assert.equal(trimWindow(window, list.slice(0, 10), 'top', { rows: WINDOW_ROWS_MAX, weight: 500 }), window);
});

test('pages_without_a_new_row_end_the_requests_until_the_button', async () => {
  let [calls, isNew] = [0, false];
  const ctx = /** @type {any} */ ({ store: { timeline: () => ({ ranges: [calls] }) }, actions: { page: async () => { calls += 1; } } });
  const pages = createPages({ ctx, chat: () => 7, changed: () => isNew });
  for (let n = 0; n < 40; n += 1) await pages.load({ before: 5 }, n % 2 ? 'up' : 'gap');
  assert.ok(calls <= 13, `${calls}`);
  assert.equal(pages.isFailed('up') && pages.isFailed('gap'), true);
  for (let n = 0; n < 40; n += 1) {
    pages.retry('up');
    await pages.load({ before: 5 }, 'up');
  }
  isNew = true;
  for (let n = 0; n < 40; n += 1) await pages.load({ before: 5 }, 'up');
  assert.ok(calls > 80);
});

test('window_is_trimmed_at_both_sides_of_rows_that_stay', () => {
  const window = { first: 1, last: 20, tail: true };
  const list = Array.from({ length: 20 }, (_, n) => ({ seq: n + 1, through: n + 1, weight: 600 }));
  const max = { rows: WINDOW_ROWS_MAX, weight: 3000 };
  assert.deepEqual(trimWindow(window, list, 'bottom', max, { from: 12, to: 14 }), { first: 10, last: 14, tail: false });
  assert.deepEqual(trimWindow(window, list, 'top', max, { from: 12, to: 20 }), { first: 13, last: 20, tail: true });
  assert.deepEqual(trimWindow(window, list, 'top', max, { from: 2, to: 10 }), { first: 3, last: 10, tail: false });
});

test('folded_text_ends_after_its_first_lines_or_characters', () => {
  assert.equal(foldedText('a\n'.repeat(8190)), 'a\n'.repeat(29) + 'a');
  assert.equal(foldedText(`${'x'.repeat(2399)}😀`), 'x'.repeat(2399));
  for (const short of ['', 'a\n'.repeat(29), 'x'.repeat(2400)]) assert.equal(foldedText(short), short);
});

test('reader_near_the_end_is_at_the_end_unless_scrolling_up', () => {
  assert.equal(isAtEnd({ top: 900, height: 600, full: 1600, sinceUpMs: Infinity }), true);
  assert.equal(isAtEnd({ top: 899, height: 600, full: 1600, sinceUpMs: Infinity }), false);
  assert.equal(isAtEnd({ top: 997, height: 600, full: 1600, sinceUpMs: 1000 }), false, 'after a scroll up');
  assert.equal(isAtEnd({ top: 998, height: 600, full: 1600, sinceUpMs: 1000 }), true, 'back at the end');
  assert.equal(isAtEnd({ top: 1000, height: 600, full: 1600, sinceUpMs: 150 }), false);
});

test('row_is_read_after_half_a_second_on_the_screen', () => {
  let now = 0;
  const marks = createReadMarks(() => now);
  marks.reset(3);
  marks.see([{ seq: 4, through: 4 }, { seq: 5, through: 5 }]);
  assert.equal(marks.due(), 0);
  now = 400;
  marks.see([{ seq: 5, through: 5 }, { seq: 6, through: 6 }]);
  now = 500;
  assert.equal(marks.due(), 5, 'row 6 came later');
  now = 1000;
  assert.equal(marks.due(), 0, 'at most one mark a second');
  now = 1500;
  assert.equal(marks.due(), 6);
  marks.see([{ seq: 7, through: 7 }]);
  marks.leave();
  now = 9000;
  assert.equal(marks.due(), 0, 'the window had lost the focus');
});

test('nothing_is_read_after_mark_unread_until_the_chat_opens', () => {
  let now = 0;
  const marks = createReadMarks(() => now);
  marks.see([{ seq: 4, through: 4 }]);
  marks.hold();
  now = 5000;
  assert.equal(marks.due(), 0);
  marks.reset(2);
  marks.see([{ seq: 4, through: 4 }]);
  now = 6000;
  assert.equal(marks.due(), 4);
});

test('tall_row_is_seen_when_its_end_or_half_a_screen_is_visible', () => {
  assert.deepEqual([[797, 1439], [500, 600], [500, 805], [400, 1400], [410, 1400], [-600, 400], [-600, 1200]].map(([top = 0, end = 0]) => isRowSeen(top, end, 800)), [false, true, false, true, false, true, true]);
});

test('row_is_read_although_reactions_to_it_follow', () => {
  let now = 0;
  const marks = createReadMarks(() => now);
  for (; now < 600; now += 100) marks.see([{ seq: 4, through: 4 + now }]);
  assert.equal(marks.due(), 504);
});

test('new_line_moves_only_after_it_was_seen_and_the_reader_left', () => {
  const unread = createUnread();
  unread.open(10, 5, 20);
  assert.deepEqual([unread.newAfter(), unread.above(15), unread.above(11)], [10, 5, 0]);
  unread.left();
  unread.arrived(1, 20);
  assert.equal(unread.newAfter(), 10, 'the reader has not seen the line');
  unread.lineShown();
  assert.equal(unread.above(15), 0);
  unread.arrived(1, 21);
  assert.equal(unread.newAfter(), 10, 'the reader is here');
  unread.left();
  unread.arrived(1, 22);
  assert.equal(unread.newAfter(), 22);
});

test('refused_page_is_requested_again_only_on_demand', async () => {
  let calls = 0;
  let ranges = [{ from: 5, to: 9 }];
  let isRefused = true;
  const ctx = /** @type {any} */ ({ store: { timeline: () => ({ ranges }) }, actions: { page: async () => { calls += 1; if (isRefused) throw new Error('offline'); ranges = [{ from: 1, to: 9 }]; } } });
  const pages = createPages({ ctx, chat: () => 7, changed: () => {} });
  await Promise.all([pages.load({ before: 5 }, 'up'), pages.load({ before: 5 }, 'up')]);
  assert.deepEqual([calls, pages.isFailed('up'), pages.isFailed('down')], [1, true, false]);
  await pages.load({ before: 5 }, 'up');
  assert.equal(calls, 1);
  isRefused = false;
  pages.retry('up');
  await pages.load({ before: 5 }, 'up');
  assert.deepEqual([calls, pages.isFailed('up')], [2, false]);
  await pages.load({ before: 1 }, 'up');
  assert.equal(pages.isFailed('up'), true, 'a page without events ends the requests');
});

test('single_message_is_announced_by_text_many_by_count', () => {
  assert.equal(newsSentence([{ name: 'bob', text: 'hi' }], 1, 'dev'), 'bob: hi');
  assert.equal(newsSentence([{ name: 'bob', text: 'hi' }, { name: 'bob', text: 'yo' }], 3, 'dev'), '3 new messages in dev');
});

test('avatar_has_initials_and_hue_of_the_pages', () => {
  for (const [name, expected] of [['Alice', 'A'], ['alice liddell', 'AL'], ['Ada King Lovelace', 'AL'], ['bob-smith', 'BS'], ['e\u0301mile zola', 'ÉZ'], ['किरण', 'कि'], ['山田 太郎', '山太'], ['4 you', '4Y'], ['<b> x', 'BX'], ['ßa', 'SS'], ['🎉', '']]) {
    assert.equal(initialsOf(/** @type {string} */ (name)), expected, name);
  }
  assert.equal(avatarClass('alice'), 'avatar-11');
  assert.equal(fnv1a(new TextEncoder().encode('foobar')), 0xbf9cf968);
});

test('busy_chat_is_announced_every_ten_seconds', (t) => {
  let [at, last] = [100_000, 0];
  const said = /** @type {any[]} */ ([]);
  const settings = /** @type {Record<string, string>} */ ({});
  t.mock.timers.enable({ apis: ['setTimeout'] });
  t.mock.method(performance, 'now', () => at);
  let content = 'hi';
  const events = (/** @type {number} */ _, /** @type {number} */ from, /** @type {number} */ to) => Array.from({ length: to - from + 1 }, (__, n) => ({ ...message(from + n, 2, 0), message: { ...message(from + n, 2, 0).message, content } }));
  const store = { me: { id: ME, username: 'alice' }, timeline: () => ({ last }), events, chat: () => ({ kind: 'group' }), user: () => ({ username: 'bob' }) };
  const news = createNews(/** @type {any} */ ({ root: { visibilityState: 'visible' }, store, local: { get: (/** @type {string} */ key) => settings[key] }, announce: (/** @type {string} */ sentence) => said.push([(at - 100_000) / 1000, sentence]) }));
  news.open(3, 0);
  const pass = (/** @type {number} */ seconds) => { for (let n = 0; n < seconds * 2; n += 1) { at += 500; t.mock.timers.tick(500); last += 1; news.take('dev'); } };
  news.take('dev');
  pass(25);
  assert.deepEqual(said.map(([when]) => when), [1, 2, 3, 13, 23]);
  assert.equal(said.at(-1)?.[1], '20 new messages in dev');
  at += 60_000;
  t.mock.timers.tick(60_000);
  said.length = 0;
  settings.announce = 'off';
  pass(3);
  assert.deepEqual(said, []);
  settings.announce = 'mentions';
  at += 60_000;
  content = 'hi @Alice2 and @alice-x';
  pass(3);
  assert.deepEqual(said, []);
  content = 'hi @Alice!';
  pass(1);
  assert.equal(said.length, 1);
});
