// Lines of a file in a message. The browser fetches them with the rights of the reader: a reader
// without access sees the name only.
import { el, fill } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { api } from '../kit/api.js';
import { encodedPath } from '../kit/path.js';
import { lineFragment, lineWords } from '../kit/range.js';
import { hiddenMarker } from './hidden.js';
import { codeLinks } from './code_space.js';
import { failedNote } from './failed.js';
import { hideFromTab } from './timeline_list.js';

/** Lines that a card shows. */
const CODE_LINES_MAX = 12;
/** Cards of a message. */
const CODE_CARDS_MAX = 3;
/** Requests at the same time. */
const CODE_LOADS_MAX = 5;
/** Cards whose lines are kept. */
const CODE_CACHED_MAX = 60;
/** Longer lines are cut. */
const CODE_LINE_CHARS = 400;
/** Slashes in the name of a branch that are tried. */
const CODE_REF_PARTS_MAX = 3;

/**
 * Lines of a file at a commit. `rest` is ref and path with slashes, not encoded.
 * @typedef {object} CodePlace
 * @property {string} repository
 * @property {string} rest
 * @property {number} from
 * @property {number} to
 * @property {string} href
 */

/** @typedef {{ state: 'lines', lines: string[], path: string } | { state: 'refused', words: string } | { state: 'failed', error: unknown }} CodeFound */

/** @type {Map<string, CodeFound>} */
const foundCode = new Map();
/** @type {(() => Promise<void>)[]} */
const waitingLoads = [];
let runningLoads = 0;

/** Names of users, projects and repositories, as the server accepts them. */
const CODE_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/i;
/** Longest path. */
const CODE_PATH_CHARS = 2000;

/**
 * Returns a place if its parts are names and a path within a repository. The address is written
 * here, so the reader's browser requests nothing else.
 * @param {string} repository
 * @param {string} rest not encoded
 * @param {number} one
 * @param {number} other
 * @param {string} origin
 * @returns {CodePlace | undefined}
 */
function checkedPlace(repository, rest, one, other, origin) {
  const names = repository.split('/');
  const parts = rest.split('/');
  const isName = names.length === 3 && names.every((name) => CODE_NAME.test(name) && !name.includes('..'));
  const isPath = rest.length <= CODE_PATH_CHARS && parts.length > 1 && !/[\\\p{Cc}\p{Cs}]/u.test(rest)
    && !parts.some((part) => part === '' || part === '.' || part === '..');
  const [from, to] = [Math.min(one, other), Math.max(one, other)];
  if (!isName || !isPath || !Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 1) return undefined;
  const path = `/${repository}/-/blob/${encodedPath(rest)}`;
  const url = new URL(path, origin);
  if (url.origin !== origin || url.pathname !== path) return undefined;
  return { repository, rest, from, to, href: path + lineFragment({ from, to }) };
}

/**
 * Returns the place that an address of this server names, if it has lines.
 * @param {string} address
 * @param {string} origin
 * @returns {CodePlace | undefined}
 */
