// Marks at lines of a file that messages are about, and a list of these messages above the code: on
// the page of a file, on its blame, and at each file of a page of changes.
//
// Where the server knows it, a message has whether the file is the same as when it was written. Only
// then the numbers of the lines are right, so other messages are listed without a mark. A changed
// file is asked for when it comes near the screen.
import { fileAt } from '../kit/file_at.js';
import { encodedPath } from '../kit/path.js';
import { lineFragment, lineWords } from '../kit/range.js';
import { blobLink } from './changed_file.js';
import { localTimes } from './times.js';

/** Changed files of a page whose talks are requested. */
const TALK_FILES_MAX = 100;
/** Requests for talks at the same time. */
const TALK_LOADS_MAX = 3;
/** Changed files this near to the screen are asked for. */
const TALKS_AHEAD = { rootMargin: '400px' };

/** @typedef {import('../kit/file_at.js').FileAt} FileAt */

/**
 * A message about lines, as the API returns it.
 * @typedef {{ message_id: number, chat_id: number, seq: number, created_at: string, oid: string,
 *   from: number, to: number, replies: number, unchanged?: boolean }} Talk
 */

/** Messages with the line at which they are marked. @typedef {{ line: number, talks: Talk[] }} TalkMark */

/**
 * Returns the messages whose lines the shown file has, by the line at which they begin. Messages
 * that begin at the next line share a mark, so that marks do not touch.
 * @param {Talk[]} found newest first
 * @returns {TalkMark[]}
 */
export function talkMarks(found) {
  const sorted = found.filter((talk) => talk.unchanged).sort((one, other) => one.from - other.from);
  /** @type {TalkMark[]} */
  const marks = [];
  for (const talk of sorted) {
    const last = marks.at(-1);
    if (last && talk.from - last.line <= 1) last.talks.push(talk);
    else marks.push({ line: talk.from, talks: [talk] });
  }
  return marks;
}

/**
 * Returns the name of a mark, for its title and for screen readers.
 * @param {TalkMark} mark
 */
export function talkMarkName({ talks: about }) {
  const from = Math.min(...about.map((talk) => talk.from));
  const to = Math.max(...about.map((talk) => talk.to));
  return `${about.length === 1 ? '1 talk' : `${about.length} talks`} about ${lineWords({ from, to })}`;
}

/** @param {Talk} talk */
const talkHref = (talk) => `/chat/${talk.chat_id}/${talk.seq}`;

/**
 * Adds a mark to the element of a line.
 * @param {Element} line
 * @param {TalkMark} mark
 */
function drawTalkMark(line, mark) {
  const newest = mark.talks.reduce((one, other) => (other.message_id > one.message_id ? other : one));
  const link = line.ownerDocument.createElement('a');
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
 * @param {FileAt} file
 * @param {Talk} talk
 */
function talkItem(root, file, talk) {
  const link = root.createElement('a');
  link.href = talkHref(talk);
  link.textContent = lineWords(talk).replace('l', 'L');
  const time = root.createElement('time');
  time.dateTime = talk.created_at;
  const item = root.createElement('li');
  item.append(link, ' · ', time);
  if (talk.replies) item.append(` · ${talk.replies === 1 ? '1 reply' : `${talk.replies} replies`}`);
  if (!talk.unchanged) {
    const version = root.createElement('a');
    version.href = `/${file.repository}/-/blob/${talk.oid}/${encodedPath(file.path)}${lineFragment(talk)}`;
    version.textContent = `version ${talk.oid.slice(0, 8)}`;
    item.append(' · ', version);
  }
  return item;
}

/**
 * @param {Document} root
 * @param {FileAt} file
 * @param {Talk[]} found
 */
function talkList(root, file, found) {
  const list = root.createElement('details');
  list.className = 'talks';
  const summary = root.createElement('summary');
  summary.textContent = found.length === 1 ? '1 talk about this file' : `${found.length} talks about this file`;
  list.append(summary);
  const groups = /** @type {const} */ ([['Talks about this version', true], ['Talks about earlier versions', false]]);
  for (const [name, unchanged] of groups) {
    const own = found.filter((talk) => Boolean(talk.unchanged) === unchanged);
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

/**
 * Returns the talks about a file; null if the server does not list them now.
 * @param {FileAt} file
 * @returns {Promise<Talk[] | null>}
 */
async function requestTalks({ repository, oid, path }) {
  const [user, project, name] = repository.split('/');
  const query = new URLSearchParams({ path, ref: oid });
  try {
    const response = await fetch(`/api/projects/${user}/${project}/repos/${name}/talks?${query}`, { headers: { 'X-NetBit-Web': '1' } });
    return response.ok ? (await response.json()).items : null;
  } catch {
    return null; // No answer.
  }
}

/**
 * Shows the talks about a file, or that they did not load.
 * @param {FileAt} file
 * @param {(node: HTMLElement) => void} place puts a node above the code
 * @param {(line: number) => Element | null | undefined} lineOf returns the element of a line
 * @returns {Promise<void>}
 */
async function showTalks(file, place, lineOf) {
  const found = await requestTalks(file);
  if (found === null) return place(retryTalks(() => showTalks(file, place, lineOf)));
  if (!found.length) return;
  for (const mark of talkMarks(found)) {
    const line = lineOf(mark.line);
    if (line) drawTalkMark(line, mark);
  }
  place(talkList(document, file, found));
}

/** @param {() => unknown} run */
function retryTalks(run) {
  const words = document.createElement('p');
  words.className = 'talks muted';
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'plain';
  button.textContent = 'Try again';
  button.addEventListener('click', () => {
    words.remove();
    run();
  });
  words.append('The talks about this file did not load. ', button);
  return words;
}

/** @type {(() => Promise<void>)[]} */
const waitingTalks = [];
let runningTalks = 0;

/**
 * Shows the talks about files in turn, a few requests at a time.
 * @param {() => Promise<void>} [show]
 */
function inTurn(show) {
  if (show) waitingTalks.push(show);
  while (runningTalks < TALK_LOADS_MAX) {
    const next = waitingTalks.shift();
    if (!next) return;
    runningTalks += 1;
    void next().finally(() => {
      runningTalks -= 1;
      inTurn();
    });
  }
}

/** @param {Document} root */
export function talks(root) {
  // Talks are listed for users only.
  if (!root.querySelector('[data-inbox]')) return;
  const code = root.querySelector('[data-code]');
  const permalink = root.querySelector('a[data-key="y"]');
  const file = code && permalink instanceof HTMLAnchorElement ? fileAt(permalink.pathname) : null;
  if (file) void showTalks(file, (node) => code?.closest('.scroll')?.before(node), (line) => root.getElementById(`L${line}`));
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      watch.unobserve(target);
      const changed = fileAt(blobLink(target)?.pathname ?? '');
      if (changed) inTurn(() => showTalks(changed, (node) => target.querySelector('.links')?.after(node), (line) => target.querySelector(`td[data-new="${line}"] + td`)));
    }
  }, TALKS_AHEAD);
  for (const changed of [...root.querySelectorAll('[data-changes] details.diff-file')].slice(0, TALK_FILES_MAX)) watch.observe(changed);
}
