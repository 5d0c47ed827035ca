// Marks at lines of a file that messages are about, and a list of these messages above the code.
//
// Where the server knows it, a message has whether the file is the same as when it was written. Only
// then the numbers of the lines are right, so other messages are listed without a mark.
import { localTimes } from './times.js';

/**
 * A message about lines, as the API returns it.
 * @typedef {{ message_id: number, chat_id: number, seq: number, created_at: string, oid: string,
 *   from: number, to: number, replies: number, unchanged?: boolean }} Talk
 */

/** The file of a page. @typedef {{ repository: string, oid: string, path: string }} TalkFile */

/** Messages with the line at which they are marked. @typedef {{ line: number, talks: Talk[] }} TalkMark */

/**
 * Returns the file of a permalink: `/owner/project/name/-/blob/OID/path`. Null if it is another
 * address, or if the path is not UTF-8.
 * @param {string} pathname
 * @returns {TalkFile | null}
 */
export function talkFile(pathname) {
  const found = /^\/([^/]+\/[^/]+\/[^/]+)\/-\/(?:blob|blame)\/([0-9a-f]{40})\/(.+)$/.exec(pathname);
  if (!found) return null;
  try {
    return { repository: found[1] ?? '', oid: found[2] ?? '', path: decodeURIComponent(found[3] ?? '') };
  } catch {
    return null;
  }
}

/**
 * Returns the messages whose lines the shown file has, by the line at which they begin. Messages
 * that begin at the next line share a mark, so that marks do not touch.
 * @param {Talk[]} talks newest first
 * @returns {TalkMark[]}
 */
export function talkMarks(talks) {
  const sorted = talks.filter((talk) => talk.unchanged).sort((one, other) => one.from - other.from);
  /** @type {TalkMark[]} */
  const marks = [];
  for (const talk of sorted) {
    const last = marks.at(-1);
    if (last && talk.from - last.line <= 1) last.talks.push(talk);
    else marks.push({ line: talk.from, talks: [talk] });
  }
  return marks;
}

/** @param {{ from: number, to: number }} range */
export const talkLines = ({ from, to }) => (from === to ? `line ${from}` : `lines ${from} to ${to}`);

/**
 * Returns the name of a mark, for its title and for screen readers.
 * @param {TalkMark} mark
 */
export function talkMarkName({ talks }) {
  const from = Math.min(...talks.map((talk) => talk.from));
  const to = Math.max(...talks.map((talk) => talk.to));
  return `${talks.length === 1 ? '1 talk' : `${talks.length} talks`} about ${talkLines({ from, to })}`;
}

/** @param {Talk} talk */
const talkHref = (talk) => `/chat/${talk.chat_id}/${talk.seq}`;

/**
 * @param {Document} root
 * @param {TalkMark} mark
 */
function drawTalkMark(root, mark) {
  const line = root.getElementById(`L${mark.line}`);
  const newest = mark.talks.reduce((one, other) => (other.message_id > one.message_id ? other : one));
  if (!line) return;
  const link = root.createElement('a');
  link.className = 'talk-mark';
  link.href = talkHref(newest);
  // The count is drawn by the style sheet: copied code has no marks.
  link.dataset.count = String(mark.talks.length);
  const name = talkMarkName(mark);
  link.setAttribute('aria-label', name);
  link.title = name;
  line.prepend(link);
}

/**
 * @param {Document} root
 * @param {TalkFile} file
 * @param {Talk} talk
 */
function talkItem(root, file, talk) {
  const link = root.createElement('a');
  link.href = talkHref(talk);
  const words = talkLines(talk);
  link.textContent = words.charAt(0).toUpperCase() + words.slice(1);
  const time = root.createElement('time');
  time.dateTime = talk.created_at;
  const item = root.createElement('li');
  item.append(link, ' · ', time);
  if (talk.replies) item.append(` · ${talk.replies === 1 ? '1 reply' : `${talk.replies} replies`}`);
  if (!talk.unchanged) {
    const version = root.createElement('a');
    const path = file.path.split('/').map(encodeURIComponent).join('/');
    const end = talk.from === talk.to ? `#L${talk.from}` : `#L${talk.from}-L${talk.to}`;
    version.href = `/${file.repository}/-/blob/${talk.oid}/${path}${end}`;
    version.textContent = `version ${talk.oid.slice(0, 8)}`;
    item.append(' · ', version);
  }
  return item;
}

/**
 * @param {Document} root
 * @param {TalkFile} file
 * @param {Talk[]} talks
 */
function talkList(root, file, talks) {
  const list = root.createElement('details');
  list.className = 'talks';
  const summary = root.createElement('summary');
  summary.textContent = talks.length === 1 ? '1 talk about this file' : `${talks.length} talks about this file`;
  list.append(summary);
  const groups = /** @type {const} */ ([['Talks about this version', true], ['Talks about earlier versions', false]]);
  for (const [name, unchanged] of groups) {
    const own = talks.filter((talk) => Boolean(talk.unchanged) === unchanged);
    if (!own.length) continue;
    const head = root.createElement('p');
    head.textContent = name;
    const items = root.createElement('ul');
    items.append(...own.map((talk) => talkItem(root, file, talk)));
    list.append(head, items);
  }
  localTimes(list);
  return list;
}

/** @param {Document} root */
export async function talks(root) {
  const code = root.querySelector('[data-code]');
  const permalink = root.querySelector('a[data-key="y"]');
  if (!code || !(permalink instanceof HTMLAnchorElement)) return;
  const file = talkFile(permalink.pathname);
  // Talks are listed for users only.
  if (!file || !root.querySelector('[data-inbox]')) return;
  const [user, project, name] = file.repository.split('/');
  const query = new URLSearchParams({ path: file.path, ref: file.oid });
  let found;
  try {
    const address = `/api/projects/${user}/${project}/repos/${name}/talks?${query}`;
    const response = await fetch(address, { headers: { 'X-NetBit-Web': '1' } });
    if (!response.ok) return;
    found = /** @type {Talk[]} */ ((await response.json()).items);
  } catch {
    return; // The file is shown without talks.
  }
  if (!found.length) return;
  for (const mark of talkMarks(found)) drawTalkMark(root, mark);
  code.closest('.scroll')?.before(talkList(root, file, found));
}
