// A push as a card: the event with its commits, and the message that announces it.
import { el } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { encodedPath } from '../kit/path.js';
import { hiddenMarker } from './hidden.js';

/** Names of refs in the first line; the others are counted. */
export const PUSH_NAMES_MAX = 3;
const PUSH_COMMITS_SHOWN_MAX = 10;
const PUSH_OID_CHARS = 8;
const PUSH_SUMMARY_CHARS = 160;

/** @typedef {import('./types.js').Event} Event */
/** @typedef {import('./types.js').Push} Push */
/** @typedef {import('./types.js').PushRef & { forced?: boolean }} PushedRef */

/**
 * Returns the name of a branch or tag.
 * @param {PushedRef} ref
 */
export const shortRef = (ref) => ref.ref.replace(/^refs\/(heads\/|tags\/)?/, '');
/**
 * Returns whether a ref is a tag.
 * @param {PushedRef} ref
 */
export const isTag = (ref) => ref.ref.startsWith('refs/tags/');
/** @param {string | null | undefined} oid */
const shortOid = (oid) => oid?.slice(0, PUSH_OID_CHARS) ?? '';

/**
 * Returns what happened to a ref: `forced` if its former commits are not part of it any more. A
 * branch that moved without a new commit went back.
 * @param {PushedRef} ref
 * @param {Push} push
 * @returns {'new' | 'deleted' | 'forced' | 'moved'}
 */
export function refChange(ref, push) {
  if (!ref.new) return 'deleted';
  if (!ref.old) return 'new';
  const wentBack = push.ref_count === 1 && push.commit_count === 0 && !isTag(ref);
  return ref.forced || wentBack || isTag(ref) ? 'forced' : 'moved';
}

/**
 * Returns the push in one line: "pushed 3 commits to main of alice/hello/web".
 * @param {Push} push
 */
export function pushText(push) {
  const names = refNames(push);
  if (push.refs.length > 0 && push.refs.every((ref) => !ref.new)) return `deleted ${names} in ${push.repository}`;
  if (push.commit_count === 0) return `pushed ${names} to ${push.repository}`;
  return `pushed ${commitWords(push)} to ${names} of ${push.repository}`;
}

/** @param {Push} push */
function refNames(push) {
  const names = push.refs.slice(0, PUSH_NAMES_MAX).map(shortRef).join(', ');
  const more = push.ref_count - Math.min(push.refs.length, PUSH_NAMES_MAX);
  return more > 0 ? `${names} and ${more} more` : names;
}

/** @param {Push} push */
function commitWords(push) {
  const count = push.commit_count >= 1000 ? `${(1000).toLocaleString()} or more` : push.commit_count.toLocaleString();
  return push.commit_count === 1 ? '1 commit' : `${count} commits`;
}

/**
 * Returns the text that the pusher wrote (`-o chat=`): the lines before those that the server
 * added. An edited message is shown as it is.
 * @param {string} content
 * @param {Push} push
 */
export function ownText(content, push) {
  const lines = content.split('\n');
  const added = 2 + push.commits.length + (push.commit_count > push.commits.length ? 1 : 0);
  const headline = lines[lines.length - added] ?? '';
  const isOriginal = lines.length >= added && /^(pushed|deleted) /.test(headline) && headline.endsWith(push.repository);
  return isOriginal ? lines.slice(0, -added).join('\n') : content;
}

/** @param {string} repository */
const repositoryPath = (repository) => `/${encodedPath(repository)}`;

/**
 * Returns a path of the web pages below a repository.
 * @param {string} repository
 * @param {string} rest
 */
const pagePath = (repository, rest) => `${repositoryPath(repository)}/-/${rest}`;

/**
 * Returns the page that compares before and after. The text of the message is not asked: its sender
 * can change it.
 * @param {Push} push
 */
export function comparePath(push) {
  const ref = push.refs.find((item) => item.new);
  if (!ref?.new) return pagePath(push.repository, 'branches');
  return pagePath(push.repository, ref.old ? `compare/${ref.old}...${ref.new}` : `commits/${ref.new}`);
}

/**
 * Returns the card.
 * @param {Event} event
 * @param {boolean} [isAnnounced] whether its message is there
 * @param {Node[]} [own] the text of the pusher
 */
