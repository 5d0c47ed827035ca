// The rows of messages, as far as they are needed before `more.js` is there: the first click on a
// button of a row loads it, and is handled then.
import { hasLaterFailed, more } from './later.js';
import { onRowState } from './row_state.js';

/** @typedef {import('./types.js').Context} Context */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {{ onUnread: (message: Message) => void, onState: (messageId: number) => void }} RowHooks */

const ROW_EVENTS = ['pointerover', 'focusin', 'click'];

/**
 * Serves the buttons of all messages in `root`.
 * @param {HTMLElement} root
 * @param {Context} ctx
 * @param {RowHooks} hooks
 */
export function rowClicks(root, ctx, hooks) {
  /** @type {{ button: HTMLElement, article: HTMLElement }[]} */
  const clicks = [];
  let isHovered = false;
  let isServed = false;
  onRowState(hooks.onState);

  /** @param {Event} event */
  function first(event) {
    const article = articleAt(event.target);
    const isTouch = event instanceof PointerEvent && event.pointerType === 'touch';
    if (!article || (event.type === 'pointerover' && isTouch)) return;
    if (event.type === 'pointerover') isHovered = true;
    if (event.type !== 'click' && hasLaterFailed()) return;
    const button = /** @type {Element} */ (event.target).closest('[data-act], [data-copy-code]');
    if (event.type === 'click' && button instanceof HTMLElement) clicks.push({ button, article });
    // A click that failed is not repeated by a later one.
    more().then(served, () => { clicks.length = 0; });
  }

  /** @param {import('./later.js').More} part */
  function served({ messageClicks, clickRow }) {
    // Several first events wait for the same part.
    if (!isServed) {
      isServed = true;
      for (const name of ROW_EVENTS) root.removeEventListener(name, first);
      messageClicks(root, ctx, hooks, isHovered);
    }
    // The row may have been drawn again meanwhile.
    for (const { button, article } of clicks.splice(0)) clickRow(button.isConnected ? button : sameButton(article, button) ?? button, article, ctx, hooks);
  }

  for (const name of ROW_EVENTS) root.addEventListener(name, first);
}

/**
 * Gives an article the contents of a new one. The bar with its focus stays, and so do equal files: a
 * video plays on. The focus of another button moves to the same button.
 * @param {HTMLElement} article
 * @param {HTMLElement} made
 */
export function replaceRow(article, made) {
  const active = article.ownerDocument.activeElement;
  const focus = active instanceof HTMLElement && article.contains(active) && active !== article ? active : null;
  const bar = [...article.children].find((child) => child.classList.contains('action-bar'));
  const [files, madeFiles] = [article, made].map((node) => /** @type {HTMLElement | null} */ (node.querySelector(':scope > .files')));
  const kept = files?.dataset.files === madeFiles?.dataset.files ? files : null;
  for (const child of [...article.children]) if (child !== bar && child !== kept) child.remove();
  for (const { name } of [...article.attributes]) if (name !== 'tabindex') article.removeAttribute(name);
  for (const { name, value } of made.attributes) if (name !== 'tabindex') article.setAttribute(name, value);
  const nodes = [...made.childNodes];
  if (kept && madeFiles) kept.before(...nodes.splice(0, nodes.indexOf(madeFiles) + 1).slice(0, -1));
  if (kept) kept.after(...nodes);
  else article.append(...nodes);
  if (!focus || focus.isConnected) return;
  (sameButton(article, focus) ?? article).focus({ preventScroll: true });
}

/**
 * Returns the button of an article that does the same as a button of its former contents.
 * @param {HTMLElement} article
 * @param {HTMLElement} button
 */
function sameButton(article, { dataset: { act, emoji } }) {
  const buttons = /** @type {HTMLElement[]} */ ([...article.querySelectorAll('[data-act]')]);
  return buttons.find(({ dataset }) => dataset.act === act && dataset.emoji === emoji);
}

/**
 * Returns the row around a node.
 * @param {EventTarget | null} target
 */
export function articleAt(target) {
  return target instanceof Element ? /** @type {HTMLElement | null} */ (target.closest('article.chat-message')) : null;
}

/**
 * Returns the message of an article.
 * @param {HTMLElement | Element} article
 * @param {Context} ctx
 */
export function messageOf(article, ctx) {
  return article instanceof HTMLElement && article.dataset.id ? ctx.store.message(Number(article.dataset.id)) : undefined;
}

