// The details of a push, and its command, which a card shows or copies on demand.
import { el } from '../kit/dom.js';
import { hiddenMarker } from './hidden.js';
import { PUSH_NAMES_MAX, changeWords, isTag, refChange, shortRef } from './push_card.js';

/** @typedef {import('./types.js').Push} Push */

/**
 * Returns the command that fetches the pushed refs. Names of refs may contain characters that a
 * shell interprets.
 * @param {Push} push
 * @param {string} origin
 */
export function fetchCommand(push, origin) {
  const refs = push.refs.filter((ref) => ref.new).slice(0, PUSH_NAMES_MAX);
  if (refs.length === 0) return '';
  const names = refs.map((ref) => {
    const name = ref.ref.startsWith('refs/heads/') && !shortRef(ref).startsWith('-') ? shortRef(ref) : ref.ref;
    return /^[\w./+-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  });
  return `git fetch ${origin}/${push.repository}.git ${names.join(' ')}`;
}

/**
 * Fills the details of a push, once.
 * @param {Element} details
 * @param {Push} push
 */
export function fillPushDetails(details, push) {
  if (details.querySelector('ul')) return;
  const marked = hiddenMarker();
  const items = push.refs.map((ref) => el('li', null, el('bdi', { class: 'ref' }, marked(shortRef(ref), true)), ' ',
    el('span', { class: 'muted' }, changeWords(refChange(ref, push), isTag(ref))), ' ', el('code', null, ref.old ?? 'none'), ' → ', el('code', null, ref.new ?? 'none')));
  if (push.ref_count > push.refs.length) items.push(el('li', { class: 'muted' }, `and ${push.ref_count - push.refs.length} more`));
  details.append(el('ul', null, items));
}
