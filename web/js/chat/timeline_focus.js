// The focus in the list of messages: one row at a time is in the order of Tab, with its buttons and
// links. Its keys are in `row_keys.js`.
import { whenMore } from './later.js';
import { messageOf } from './row_clicks.js';
import { hideFromTab } from './timeline_list.js';

/** @typedef {import('./types.js').Context} Context */

/** Room beside a row that gets the focus, in pixels. */
const FOCUS_EDGE_PX = 12;

/**
 * The parts of the timeline that the selection needs.
 * @typedef {object} RowParts
 * @property {HTMLElement} list
 * @property {HTMLElement} scroller
 * @property {import('./anchor.js').Anchor} anchor
 * @property {Context} ctx
 * @property {() => Promise<void>} home
 * @property {() => Promise<void>} end
 * @property {() => boolean} back
 * @property {(message: import('./types.js').Message) => void} onUnread
 */

/** @typedef {ReturnType<typeof createRowFocus>} RowFocus */

/** @param {RowParts} parts */
export function createRowFocus(parts) {
  const { list, scroller, anchor, ctx } = parts;
  /** The row in the order of Tab. @type {HTMLElement | null} */
  let current = null;
  /** Whether the user chose it. */
  let isChosen = false;

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

  /** @param {FocusEvent} event */
  function entered(event) {
    const article = event.target instanceof Element ? event.target.closest('article.chat-message') : null;
    if (article instanceof HTMLElement && article !== current) stop(article);
    if (article) isChosen = true;
  }

  list.addEventListener('focusin', entered);

  /** Returns the row that the user chose, if it is on the page. */
  const chosen = () => focused() ?? (isChosen && current?.isConnected ? current : null);

  const focus = {
    parts, stop, focused, lastVisible, chosen,
    /** Chooses a row. @param {HTMLElement} article */
    choose(article) {
      stop(article);
      isChosen = true;
      article.focus({ preventScroll: true });
      anchor.show(article.parentElement ?? article, 'nearest', FOCUS_EDGE_PX);
    },
    /** Keeps a visible row in the order of Tab, unless the user chose one. */
    follow() {
      if (!chosen()) stop(lastVisible());
    },
    /** Returns the message of the chosen row. */
    selected() {
      const article = chosen();
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
  whenMore(({ rowKeys }) => rowKeys(focus));
  return focus;
}
