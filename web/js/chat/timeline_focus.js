// Keys and the focus in the list of messages: one row at a time is in the order of Tab, with its
// buttons and links.
import { later } from './later.js';
import { messageOf } from './row_clicks.js';
import { hideFromTab } from './timeline_list.js';

/** @typedef {import('./types.js').Context} Context */

/** The action of a key on the selected row. */
const FOCUS_ACTIONS = /** @type {Record<string, string>} */ ({ r: 'reply', t: 'thread', e: 'edit', '+': 'react', p: 'pin', c: 'link', Delete: 'delete' });
const FOCUS_MOVES = /** @type {Record<string, number>} */ ({ j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 });
/** Names of actions of other modules. */
const FOCUS_NAMES = /** @type {Record<string, string>} */ ({ copy: 'link' });
/** Room beside a row that gets the focus, in pixels. */
const FOCUS_EDGE_PX = 12;

/**
 * @param {object} parts
 * @param {HTMLElement} parts.list
 * @param {HTMLElement} parts.scroller
 * @param {import('./anchor.js').Anchor} parts.anchor
 * @param {Context} parts.ctx
 * @param {() => Promise<void>} parts.home
 * @param {() => Promise<void>} parts.end
 * @param {() => boolean} parts.back
 * @param {(message: import('./types.js').Message) => void} parts.onUnread
 */
export function createRowFocus({ list, scroller, anchor, ctx, home, end, back, onUnread }) {
  /** The row in the order of Tab. @type {HTMLElement | null} */
  let current = null;
  /** Whether the user chose it. */
  let isChosen = false;

  const articles = () => /** @type {HTMLElement[]} */ ([...list.querySelectorAll(':scope > li > article')]);

  /** @param {HTMLElement | null} article */
  function stop(article) {
    if (current === article) return;
    if (current) hideFromTab(current, false);
    if (article) hideFromTab(article, true);
    current = article;
  }

  /** Returns the row with the focus. */
  function focused() {
    const active = ctx.root.activeElement;
    const article = active instanceof Element ? active.closest('article.chat-message') : null;
    return article instanceof HTMLElement && list.contains(article) ? article : null;
  }

  /** Returns the last row that is completely on the screen. */
  function lastVisible() {
    const bottom = scroller.clientHeight;
    /** @type {HTMLElement | null} */
    let found = null;
    for (let node = anchor.first(); node && anchor.topOf(node) < bottom; node = node.nextElementSibling) {
      const article = node.querySelector(':scope > article');
      const isWhole = anchor.topOf(node) + node.getBoundingClientRect().height <= bottom + 1;
      if (article instanceof HTMLElement && (isWhole || !found)) found = article;
    }
    return found;
  }

  /** @param {HTMLElement} article */
  function choose(article) {
    stop(article);
    isChosen = true;
    article.focus({ preventScroll: true });
    anchor.show(article.parentElement ?? article, 'nearest', FOCUS_EDGE_PX);
  }

  /** @param {number} step */
  function move(step) {
    const all = articles();
    const from = focused() ?? (isChosen && current?.isConnected ? current : null);
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
    const article = focused() ?? (isChosen ? current : null);
    if (!article?.isConnected) return;
    const wanted = FOCUS_NAMES[name] ?? name;
    later(({ runAction }) => {
      const button = article.querySelector(`.action-bar [data-act="${wanted}"]`) ?? article.querySelector('.action-bar [data-act="menu"]');
      runAction(wanted, { button: button instanceof HTMLElement ? button : article, article, ctx, onUnread });
    });
  }

  /** @param {KeyboardEvent} event */
  function pressed(event) {
    const article = focused();
    if (!article || event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const isOnRow = ctx.root.activeElement === article;
    const isLetter = event.key.length === 1;
    const isInBar = event.target instanceof Element && event.target.closest('.action-bar') !== null;
    if (isInBar && (event.key === 'Home' || event.key === 'End')) return;
    if (isLetter && ctx.local.get('single_keys') === false) return;
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

  /** @param {FocusEvent} event */
  function entered(event) {
    const article = event.target instanceof Element ? event.target.closest('article.chat-message') : null;
    if (article instanceof HTMLElement && article !== current) stop(article);
    if (article) isChosen = true;
  }

  list.addEventListener('keydown', pressed);
  list.addEventListener('focusin', entered);

  return {
    stop,
    move,
    edge,
    act,
    /** Keeps a visible row in the order of Tab, unless the user chose one. */
    follow() {
      if (focused() || (isChosen && current?.isConnected)) return;
      stop(lastVisible());
    },
    /** Focuses the chosen or the last visible row. */
    enter() {
      const article = isChosen && current?.isConnected ? current : lastVisible();
      if (article) choose(article);
      else scroller.focus();
    },
    /** Returns the message of the chosen row. */
    selected() {
      const article = focused() ?? (isChosen && current?.isConnected ? current : null);
      return article ? messageOf(article, ctx) : undefined;
    },
    /** Ends the choice. Returns whether a row was chosen. */
    clear() {
      const was = isChosen;
      isChosen = false;
      const article = focused();
      if (article) article.blur();
      return was;
    },
    reset() {
      stop(null);
      isChosen = false;
    },
  };
}
