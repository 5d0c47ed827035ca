// Lines of a file in a message. The browser fetches them with the rights of the reader: a reader
// without access sees the name only.
import { el, fill } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { api } from '../kit/api.js';
import { hiddenMarker } from './hidden.js';
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
 * Lines of a file at a commit. `rest` is ref and path with slashes, as in addresses of pages; `oid`
 * and `path` are known if the message names them.
 * @typedef {object} CodePlace
 * @property {string} repository
 * @property {string} rest
 * @property {number} from
 * @property {number} to
 * @property {string} href
 */

/** @typedef {{ state: 'lines', lines: string[], path: string } | { state: 'refused', words: string }} CodeFound */

/** @type {Map<string, CodeFound>} */
const foundCode = new Map();
/** @type {(() => Promise<void>)[]} */
const waitingLoads = [];
let runningLoads = 0;

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
  const [from, to] = [Math.min(Number(one), Number(other)), Math.max(Number(one), Number(other))];
  return from > 0 && rest.includes('/') ? { repository, rest, from, to, href: address.slice(origin.length) } : undefined;
}

/**
 * Returns the place of `metadata.code`. Any client can write it, so each field is checked.
 * @param {unknown} code
 * @returns {CodePlace | undefined}
 */
export function codePlaceIn(code) {
  if (typeof code !== 'object' || code === null) return undefined;
  const { repository, oid, path, from, to } = /** @type {Record<string, unknown>} */ (code);
  const isName = typeof repository === 'string' && /^[^/\s?#%]+\/[^/\s?#%]+\/[^/\s?#%]+$/.test(repository);
  const isOid = typeof oid === 'string' && /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(oid);
  const isPath = typeof path === 'string' && path !== '' && path.length <= 1000 && !path.split('/').some((part) => part === '' || part === '.' || part === '..');
  const isRange = Number.isSafeInteger(from) && Number.isSafeInteger(to) && Number(from) > 0 && Number(to) >= Number(from);
  if (!isName || !isOid || !isPath || !isRange) return undefined;
  const rest = `${oid}/${path.split('/').map(encodeURIComponent).join('/')}`;
  const lines = from === to ? `#L${from}` : `#L${from}-L${to}`;
  return { repository, rest, from: Number(from), to: Number(to), href: `/${repository}/-/blob/${rest}${lines}` };
}

/**
 * Returns the places of a message, each once.
 * @param {{ content: string, metadata?: Record<string, any> }} message
 * @param {string} origin
 */
export function codePlaces(message, origin) {
  const links = message.content.match(/https?:\/\/[^\s<>()]+#L\d[\dL-]*/g) ?? [];
  const places = [codePlaceIn(message.metadata?.code), ...links.slice(0, 20).map((link) => codePlaceOf(link, origin))];
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
  const file = decoded(place.rest).split('/').slice(1).join('/');
  const words = place.from === place.to ? `line ${place.from}` : `lines ${place.from} to ${place.to}`;
  const card = el('figure', { class: 'code-card', dir: 'ltr' },
    el('figcaption', null, icon('code'), el('a', { href: place.href }, el('bdi', null, hiddenMarker()(file, true))), el('span', { class: 'muted' }, words), el('span', { class: 'muted code-repository' }, place.repository)),
    body);
  const found = foundCode.get(place.href);
  if (found) showCode(card, body, place, found);
  else watchCard(card, () => enqueueLoad(async () => showCode(card, body, place, await loadCode(place))));
  return card;
}

/** @param {string} value */
function decoded(value) {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

/**
 * @param {HTMLElement} card
 * @param {HTMLElement} body
 * @param {CodePlace} place
 * @param {CodeFound} found
 */
function showCode(card, body, place, found) {
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
  const parts = decoded(place.rest).split('/');
  /** @type {CodeFound} */
  let found = { state: 'refused', words: 'You cannot read this file, or it does not exist.' };
  for (let size = 1; size <= Math.min(CODE_REF_PARTS_MAX, parts.length - 1); size += 1) {
    const [reference, path] = [parts.slice(0, size).join('/'), parts.slice(size).join('/')];
    const [owner = '', project = '', name = ''] = place.repository.split('/');
    const address = `/api/projects/${owner}/${project}/repos/${name}/blob/${encodeURIComponent(reference)}/${path.split('/').map(encodeURIComponent).join('/')}`;
    try {
      found = foundIn(await api('GET', address), place, path);
      break;
    } catch (error) {
      const { status } = /** @type {{ status?: number }} */ (error);
      if (status !== 404) return { state: 'refused', words: 'The lines did not load.' };
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
