// The keys of the list of messages. The first of them loads this module by `keys.js`, which runs its
// command then; later ones are handled here.
import { areKeysOff } from '../kit/kept_value.js';
import { rowActions, runAction } from './row_actions.js';
import { messageOf } from './row_clicks.js';

/** The action of a key on the selected row. */
const FOCUS_ACTIONS = /** @type {Record<string, string>} */ ({ r: 'reply', t: 'thread', e: 'edit', '+': 'react', p: 'pin', c: 'link', Delete: 'delete' });
const FOCUS_MOVES = /** @type {Record<string, number>} */ ({ j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 });
/** Names of actions of other modules. */
const FOCUS_NAMES = /** @type {Record<string, string>} */ ({ copy: 'link' });

/** @typedef {{ move: (step: number) => void, edge: (place: 'first' | 'last') => Promise<void>, act: (name: string) => void, enter: () => void }} RowKeys */

/** @type {WeakMap<import('./timeline_focus.js').RowFocus, RowKeys>} */
const keysOfRows = new WeakMap();

/**
 * Returns what keys do with the rows of a list; serves the keys from the first call on.
 * @param {import('./timeline_focus.js').RowFocus} focus
 * @returns {RowKeys}
 */
export function rowKeys(focus) {
  const made = keysOfRows.get(focus) ?? createRowKeys(focus);
  keysOfRows.set(focus, made);
  return made;
}

/**
 * @param {import('./timeline_focus.js').RowFocus} focus
 * @returns {RowKeys}
 */
function createRowKeys({ parts, focused, chosen, choose, lastVisible }) {
  const { list, scroller, ctx, home, end, back, onUnread } = parts;
  const articles = () => /** @type {HTMLElement[]} */ ([...list.querySelectorAll(':scope > li > article')]);

  /** @param {number} step */
  function move(step) {
    const all = articles();
    const from = chosen();
    const next = from ? all[all.indexOf(from) + step] : lastVisible();
    if (next) choose(next);
  }

  /** @param {'first' | 'last'} place */
  async function edge(place) {
    await (place === 'first' ? home() : end());
    const article = place === 'first' ? articles()[0] : articles().at(-1);
    if (article) choose(article);
  }

  /** @param {string} name */
  function act(name) {
    const article = chosen();
    const message = article && messageOf(article, ctx);
    const wanted = FOCUS_NAMES[name] ?? name;
    if (!message || !rowActions(message, ctx).some((action) => action.act === wanted)) return;
    const button = article.querySelector(`.action-bar [data-act="${wanted}"]`) ?? article.querySelector('.action-bar [data-act="menu"]');
    runAction(wanted, { button: button instanceof HTMLElement ? button : article, article, ctx, onUnread });
  }

  /** @param {KeyboardEvent} event */
  function pressed(event) {
    const article = focused();
    if (!article || event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const isOnRow = ctx.root.activeElement === article;
    const isLetter = event.key.length === 1;
    const isInBar = event.target instanceof Element && event.target.closest('.action-bar') !== null;
    if (isInBar && (event.key === 'Home' || event.key === 'End')) return;
    if (isLetter && areKeysOff()) return;
    if (FOCUS_MOVES[event.key] !== undefined) move(FOCUS_MOVES[event.key] ?? 0);
    else if (event.key === 'Home') void edge('first');
    else if (event.key === 'End') void edge('last');
    else if (event.key === 'Escape' && back()) ctx.announce('Back');
    else if (event.key === 'Enter' && isOnRow) enterBar(article);
    else if (FOCUS_ACTIONS[event.key] !== undefined && !event.shiftKey || event.key === '+') act(FOCUS_ACTIONS[event.key] ?? '');
    else return;
    event.preventDefault();
  }

  /** @param {HTMLElement} article */
  function enterBar(article) {
    const button = article.querySelector('.action-bar button');
    if (button instanceof HTMLElement) button.focus();
  }

  /** Focuses the chosen or the last visible row. */
  function enter() {
    const article = chosen() ?? lastVisible();
    if (article) choose(article);
    else scroller.focus();
  }

  list.addEventListener('keydown', pressed);
  return { move, edge, act, enter };
}
