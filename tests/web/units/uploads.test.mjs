// Uploads: how many at once, what is sent again and from where, what ends them. Names of files.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { pastedName, sentName } from '../../../web/js/chat/file_names.js';
import { createUploads } from '../../../web/js/chat/uploads.js';
import { fakeClock, settled } from './fake.mjs';

const problem = (/** @type {number} */ status, isUpload = true) => Object.assign(new Error('no'), { status, code: status === 0 ? 'offline' : 'x', detail: `problem ${status}`, isUpload });

/**
 * A server with the offsets of its files. `faults` are the answers to the next requests that send
 * bytes: `[bytes that arrive, status]`; without one, all bytes arrive.
 */
function serverOf() {
  const clock = fakeClock();
  /** @type {Map<number, { size: number, offset: number, complete: boolean }>} */
  const files = new Map();
  /** @type {string[]} */
  const log = [];
  /** @type {[number, number][]} */
  const faults = [];
  /** Statuses of the next announcements that are refused. @type {number[]} */
  const refusals = [];
  const state = { isHeld: false, most: 0, busy: 0 };
  /** @type {(() => void)[]} */
  const held = [];
  const uploads = createUploads({
    after: clock.after,
    changed: () => {},
    call: async (method, path, body) => {
      log.push(`${method} ${path}`);
      const status = method === 'GET' ? undefined : refusals.shift();
      if (status !== undefined) throw problem(status, false);
      if (method === 'POST') {
        files.set(files.size + 1, { size: /** @type {any} */ (body).size, offset: 0, complete: false });
        return { id: files.size };
      }
      const file = files.get(Number(path.split('/')[3]));
      if (!file) throw problem(404, false);
      return file;
    },
    send: async (path, _, { offset, signal, progress }) => {
      log.push(`PUT ${path} from ${offset}`);
      state.busy += 1;
      state.most = Math.max(state.most, state.busy);
      if (state.isHeld) await new Promise((done) => { held.push(() => done(0)); signal.addEventListener('abort', () => done(0)); });
      state.busy -= 1;
      const file = files.get(Number(path.split('/')[3]));
      if (!file) throw problem(404);
      const [arrived, status] = faults.shift() ?? [file.size, 200];
      if (signal.aborted) throw problem(0);
      file.offset = Math.min(file.size, Math.max(file.offset, arrived));
      progress(file.offset);
      if (status !== 200) throw problem(status);
      file.complete = true;
    },
  });
  const add = (size = 100) => uploads.add(7, new Blob(['x'.repeat(size)]), 'a.bin');
  return { uploads, add, clock, log, files, faults, refusals, state, held };
}

test('upload_is_announced_then_sent', async () => {
  const { add, log } = serverOf();
  const upload = add();
  await settled();
  assert.deepEqual(log, ['POST /api/chats/7/files', 'PUT /api/files/1/upload from 0']);
  assert.deepEqual([upload.state, upload.sent, upload.id], ['done', 100, 1]);
});

test('two_uploads_run_at_once_and_others_wait', async () => {
  const { add, state, held } = serverOf();
  state.isHeld = true;
  const all = Array.from({ length: 5 }, () => add());
  await settled();
  assert.deepEqual(all.map((upload) => upload.state), ['uploading', 'uploading', 'waiting', 'waiting', 'waiting']);
  for (let round = 0; round < 5; round += 1) {
    held.shift()?.();
    await settled();
  }
  assert.deepEqual(all.map((upload) => upload.state), Array(5).fill('done'));
  assert.equal(state.most, 2);
});

test('broken_upload_continues_from_the_offset_of_the_server', async () => {
  const { add, log, faults, clock } = serverOf();
  faults.push([40, 0], [90, 400]);
  const upload = add();
  await settled();
  assert.deepEqual([upload.state, upload.problem], ['uploading', 'Problem 0']);
  await clock.run(10_000);
  assert.equal(upload.state, 'done');
  assert.deepEqual(log.filter((line) => line.startsWith('PUT')).map((line) => line.split(' ').at(-1)), ['0', '40', '90']);
});

test('lost_answer_of_a_complete_upload_sends_nothing_again', async () => {
  const { add, log, faults, files, clock } = serverOf();
  faults.push([100, 0]);
  const upload = add();
  await settled();
  const file = files.get(1);
  if (file) file.complete = true;
  await clock.run(10_000);
  assert.equal(upload.state, 'done');
  assert.equal(log.filter((line) => line.startsWith('PUT')).length, 1);
});

