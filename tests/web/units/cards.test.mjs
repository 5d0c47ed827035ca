// Cards of pushes and of lines of code: what they take from a message.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { comparePath, ownText, pushText, refChange } from '../../../web/js/chat/push_card.js';
import { fetchCommand } from '../../../web/js/chat/push_details.js';
import { codePlaceIn, codePlaceOf, codePlaces } from '../../../web/js/chat/code_card.js';

const OID = 'a'.repeat(40);
const NEW = 'b'.repeat(40);
/** @param {object} [more] */
const push = (more = {}) => ({ repository_id: 1, repository: 'alice/hello/web', refs: [{ ref: 'refs/heads/main', old: OID, new: NEW }], ref_count: 1, commits: [{ oid: NEW, summary: 'Mend', author: 'B' }], commit_count: 1, ...more });

test('push_is_summarized_like_the_text_of_the_server', () => {
  assert.equal(pushText(push()), 'pushed 1 commit to main of alice/hello/web');
  assert.equal(pushText(push({ commit_count: 3 })), 'pushed 3 commits to main of alice/hello/web');
  assert.equal(pushText(push({ commit_count: 0 })), 'pushed main to alice/hello/web');
  assert.equal(pushText(push({ refs: [{ ref: 'refs/tags/v1', old: OID }] })), 'deleted v1 in alice/hello/web');
});

test('change_of_a_ref_is_named', () => {
  assert.equal(refChange({ ref: 'refs/heads/a', new: NEW }, push()), 'new');
  assert.equal(refChange({ ref: 'refs/heads/a', old: OID }, push()), 'deleted');
  assert.equal(refChange({ ref: 'refs/heads/a', old: OID, new: NEW }, push()), 'moved');
  assert.equal(refChange({ ref: 'refs/heads/a', old: OID, new: NEW }, push({ commit_count: 0 })), 'forced');
  assert.equal(refChange({ ref: 'refs/heads/a', old: OID, new: NEW, forced: true }, push()), 'forced');
});

test('text_of_the_pusher_is_separated_from_that_of_the_server', () => {
  const added = `pushed 1 commit to main of alice/hello/web\n- bbbbbbbb Mend\nhttp://x/alice/hello/web/-/compare/${OID}...${NEW}`;
  assert.equal(ownText(added, push()), '');
  assert.equal(ownText(`please\nlook\n${added}`, push()), 'please\nlook');
  assert.equal(ownText('edited by hand', push()), 'edited by hand');
});

test('compare_leads_to_pages_of_the_repository_only', () => {
  assert.equal(comparePath(push(), 'x\nhttp://host/alice/hello/web/-/compare/main...x'), '/alice/hello/web/-/compare/main...x');
  assert.equal(comparePath(push(), 'x\nhttp://host/evil/-/compare/1'), `/alice/hello/web/-/compare/${OID}...${NEW}`);
  assert.equal(comparePath(push({ refs: [{ ref: 'refs/heads/a', old: OID }] }), undefined), '/alice/hello/web/-/branches');
});

test('fetch_command_quotes_names_for_the_shell', () => {
  assert.equal(fetchCommand(push(), 'http://h'), 'git fetch http://h/alice/hello/web.git main');
  const odd = push({ refs: [{ ref: "refs/heads/$(reboot)'x", old: null, new: NEW }] });
  assert.equal(fetchCommand(odd, 'http://h'), "git fetch http://h/alice/hello/web.git '$(reboot)'\\''x'");
  assert.equal(fetchCommand(push({ refs: [{ ref: 'refs/heads/-x', new: NEW }] }), 'http://h'), 'git fetch http://h/alice/hello/web.git refs/heads/-x');
  assert.equal(fetchCommand(push({ refs: [{ ref: 'refs/heads/x', old: OID }] }), 'http://h'), '');
});

test('link_to_lines_of_this_server_is_a_place', () => {
  const place = codePlaceOf('http://h/alice/hello/web/-/blob/main/src/a.rs#L20-L10', 'http://h');
  assert.deepEqual(place, { repository: 'alice/hello/web', rest: 'main/src/a.rs', from: 10, to: 20, href: '/alice/hello/web/-/blob/main/src/a.rs#L20-L10' });
  for (const other of ['http://evil/alice/hello/web/-/blob/main/a#L1', 'http://h/alice/hello/web/-/blob/main/a', 'http://h/alice/hello/web/-/blob/main#L1', 'http://h/alice/hello/web/-/tree/main/a#L1', 'http://h.evil/alice/hello/web/-/blob/main/a#L1']) {
    assert.equal(codePlaceOf(other, 'http://h'), undefined, other);
  }
});

test('code_in_metadata_is_checked_field_by_field', () => {
  const code = { repository: 'alice/hello/web', oid: OID, path: 'src/a b.rs', from: 3, to: 4 };
  assert.equal(codePlaceIn(code)?.href, `/alice/hello/web/-/blob/${OID}/src/a%20b.rs#L3-L4`);
  for (const bad of [null, 'x', { ...code, oid: 'main' }, { ...code, path: '../x' }, { ...code, path: 'a//b' }, { ...code, from: 0 }, { ...code, to: 2 }, { ...code, repository: 'alice/hello/web/../x' }, { ...code, repository: 'javascript:alert(1)' }, { ...code, from: 1.5 }]) {
    assert.equal(codePlaceIn(bad), undefined, JSON.stringify(bad));
  }
});

test('places_of_a_message_are_few_and_different', () => {
  const link = 'http://h/alice/hello/web/-/blob/main/a.rs#L1';
  const content = `${link} ${link} (${link}2) ${link}3 ${link}4 ${link}5`;
  assert.deepEqual(codePlaces({ content }, 'http://h').map((place) => place.from), [1, 12, 13]);
});