export function pushCard(event, isAnnounced = false, own = []) {
  const { push } = event;
  const card = el('div', { class: 'push-card' });
  if (!push) return card;
  const marked = hiddenMarker();
  card.append(cardHead(push, marked));
  card.append(...own);
  if (push.commits.length > 0) card.append(commitList(push, marked));
  card.dataset.push = String(event.seq);
  // `push_details.js` fills them.
  card.append(cardActions(push, isAnnounced), el('details', { class: 'push-details' }, el('summary', { dataset: { act: 'push-details' } }, 'Details')));
  return card;
}

/** @typedef {ReturnType<typeof hiddenMarker>} Marker */

/** @param {Push} push @param {Marker} marked */
function cardHead(push, marked) {
  const [first] = push.refs;
  const change = first ? refChange(first, push) : 'moved';
  const tag = first !== undefined && isTag(first);
  const names = push.refs.slice(0, PUSH_NAMES_MAX).flatMap((ref, at) => {
    const name = el('bdi', null, marked(shortRef(ref), true));
    const href = pagePath(push.repository, `${isTag(ref) ? 'tree' : 'commits'}/${encodedPath(shortRef(ref))}`);
    return [at > 0 ? ', ' : '', ref.new ? el('a', { class: 'ref', href }, name) : el('span', { class: 'ref' }, name)];
  });
  const more = push.ref_count - Math.min(push.refs.length, PUSH_NAMES_MAX);
  if (more > 0) names.push(` and ${more} more`);
  const repository = el('a', { class: 'repository', href: repositoryPath(push.repository) }, el('bdi', null, push.repository));
  const isDeleted = push.refs.length > 0 && push.refs.every((ref) => !ref.new);
  const sentence = isDeleted ? ['deleted ', ...names, ' in ', repository]
    : push.commit_count === 0 ? ['pushed ', ...names, ' to ', repository]
      : ['pushed ', el('strong', null, commitWords(push)), ' to ', ...names, ' of ', repository];
  // A mark in the head is about all refs; the details name the change of each.
  const isShared = push.refs.every((ref) => refChange(ref, push) === change && isTag(ref) === tag);
  const words = isShared ? changeWords(change, tag) : '';
  const mark = change === 'forced' ? 'warning' : change === 'deleted' ? 'trash' : 'plus';
  return el('p', { class: 'push-head' }, icon(tag ? 'tag' : 'branch'), el('span', { class: 'push-words' }, sentence,
    words ? [' ', el('span', { class: `push-change is-${change}` }, icon(mark), words)] : null));
}

/**
 * Returns the words of a change; '' for a branch that moved.
 * @param {ReturnType<typeof refChange>} change
 * @param {boolean} tag
 */
export function changeWords(change, tag) {
  return { new: tag ? 'new tag' : 'new branch', deleted: tag ? 'tag deleted' : 'branch deleted', forced: tag ? 'tag moved' : 'forced', moved: '' }[change];
}

/** @param {Push} push @param {Marker} marked */
function commitList(push, marked) {
  const shown = push.commits.slice(0, PUSH_COMMITS_SHOWN_MAX);
  const items = shown.map(({ oid, summary, author }) => {
    const cut = summary.length > PUSH_SUMMARY_CHARS ? `${summary.slice(0, PUSH_SUMMARY_CHARS)}…` : summary;
    return el('li', null, el('a', { class: 'oid', href: pagePath(push.repository, `commit/${oid}`) }, shortOid(oid)),
      el('span', { class: 'push-summary', dir: 'auto', title: `${cut} (${author})` }, marked(cut, true)));
  });
  const more = push.commit_count - shown.length;
  if (more > 0) items.push(el('li', { class: 'muted' }, `and ${more.toLocaleString()} more`));
  return el('ol', { class: 'push-commits', 'aria-label': 'Commits' }, items);
}

/** @param {Push} push @param {boolean} isAnnounced */
function cardActions(push, isAnnounced) {
  const compares = push.refs.some((ref) => ref.new);
  return el('div', { class: 'card-actions' },
    el('a', { class: 'button', href: comparePath(push) }, compares ? 'Compare' : 'Branches'),
    isAnnounced ? el('button', { type: 'button', dataset: { act: 'thread' } }, 'Discuss') : null,
    compares ? el('button', { type: 'button', dataset: { act: 'copy-fetch' } }, el('span', { dataset: { words: '' } }, 'Copy git fetch')) : null);
}
