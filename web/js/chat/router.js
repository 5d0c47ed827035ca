// Addresses of the chat program, by the history of the browser. Links are plain `<a href>`.

/** In a narrow window, list, chat and panel are screens of their own. */
export const NARROW_SCREEN = '(max-width: 700px)';
const NUMBER_PATTERN = /^[1-9]\d{0,15}$/;

/** @typedef {'thread' | 'people' | 'pins'} PanelName */
/**
 * @typedef {object} Place
 * @property {'chat' | 'inbox'} page
 * @property {number} [chat]
 * @property {number} [seq] the message to show
 * @property {number} [thread] id of a message of the thread in the panel
 * @property {PanelName} [panel]
 * @property {string} [code] the lines that a new message discusses, as `code_ref.js` reads them
 */

/**
 * Returns the number of a part of an address, if it is an id.
 * @param {string | undefined} part
 */
function idOf(part) {
  const number = Number(part);
  return part && NUMBER_PATTERN.test(part) && Number.isSafeInteger(number) ? number : undefined;
}

/**
 * Returns the place of an address, or null if the address is not a place of this program.
 * @param {string} pathname
 * @param {string} [search]
 * @param {unknown} [state] the state of the history entry
 * @returns {Place | null}
 */
export function parsePlace(pathname, search = '', state = null) {
  const parts = pathname.replace(/\/$/, '').split('/').slice(1);
  if (parts.length === 1 && parts[0] === 'inbox') return { page: 'inbox' };
  if (parts[0] !== 'chat' || parts.length > 4) return null;
  if (parts.length === 1) return { page: 'chat' };
  const chat = idOf(parts[1]);
  const seq = parts.length === 3 ? idOf(parts[2]) : undefined;
  const thread = parts.length === 4 && parts[2] === 'thread' ? idOf(parts[3]) : undefined;
  if (chat === undefined || (parts.length === 3 && seq === undefined) || (parts.length === 4 && thread === undefined)) return null;
  const named = /** @type {{ panel?: unknown } | null} */ (state)?.panel;
  /** @type {PanelName | undefined} */
  const panel = thread !== undefined ? 'thread' : named === 'people' || named === 'pins' ? named : undefined;
  return { page: 'chat', chat, seq, thread, panel, code: new URLSearchParams(search).get('code') ?? undefined };
}

/**
 * Returns the screen of a narrow window.
 * @param {Place} place
 */
export function screenOf(place) {
  if (place.page === 'inbox') return 'inbox';
  if (place.chat === undefined) return 'list';
  return place.panel ? 'panel' : 'chat';
}

/**
 * Returns the title of a page.
 * @param {number} unread
 * @param {...string} parts the thing first, then its place
 */
export function titleOf(unread, ...parts) {
  return `${unread > 0 ? `(${unread}) ` : ''}${[...parts, 'NetBit'].filter(Boolean).join(' · ')}`;
}

/** @typedef {ReturnType<typeof createRouter>} Router */

/**
 * Follows the address of the page.
 * @param {Document} root
 */
export function createRouter(root) {
  const view = /** @type {Window & typeof globalThis} */ (root.defaultView);
  const { history, location } = view;
  const main = root.getElementById('main');
  /** @type {Set<(place: Place, before: Place) => void>} */
  const listeners = new Set();
  /** @returns {Place} */
  const read = () => parsePlace(location.pathname, location.search, history.state) ?? { page: 'chat' };
  let place = read();
  mark();
  history.scrollRestoration = 'manual';

  function mark() {
    if (!main) return;
    main.dataset.page = place.page;
    main.dataset.screen = screenOf(place);
    main.toggleAttribute('data-panel', place.panel !== undefined);
  }

  function changed() {
    const before = place;
    place = read();
    mark();
    for (const listener of [...listeners]) listener(place, before);
  }

  /**
   * Goes to an address of this program; another address is loaded as a page.
   * @param {string} path
   * @param {{ replace?: boolean, panel?: PanelName }} [options]
   */
  function go(path, { replace = false, panel } = {}) {
    const url = new URL(path, location.href);
    if (url.origin !== location.origin || !parsePlace(url.pathname)) return location.assign(url.href);
    const isSame = url.pathname + url.search === location.pathname + location.search && panel === history.state?.panel;
    const next = parsePlace(url.pathname, url.search, { panel });
    // Panels of a chat replace each other: Back always closes the panel.
    const isPanelChange = place.panel !== undefined && next?.panel !== undefined && next.chat === place.chat;
    const isReplaced = replace || isSame || isPanelChange;
    const isOver = isPanelChange ? history.state?.over : next?.panel !== undefined && place.page === 'chat' && next.chat === place.chat;
    const step = { ...(panel && { panel }), over: Boolean(isOver) };
    if (isReplaced) history.replaceState(step, '', url.pathname + url.search);
    else history.pushState(step, '', url.pathname + url.search);
    changed();
  }

  /** Closes the panel: back to the entry of the chat, if the panel was opened over it. */
  function closePanel() {
    if (place.panel === undefined) return;
    if (history.state?.over) history.back();
    else go(`/chat/${place.chat}`, { replace: true });
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!isPlain || event.defaultPrevented || !(event.target instanceof view.Element)) return;
    const link = event.target.closest('a[href]');
    if (!(link instanceof view.HTMLAnchorElement) || link.getAttribute('href')?.startsWith('#')) return;
    if (link.origin !== location.origin || (link.target && link.target !== '_self') || link.hasAttribute('download')) return;
    if (!parsePlace(link.pathname)) return;
    event.preventDefault();
    go(link.pathname + link.search);
  }

  root.addEventListener('click', clicked);
  view.addEventListener('popstate', changed);

  return {
    go,
    closePanel,
    current: () => place,
    /** @param {(place: Place, before: Place) => void} listener */
    onChange(listener) {
      listeners.add(listener);
      return () => { listeners.delete(listener); };
    },
  };
}
