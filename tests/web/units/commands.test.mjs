// Commands of the composer, members, and reasons why a user cannot write.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { COMMANDS, commandsLike } from '../../../web/js/chat/commands.js';
import { closedReason } from '../../../web/js/chat/composer_banner.js';
import { membersLike } from '../../../web/js/chat/composer_options.js';
import { membersOf } from '../../../web/js/chat/members.js';

/** @typedef {any} Any */

const group = /** @type {Any} */ ({ id: 7, kind: 'group', name: 'dev' });
const direct = /** @type {Any} */ ({ id: 8, kind: 'direct', peer: 'bob' });

/** Runs a command with actions that only record. */
async function run(/** @type {string} */ name, /** @type {string} */ rest, /** @type {Any} */ answers = {}) {
  /** @type {Any[]} */
  const calls = [];
  const actions = new Proxy({}, { get: (_, key) => async (/** @type {Any[]} */ ...args) => { calls.push([key, ...args]); return answers[key]?.(...args); } });
  const router = { go: (/** @type {string} */ path) => calls.push(['go', path]) };
  const command = COMMANDS.find((one) => one.name === name);
  try {
    return { sentence: await command?.run(/** @type {Any} */ ({ actions, router }), group, rest), calls, refused: '' };
  } catch (error) {
    return { sentence: '', calls, refused: /** @type {Any} */ (error).detail };
  }
}

test('commands call the actions', async () => {
  assert.deepEqual((await run('invite', '@Bob admin')).calls, [['invite', 7, 'bob', 'admin']]);
  assert.deepEqual((await run('remove', 'bob')).calls, [['removeMember', 7, 'bob']]);
  assert.deepEqual((await run('leave', '')).calls, [['leave', 7], ['go', '/chat']]);
  assert.deepEqual((await run('topic', 'new name')).calls, [['rename', 7, 'new name']]);
  assert.deepEqual((await run('notify', 'mentions')).calls, [['notify', 7, 'mentions']]);
  assert.deepEqual((await run('status', 'dnd')).calls, [['status', 'dnd']]);
  const { calls } = await run('new', 'the team @bob @carol', { create: () => ({ id: 9 }) });
  assert.deepEqual(calls, [['create', { kind: 'group', name: 'the team', participants: ['bob', 'carol'] }], ['go', '/chat/9']]);
});

test('commands without their argument are refused with their form', async () => {
  for (const name of ['invite', 'remove', 'join', 'new', 'direct', 'topic', 'notify', 'status']) {
    const { refused, calls } = await run(name, '');
    assert.match(refused, new RegExp(`/${name}`), name);
    assert.deepEqual(calls, []);
  }
  assert.match((await run('invite', '@bob king')).refused, /not a role/);
});

test('join searches all pages of channels', async () => {
  const pages = [{ items: [{ id: 1, name: 'one' }], next: 'x' }, { items: [{ id: 2, name: 'Two' }], next: null }];
  const joinable = (/** @type {string | undefined} */ cursor) => pages[cursor ? 1 : 0];
  assert.deepEqual((await run('join', '#two', { joinable })).calls.slice(-2), [['join', 2], ['go', '/chat/2']]);
  assert.match((await run('join', 'three', { joinable })).refused, /channel "three"/);
});

test('commands apply to the kind of the chat', () => {
  assert.ok(commandsLike(group, 'l').some(({ name }) => name === 'leave'));
  assert.deepEqual(commandsLike(direct, 'l'), []);
  assert.ok(!commandsLike(/** @type {Any} */ ({ ...group, project_id: 1 }), '').some(({ name }) => name === 'topic'));
});

test('user who cannot write gets the reason', () => {
  assert.equal(closedReason(group, 'member', []), '');
  assert.equal(closedReason(group, undefined, []), '');
  assert.match(closedReason({ ...group, archived: true }, 'owner', []), /archived/);
  assert.match(closedReason({ ...direct, active: false }, undefined, []), /bob is deactivated/);
  assert.match(closedReason(group, 'reader', ['alice']), /Ask an owner: alice\./);
});

