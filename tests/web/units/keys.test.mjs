import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { KEY_LIST } from '../../../web/js/chat/key_list.js';
import { commandOf } from '../../../web/js/chat/key_table.js';
import { barOf } from '../../../web/js/chat/state_bar.js';

const press = (/** @type {string} */ key, more = {}) => ({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, isComposing: false, ...more });
const command = (/** @type {any} */ event, facts = {}) => commandOf(event, { inField: false, inDialog: false, singleOff: false, afterG: false, ...facts });

test('fields_keep_their_keys', () => {
  for (const key of ['j', 'k', 'n', 'g', '?', '/', '+', 'Delete', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'e']) assert.equal(command(press(key), { inField: true }), '', key);
  assert.equal(command(press('k', { ctrlKey: true }), { inField: true }), 'switcher');
  assert.equal(command(press('K', { metaKey: true }), { inField: true }), 'switcher');
  assert.equal(command(press('ArrowDown', { altKey: true }), { inField: true }), 'chat-forward');
  assert.equal(command(press('ArrowUp', { altKey: true, shiftKey: true }), { inField: true }), 'unread-back');
  assert.equal(command(press('F6', { shiftKey: true }), { inField: true }), 'part-back');
  assert.equal(command(press('Escape'), { inField: true }), 'escape');
});

test('input_method_keeps_all_keys', () => {
  for (const key of ['Escape', 'F6', 'j', 'Process']) {
    assert.equal(command(press(key, { isComposing: true })), '', key);
    assert.equal(command(press(key, { keyCode: 229 })), '', key);
  }
});

test('single_keys_can_be_switched_off', () => {
  for (const key of ['j', 'n', '?', '/', 'g', 'r']) assert.equal(command(press(key), { singleOff: true }), '', key);
  assert.equal(command(press('ArrowDown'), { singleOff: true }), 'down');
  assert.equal(command(press('k', { ctrlKey: true }), { singleOff: true }), 'switcher');
});

test('modified_letters_belong_to_the_browser', () => {
  for (const key of ['r', 't', 'p', 'c', 'n', 'e', 'j', 'f']) {
    assert.equal(command(press(key, { ctrlKey: true })), '', key);
    assert.equal(command(press(key, { metaKey: true })), '', key);
    assert.equal(command(press(key, { altKey: true })), '', key);
  }
});

test('letters_after_g_go_to_places', () => {
  assert.deepEqual(['c', 'p', 'i', 's'].map((key) => command(press(key), { afterG: true })), ['go-chat', 'go-projects', 'go-inbox', 'go-settings']);
  assert.equal(command(press('c')), 'copy');
});

test('dialog_keeps_keys_but_the_switcher', () => {
  for (const key of ['j', 'Escape', 'F6', 'ArrowDown', '?']) assert.equal(command(press(key), { inDialog: true }), '', key);
  assert.equal(command(press('k', { ctrlKey: true }), { inDialog: true }), 'switcher');
});

test('key_list_names_each_key_once_in_its_group', () => {
  for (const [title, rows] of KEY_LIST) {
    const keys = rows.flatMap(([names]) => names);
    assert.equal(new Set(keys).size, keys.length, title);
  }
});

test('documented_keys_are_those_of_the_list', () => {
  const manual = readFileSync(new URL('../../../docs/WEB.md', import.meta.url), 'utf8');
  const [, table = ''] = manual.split('| Where | Keys | Effect |\n|---|---|---|\n');
  const named = (/** @type {string} */ keys) => keys.split(' ').map((key) => `\`${key}\``).join(' ');
  const rows = KEY_LIST.flatMap(([title, list]) => list.map(([keys, words]) => `| ${title} | ${named(keys)} | ${words} |`));
  assert.deepEqual(table.split('\n\n')[0]?.split('\n'), rows);
});

test('state_bar_names_cause_and_next_step', () => {
  const bar = (/** @type {any} */ connection, more = {}) => barOf({ connection, isSlow: true, isOutdated: false, now: 1000, ...more });
  assert.equal(bar({ state: 'online' }), null);
  assert.equal(bar({ state: 'connecting' }, { isSlow: false }), null);
  assert.equal(bar({ state: 'connecting' })?.words, 'Connecting…');
  assert.deepEqual([bar({ state: 'waiting', retry_at: 4200 })?.count, bar({ state: 'waiting', retry_at: 4200 })?.action], ['Reconnecting in 4 s', 'now']);
  assert.equal(bar({ state: 'waiting', retry_at: 900 })?.count, 'Reconnecting…');
  assert.equal(bar({ state: 'logged_out' })?.action, 'login');
  assert.equal(bar({ state: 'online' }, { isOutdated: true })?.action, 'reload');
  assert.equal(bar({ state: 'online', notice: 'The disk is full: reading works.' })?.tone, 'warning');
});