test('upload_without_progress_fails_after_some_attempts', async () => {
  const { add, log, faults, clock, uploads } = serverOf();
  for (let tries = 0; tries < 20; tries += 1) faults.push([10, 0]);
  const upload = add();
  await clock.run(600_000);
  assert.deepEqual([upload.state, upload.problem], ['failed', 'Problem 0']);
  // The first attempt brought bytes.
  assert.equal(log.filter((line) => line.startsWith('PUT')).length, 9);
  faults.length = 0;
  uploads.retry(upload);
  await settled();
  assert.equal(upload.state, 'done');
  assert.equal(log.at(-1), 'PUT /api/files/1/upload from 10');
});

test('progress_allows_more_attempts', async () => {
  const { add, faults, clock } = serverOf();
  for (let tries = 1; tries < 30; tries += 1) faults.push([tries, 0]);
  const upload = add();
  await clock.run(600_000);
  assert.equal(upload.state, 'done');
});

test('return_of_the_network_ends_the_pause', async () => {
  const { add, faults, uploads } = serverOf();
  faults.push([40, 0]);
  const upload = add();
  await settled();
  uploads.wake();
  await settled();
  assert.equal(upload.state, 'done');
});

test('refused_upload_fails_at_once', async () => {
  for (const status of [401, 403, 413, 422]) {
    const { add, refusals, clock, log } = serverOf();
    refusals.push(status);
    const upload = add();
    await clock.run(600_000);
    assert.deepEqual([upload.state, upload.problem], ['failed', `Problem ${status}`]);
    assert.equal(log.length, 1);
  }
  const { add, faults } = serverOf();
  faults.push([0, 413]);
  const upload = add();
  await settled();
  assert.equal(upload.state, 'failed');
});

test('busy_server_is_asked_again', async () => {
  for (const status of [429, 503]) {
    const { add, refusals, clock } = serverOf();
    refusals.push(status);
    const upload = add();
    await clock.run(10_000);
    assert.equal(upload.state, 'done');
  }
});

test('file_that_the_server_removed_is_announced_again', async () => {
  const { add, faults, files, clock, uploads, log } = serverOf();
  faults.push([40, 0]);
  const upload = add();
  await settled();
  files.delete(1);
  await clock.run(10_000);
  assert.equal(upload.state, 'failed');
  uploads.retry(upload);
  await settled();
  assert.equal(upload.state, 'done');
  assert.equal(log.filter((line) => line.startsWith('POST')).length, 2);
});

test('removed_upload_ends_its_request_and_its_file', async () => {
  const { add, state, log, uploads } = serverOf();
  state.isHeld = true;
  const [first, second, third] = [add(), add(), add()];
  await settled();
  uploads.remove(first);
  await settled();
  assert.equal(log.filter((line) => line === 'DELETE /api/files/1').length, 1);
  // Its place is free.
  assert.deepEqual([second.state, third.state], ['uploading', 'uploading']);
  // A file of a message is not removed.
  uploads.sent(second);
  assert.ok(!log.includes('DELETE /api/files/2'));
});

test('upload_removed_during_its_announcement_leaves_no_file', async () => {
  const { add, log, uploads } = serverOf();
  const upload = add();
  await Promise.resolve();
  uploads.remove(upload);
  await settled();
  assert.deepEqual(log, ['POST /api/chats/7/files', 'DELETE /api/files/1']);
});

/** Characters and names that the server refuses; its own tests read the same table. @type {{ replaced: [number, number][], blank: [number, number][], names: [string, string][] }} */
const TABLE = JSON.parse(readFileSync(new URL('../file_names.json', import.meta.url), 'utf8'));

test('names_are_those_that_the_server_accepts', () => {
  for (const [name, sent] of TABLE.names) assert.equal(sentName(name), sent);
  const has = (/** @type {[number, number][]} */ ranges, /** @type {number} */ code) => ranges.some(([from, to]) => from <= code && code <= to);
  for (let code = 0; code <= 0x10ffff; code += 1) {
    // Halves of characters are not text.
    const isHalf = code >= 0xd800 && code <= 0xdfff;
    const c = String.fromCodePoint(code);
    const isReplaced = isHalf || has(TABLE.replaced, code);
    assert.equal(sentName(`a${c}b`), isReplaced ? 'a_b' : `a${c}b`.normalize('NFC'), code.toString(16));
    if (!isReplaced) assert.equal(sentName(c) === 'file', has(TABLE.blank, code) || c === '.', code.toString(16));
  }
});

test('long_names_keep_their_ending', () => {
  const long = sentName(`${'😀'.repeat(300)}.tar`);
  assert.deepEqual([[...long].length, long.slice(-4)], [255, '.tar']);
  assert.equal(sentName('\ud800x'), '_x');
});

test('screenshots_get_the_time_as_their_name', () => {
  const at = new Date(2026, 0, 5, 9, 7);
  assert.equal(pastedName('image.png', at), 'screenshot-2026-01-05-0907.png');
  assert.equal(pastedName('report.png', at), 'report.png');
});