test('members are read in pages, once, and again after a change', async () => {
  let reads = 0;
  let time = 0;
  const participants = async (/** @type {number} */ _chat, /** @type {string | undefined} */ cursor) => {
    reads += 1;
    return cursor ? { items: [{ user_id: 2, username: 'bob', role: 'member' }], next: null } : { items: [{ user_id: 1, username: 'alice', role: 'owner' }], next: 'x' };
  };
  const events = /** @type {Any[]} */ ([]);
  const store = { me: { id: 1, username: 'alice' }, chat: (/** @type {number} */ id) => [group, direct].find((chat) => chat.id === id), user: (/** @type {number} */ id) => ({ id, username: `u${id}`, display_name: id === 2 ? 'The Builder' : '' }), timeline: () => ({ last: events.at(-1)?.seq ?? 0 }), events: (/** @type {number} */ _, /** @type {number} */ from) => events.filter(({ seq }) => seq >= from) };
  const ctx = /** @type {Any} */ ({ store, actions: { participants }, now: () => time });
  const members = membersOf(ctx);
  assert.equal(membersOf({ ...ctx }), members);
  assert.equal(members.find(7, 'zed'), undefined);
  await Promise.all([members.load(7), members.load(7)]);
  assert.equal(reads, 1, 'the own role is on the first page');
  assert.equal(members.find(7, 'zed'), undefined);
  await Promise.all([members.load(7, true), members.load(7, true)]);
  await members.load(7);
  assert.equal(reads, 2);
  assert.equal(members.find(7, 'zed'), null);
  assert.equal(members.find(7, 'bob')?.username, 'bob');
  assert.equal(members.ownRole(7), 'owner');
  assert.deepEqual(members.owners(7), ['alice']);
  assert.deepEqual(membersLike(ctx, members.people(7), 'b').map(({ username }) => username), ['bob']);
  assert.deepEqual(membersLike(ctx, members.people(7), 'bui').map(({ username }) => username), ['bob']);
  for (let seq = 1; seq < 2000; seq += 1) {
    events.push({ seq, kind: seq % 2 ? 'join' : 'leave', user_id: 5, role: 'member' });
    members.forget(7);
    await members.load(7, true);
  }
  assert.equal(reads, 2, 'changes are applied');
  assert.equal(members.find(7, 'u5')?.username, 'u5');
  events.push({ seq: 2000, kind: 'leave', user_id: 5 }, { seq: 2001, kind: 'role', user_id: 2, role: 'owner' });
  members.forget(7);
  assert.equal(members.find(7, 'u5'), null);
  assert.deepEqual(members.owners(7), ['alice', 'bob']);
  time += 30_000;
  members.forget(7);
  await members.load(7, true);
  assert.equal(reads, 4);
  time = 1e9;
  await members.load(7, true);
  assert.equal(reads, 6);
  assert.equal(members.find(8, 'bob')?.username, 'bob');
  assert.equal(members.find(8, 'carol'), null);
});

test('own role is read beyond the first pages', async () => {
  /** @type {Any[]} */
  const cursors = [];
  const participants = async (/** @type {number} */ _, /** @type {string} */ cursor) => {
    cursors.push(cursor);
    return cursor === '4999' ? { items: [{ user_id: 5000, username: 'me', role: 'reader' }], next: '5000' } : { items: [{ user_id: 1, username: 'alice', role: 'owner' }], next: '1' };
  };
  const store = { me: { id: 5000, username: 'me' }, chat: () => group, timeline: () => ({ last: 0 }), events: () => [] };
  const members = membersOf(/** @type {Any} */ ({ store, actions: { participants }, now: () => 0 }));
  await members.load(7);
  await members.load(7);
  assert.deepEqual(cursors, [undefined, '4999']);
  assert.equal(members.ownRole(7), 'reader');
});
