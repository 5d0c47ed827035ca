// The panel beside a chat: a thread, its people or its pinned messages. In a narrow window it is a
// screen of its own.

import { el, fill } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { createPeople } from './people.js';
import { createPins } from './pins.js';
import { NARROW_SCREEN, parsePlace } from './router.js';
import { createThread } from './thread.js';

/** @typedef {{ update(changes: Set<string>): void, focus(): void, destroy(): void }} PanelView */

const PANEL_TITLES = { thread: 'Thread', people: 'People', pins: 'Pinned messages' };

/**
 * @param {HTMLElement} root
 * @param {import('./types.js').Context} ctx
 */
export function createPanel(root, ctx) {
  const { router } = ctx;
  const main = ctx.root.getElementById('main');
  const title = el('h2', { id: 'panel-title', tabindex: -1 });
  const close = el('button', { type: 'button', class: 'plain icon-button', 'aria-label': 'Close panel', title: 'Close (Esc)' }, icon('close'));
  const body = el('div', { class: 'panel-body' });
  fill(root, el('div', { class: 'panel-head' }, title, close), body);
  root.removeAttribute('aria-label');
  root.setAttribute('aria-labelledby', 'panel-title');
  /** @type {PanelView | null} */
  let view = null;
  let key = '';
  /** @type {Element | null} */
  let opener = null;

  function show() {
    const { page, chat, panel, thread } = router.current();
    const wanted = page === 'chat' && chat !== undefined && panel ? [panel, chat, thread ?? ''].join(' ') : '';
    if (wanted === key) return;
    const wasOpen = key !== '';
    key = wanted;
    view?.destroy();
    view = null;
    fill(body);
    root.hidden = !wanted;
    if (!wanted || !panel || chat === undefined) return returned();
    if (!wasOpen) opener = ctx.root.activeElement;
    title.textContent = PANEL_TITLES[panel];
    // As a screen of its own, the panel is the page.
    if (matchMedia(NARROW_SCREEN).matches) title.setAttribute('aria-level', '1');
    else title.removeAttribute('aria-level');
    root.dataset.panel = panel;
    if (panel === 'thread') view = createThread(body, ctx, { chat, thread: thread ?? 0 });
    else view = panel === 'people' ? createPeople(body, ctx, { chat }) : createPins(body, ctx, { chat });
    title.focus({ preventScroll: true });
  }

  /** Gives the focus back, if the closed panel had it. */
  function returned() {
    const { activeElement } = ctx.root;
    if (activeElement && activeElement !== ctx.root.body && activeElement !== title && !root.contains(activeElement)) return;
    if (opener instanceof HTMLElement && opener.isConnected && opener !== ctx.root.body) opener.focus();
    else main?.dispatchEvent(new CustomEvent('chat:focus-composer'));
    opener = null;
  }

  /**
   * A link to a message of this chat moves the timeline; the panel stays open beside it.
   * @param {MouseEvent} event
   */
  function clicked(event) {
    if (!(event.target instanceof Element)) return;
    if (event.target.closest('button') === close) return router.closePanel();
    const link = event.target.closest('a[href]');
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!(link instanceof HTMLAnchorElement) || !isPlain || matchMedia(NARROW_SCREEN).matches) return;
    const to = parsePlace(link.pathname);
    const { chat } = router.current();
    if (!to?.seq || to.chat !== chat || link.origin !== location.origin) return;
    event.preventDefault();
    main?.dispatchEvent(new CustomEvent('chat:jump', { detail: { chat, seq: to.seq } }));
  }

  root.addEventListener('click', clicked);
  router.onChange(show);
  show();
  return {
    isOpen: () => key !== '',
    close: () => router.closePanel(),
    focus: () => (view ? view.focus() : title.focus()),
    /** @param {Set<string>} changes */
    update: (changes) => view?.update(changes),
  };
}
