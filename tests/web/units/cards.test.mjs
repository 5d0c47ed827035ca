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
  assert.equal(comparePath(push()), `/alice/hello/web/-/compare/${OID}...${NEW}`);
  assert.equal(comparePath(push({ repository: '\\evil/a?/b', refs: [{ ref: 'refs/heads/a', new: NEW }] })), `/%5Cevil/a%3F/b/-/commits/${NEW}`);
  assert.equal(comparePath(push({ refs: [{ ref: 'refs/heads/a', old: OID }] })), '/alice/hello/web/-/branches');
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
  assert.deepEqual(place, { repository: 'alice/hello/web', rest: 'main/src/a.rs', from: 10, to: 20, href: '/alice/hello/web/-/blob/main/src/a.rs#L10-L20' });
  for (const other of ['http://evil/alice/hello/web/-/blob/main/a#L1', 'http://h/alice/hello/web/-/blob/main/a', 'http://h/alice/hello/web/-/blob/main#L1', 'http://h/alice/hello/web/-/tree/main/a#L1', 'http://h.evil/alice/hello/web/-/blob/main/a#L1']) {
    assert.equal(codePlaceOf(other, 'http://h'), undefined, other);
  }
});

test('code_in_metadata_is_checked_field_by_field', () => {
  const code = { repository: 'alice/hello/web', oid: OID, path: 'src/a b.rs', from: 3, to: 4 };
  assert.equal(codePlaceIn(code, 'http://h')?.href, `/alice/hello/web/-/blob/${OID}/src/a%20b.rs#L3-L4`);
  for (const bad of [null, 'x', { ...code, oid: 'main' }, { ...code, path: '../x' }, { ...code, path: 'a//b' }, { ...code, from: 0 }, { ...code, to: 2 }, { ...code, repository: 'alice/hello/web/../x' }, { ...code, repository: 'javascript:alert(1)' }, { ...code, from: 1.5 }]) {
    assert.equal(codePlaceIn(bad, 'http://h'), undefined, JSON.stringify(bad));
  }
});

test('places_of_a_message_are_few_and_different', () => {
  const link = 'http://h/alice/hello/web/-/blob/main/a.rs#L1';
  const content = `${link} ${link} (${link}2) ${link}3 ${link}4 ${link}5`;
  assert.deepEqual(codePlaces({ content }, 'http://h').map((place) => place.from), [1, 12, 13]);
});

test('place_outside_of_a_repository_has_no_card', () => {
  const code = { repository: 'alice/hello/web', oid: OID, path: 'a', from: 1, to: 1 };
  const repositories = ['\\evil.example/x/y', '/evil/x', 'a/..', 'alice/hello/..', 'alice/%2e%2e/web', 'alice/./web', 'alice/hello/web?x=', 'alice/hello/we\tb', '.alice/hello/web', 'a/b/c/d', 'alice/a..b/web', '-a/b/c', '/a/b/c'];
  for (const repository of repositories) {
    assert.equal(codePlaceIn({ ...code, repository }, 'http://h'), undefined, repository);
    assert.equal(codePlaceOf(`http://h/${repository}/-/blob/main/a#L1`, 'http://h'), undefined, repository);
  }
  for (const path of ['..', '../x', 'a/../b', 'a/./b', '.', 'a//b', '', '/a', 'a/', 'a\\..\\b', '\\a', 'a\nb', 'a\0', 'a\u0085', '\ud800']) {
    assert.equal(codePlaceIn({ ...code, path }, 'http://h'), undefined, JSON.stringify(path));
  }
  for (const rest of ['main/../../../settings', 'main/%2e%2e/x', 'main/.%2E/x', 'main/%2e/x', 'main/a%2f..%2fb', 'main/a%5c..%5cb', 'main/a\\b', '../a', '%2e%2e/a', 'main//a', 'main/%00', 'main/%0a', '/evil.example/a', 'main/']) {
    assert.equal(codePlaceOf(`http://h/alice/hello/web/-/blob/${rest}#L1`, 'http://h'), undefined, rest);
  }
  for (const address of ['http://h/\\evil.example/x/y/-/blob/main/a#L1', 'http://h//evil.example/x/-/blob/main/a#L1', 'http://h/\\evil#L1', 'http://h@evil/a/b/c/-/blob/main/a#L1']) {
    assert.equal(codePlaceOf(address, 'http://h'), undefined, address);
  }
});

test('odd_name_of_a_file_stays_one_part_of_the_address', () => {
  for (const name of ['what?.rs', 'a#b', '100%', '%2e%2e', "it's (1)!", 'é.rs', ':a', 'a b']) {
    const place = codePlaceIn({ repository: 'Alice/Hello_1/web.x', oid: OID, path: `src/${name}`, from: 1, to: 1 }, 'http://h');
    assert.equal(place?.href, `/Alice/Hello_1/web.x/-/blob/${OID}/src/${encodeURIComponent(name)}#L1`);
    assert.equal(codePlaceOf(`http://h${place?.href}`, 'http://h')?.rest, place?.rest);
  }
});

test('addresses_are_found_in_linear_time', () => {
  const texts = ['http://', 'http://h/-/blob/', '/-/blob/', '#L1', 'http://a#L'].map((part) => part.repeat(16_000 / part.length));
  const began = performance.now();
  for (let n = 0; n < 100; n += 1) for (const content of [...texts, `#L1 ${texts[0]}`, `${texts[1]}#L1`]) codePlaces({ content: `${content}` }, 'http://h');
  assert.ok(performance.now() - began < 1500);
  assert.deepEqual(codePlaces({ content: `see [x](http://h/alice/hello/web/-/blob/main/a.rs#L3-L4), or not` }, 'http://h').map(({ from, to }) => [from, to]), [[3, 4]]);
  assert.deepEqual(codePlaces({ content: `http://h/a/b/c/-/blob/main/${'x'.repeat(2001)}#L3` }, 'http://h'), []);
});