export function codePlaceOf(address, origin) {
  if (!address.startsWith(`${origin}/`)) return undefined;
  const found = /^\/([^/?#]+\/[^/?#]+\/[^/?#]+)\/-\/blob\/([^?#]+)(?:\?[^#]*)?#L(\d{1,7})(?:-L?(\d{1,7}))?$/.exec(address.slice(origin.length));
  if (!found) return undefined;
  const [, repository = '', rest = '', one = '', other = one] = found;
  return checkedPlace(repository, decoded(rest), Number(one), Number(other), origin);
}

/**
 * Returns the place of `metadata.code`. Any client can write it, so each field is checked.
 * @param {unknown} code
 * @param {string} origin
 * @returns {CodePlace | undefined}
 */
export function codePlaceIn(code, origin) {
  if (typeof code !== 'object' || code === null) return undefined;
  const { repository, oid, path, from, to } = /** @type {Record<string, unknown>} */ (code);
  const isOid = typeof oid === 'string' && /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(oid);
  if (!isOid || typeof repository !== 'string' || typeof path !== 'string' || typeof from !== 'number' || typeof to !== 'number' || to < from) return undefined;
  return checkedPlace(repository, `${oid}/${path}`, from, to, origin);
}

/**
 * Returns the places of a message, each once.
 * @param {{ content: string, metadata?: Record<string, any> }} message
 * @param {string} origin
 */
export function codePlaces(message, origin) {
  const places = [codePlaceIn(message.metadata?.code, origin), ...codeLinks(message).map((link) => codePlaceOf(link, origin))];
  const seen = new Set();
  return places.filter((place) => place !== undefined).filter(({ href }) => !seen.has(href) && seen.add(href)).slice(0, CODE_CARDS_MAX);
}

/**
 * Replaces the space of the code cards of a message by the cards. They load when they are near the
 * screen.
 * @param {HTMLElement} space
 * @param {import('./types.js').Message} message
 * @param {import('./types.js').Context} ctx
 */
export function fillCodeSpace(space, message, ctx) {
  const { origin } = new URL(ctx.root.baseURI);
  const article = space.closest('article');
  space.replaceWith(...codePlaces(message, origin).map((place) => codeCard(place)));
  if (article?.closest('.messages')) hideFromTab(article, article.tabIndex === 0);
}

/** @param {CodePlace} place */
function codeCard(place) {
  const count = Math.min(place.to - place.from + 1, CODE_LINES_MAX);
  const body = el('pre', { class: 'code-lines', tabindex: 0 });
  body.style.setProperty('--lines', String(count));
  const file = place.rest.split('/').slice(1).join('/');
  const card = el('figure', { class: 'code-card', dir: 'ltr' },
    el('figcaption', null, icon('code'), el('a', { href: place.href }, el('bdi', null, hiddenMarker()(file, true))), el('span', { class: 'muted' }, lineWords(place)), el('span', { class: 'muted code-repository' }, place.repository)),
    body);
  const found = foundCode.get(place.href);
  const load = () => enqueueLoad(async () => showCode(card, body, place, await loadCode(place), load));
  if (found) showCode(card, body, place, found, load);
  else watchCard(card, load);
  return card;
}

/** @param {string} value */
function decoded(value) {
  try {
    return decodeURIComponent(value);
  } catch {
    return value; // Not UTF-8: the server has no such file.
  }
}

/**
 * @param {HTMLElement} card
 * @param {HTMLElement} body
 * @param {CodePlace} place
 * @param {CodeFound} found
 * @param {() => void} load reads the lines again
 */
function showCode(card, body, place, found, load) {
  card.querySelector('.problem')?.remove();
  if (found.state === 'failed') {
    const note = failedNote(found.error, load);
    card.append(note);
    // The row decides whether its buttons are in the order of Tab.
    for (const button of note.querySelectorAll('button')) button.tabIndex = body.tabIndex;
    return;
  }
  if (found.state === 'refused') {
    card.classList.add('is-refused');
    body.remove();
    card.append(el('p', { class: 'muted' }, found.words));
    return;
  }
  const marked = hiddenMarker();
  const rows = found.lines.map((line, at) => el('span', { class: 'code-line', dataset: { line: place.from + at } }, marked(line.length > CODE_LINE_CHARS ? `${line.slice(0, CODE_LINE_CHARS)}…` : line, true), '\n'));
  fill(body, el('code', null, rows));
  const more = place.to - place.from + 1 - CODE_LINES_MAX;
  if (more > 0 && found.lines.length === CODE_LINES_MAX && !card.querySelector('.code-more')) {
    card.append(el('a', { class: 'code-more', href: place.href }, more === 1 ? '1 more line' : `${more.toLocaleString()} more lines`));
  }
}

/**
 * Reads the lines. The name of a branch may contain slashes: the first parts are tried as its name.
 * @param {CodePlace} place
 * @returns {Promise<CodeFound>}
 */
async function loadCode(place) {
  const parts = place.rest.split('/');
  /** @type {CodeFound} */
  let found = { state: 'refused', words: 'You cannot read this file, or it does not exist.' };
  for (let size = 1; size <= Math.min(CODE_REF_PARTS_MAX, parts.length - 1); size += 1) {
    const [reference, path] = [parts.slice(0, size).join('/'), parts.slice(size).join('/')];
    const [owner = '', project = '', name = ''] = place.repository.split('/');
    const address = `/api/projects/${owner}/${project}/repos/${name}/blob/${encodeURIComponent(reference)}/${encodedPath(path)}`;
    try {
      found = foundIn(await api('GET', address), place, path);
      break;
    } catch (error) {
      const { status } = /** @type {{ status?: number }} */ (error);
      if (status !== 404) return { state: 'failed', error };
    }
  }
  if (foundCode.size >= CODE_CACHED_MAX) foundCode.delete(foundCode.keys().next().value ?? '');
  foundCode.set(place.href, found);
  return found;
}

/**
 * @param {{ content?: string | null, binary?: boolean, truncated?: boolean }} blob
 * @param {CodePlace} place
 * @param {string} path
 * @returns {CodeFound}
 */
function foundIn(blob, place, path) {
  if (typeof blob.content !== 'string') return { state: 'refused', words: blob.binary ? 'This is a binary file.' : 'This file is too large to show here.' };
  const all = blob.content.split('\n');
  if (all.at(-1) === '') all.pop();
  const lines = all.slice(place.from - 1, Math.min(place.to, place.from - 1 + CODE_LINES_MAX));
  return lines.length === 0 ? { state: 'refused', words: 'The file does not have these lines.' } : { state: 'lines', lines, path };
}

/** @param {() => Promise<void>} load */
function enqueueLoad(load) {
  waitingLoads.push(load);
  // Only what was on the screen last is worth loading.
  if (waitingLoads.length > CODE_CACHED_MAX) waitingLoads.shift();
  runLoads();
}

function runLoads() {
  while (runningLoads < CODE_LOADS_MAX) {
    const load = waitingLoads.pop();
    if (!load) return;
    runningLoads += 1;
    load().finally(() => { runningLoads -= 1; runLoads(); });
  }
}

/** Cards load before they are on the screen. `scrollMargin` reaches into lists that scroll. */
const CODE_AHEAD = { rootMargin: '600px', scrollMargin: '600px' };

/** @type {IntersectionObserver | undefined} */
let cardWatch;
/** @type {WeakMap<Element, () => void>} */
const cardLoads = new WeakMap();

/** @param {Element} card @param {() => void} load */
function watchCard(card, load) {
  cardWatch ??= new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      cardWatch?.unobserve(target);
      cardLoads.get(target)?.();
    }
  }, CODE_AHEAD);
  cardLoads.set(card, load);
  cardWatch.observe(card);
}
