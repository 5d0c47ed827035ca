// The messages that the switcher finds: an entry that leads to the page of the search, and the newest
// hits.

import { api } from '../kit/api.js';
import { el } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { hiddenMarker } from './hidden.js';
import { SEARCH_HITS_MAX, createMessageSearch, excerptLine, hitPlace } from './message_search.js';
import { problemText } from './problem.js';

/** @typedef {import('./switcher.js').SwitcherEntry} SwitcherEntry */

/**
 * Returns the text that is searched for; '' for none. Other prefixes than `?` name other things, and a
 * single letter finds too much.
 * @param {string} prefix
 * @param {string} typed
 */
export const searchedText = (prefix, typed) => ((prefix === '' || prefix === '?') && (typed.length > 1 || typed > '\x7f') ? typed : '');

/**
 * @param {Pick<import('./types.js').Context, 'router'>} ctx
 * @param {() => void} changed
 */
export function createHits({ router }, changed) {
  const search = createMessageSearch({
    ask: async (text) => (await api('GET', `/api/search?in=messages&limit=${SEARCH_HITS_MAX}&q=${encodeURIComponent(text)}`))?.messages?.hits ?? [],
    after: (ms, fn) => {
      const timer = setTimeout(fn, ms);
      return () => clearTimeout(timer);
    },
    changed,
  });

  /** Returns what is known about the hits, in a few words. */
  function progress() {
    const { hits, problem, isDone } = search.state();
    if (!isDone) return 'Searching…';
    // The server names the field of a refused query first.
    if (problem) return problemText(problem).replace(/^q /i, '');
    return hits.length ? '' : 'No message found';
  }

  return {
    /** @param {string} prefix @param {string} typed */
    want: (prefix, typed) => search.want(searchedText(prefix, typed)),
    /**
     * Returns the entries below the places.
     * @param {string} prefix
     * @param {string} typed
     * @returns {SwitcherEntry[]}
     */
    entries(prefix, typed) {
      const text = searchedText(prefix, typed);
      if (text === '') return [];
      const found = search.state().text === text ? search.state().hits : [];
      return [
        { kind: 'search', key: 'search', name: `Search messages for “${text}”`, detail: progress(), run: () => location.assign(`/search?q=${encodeURIComponent(text)}`) },
        ...found.map((hit) => /** @type {SwitcherEntry} */ ({ kind: 'message', key: `message:${hit.message_id}`, name: hitPlace(hit.chat), hit, run: () => router.go(`/chat/${hit.chat.id}/${hit.seq}`) })),
      ];
    },
    /**
     * Returns the parts of the row of a hit.
     * @param {import('./message_search.js').MessageHit} hit
     */
    partsOf(hit) {
      const marker = hiddenMarker();
      const line = excerptLine(hit).map(({ text, isMatch }) => (isMatch ? el('mark', null, ...marker(text, true)) : marker(text, true)));
      return [
        el('span', { class: 'entry-mark' }, icon('chat')),
        el('span', { class: 'hit-line', dir: 'auto' }, ...line.flat()),
        el('span', { class: 'muted hit-place' }, el('bdi', null, hit.sender), ' · ', el('bdi', null, hitPlace(hit.chat))),
      ];
    },
  };
}
