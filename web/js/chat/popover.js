// Popovers beside a button: native ones, so Escape and a click elsewhere close them.

/** Distance to the button and to the edges of the window, in pixels. */
const POPOVER_GAP = 4;
const POPOVER_EDGE = 8;

/**
 * Shows a popover below a button, or above it where there is more room. It is removed when it
 * closes, and the focus returns to where it was, or to the row of the button.
 * @param {HTMLElement} node
 * @param {Element} near
 * @param {HTMLElement} parent
 */
export function showPopover(node, near, parent) {
  const before = document.activeElement;
  const row = near.closest('article');
  node.setAttribute('popover', 'auto');
  node.classList.add('popover');
  parent.append(node);
  node.showPopover();
  const box = near.getBoundingClientRect();
  const { width, height } = node.getBoundingClientRect();
  const room = innerHeight - box.bottom - POPOVER_GAP - POPOVER_EDGE;
  const top = height <= room || box.top < room ? box.bottom + POPOVER_GAP : box.top - POPOVER_GAP - height;
  const left = getComputedStyle(near).direction === 'rtl' ? box.left : box.right - width;
  node.style.setProperty('top', `${clamped(top, innerHeight - height - POPOVER_EDGE)}px`);
  node.style.setProperty('left', `${clamped(left, innerWidth - width - POPOVER_EDGE)}px`);
  // Escape closes the popover and nothing else; other keys are not keys of the page.
  node.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.key !== 'Escape' || event.isComposing) return;
    event.preventDefault();
    node.hidePopover();
  });
  node.addEventListener('toggle', (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== 'closed') return;
    const active = document.activeElement;
    const isLost = !active || active === document.body || node.contains(active);
    node.remove();
    const home = [before, row].find((target) => target?.isConnected && target !== document.body);
    if (isLost && home instanceof HTMLElement) home.focus({ preventScroll: true });
  });
}

/** @param {number} value @param {number} max */
function clamped(value, max) {
  return Math.round(Math.max(POPOVER_EDGE, Math.min(value, max)));
}

/**
 * Moves the focus among the items of a menu or a toolbar. Returns whether the key was one of those.
 * @param {KeyboardEvent} event
 * @param {HTMLElement[]} items
 * @param {boolean} isVertical
 */
export function moveFocus(event, items, isVertical) {
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const [back, forth] = isVertical ? ['ArrowUp', 'ArrowDown'] : ['ArrowLeft', 'ArrowRight'];
  /** @type {Record<string, number>} */
  const places = { [back]: at - 1, [forth]: at + 1, Home: 0, End: items.length - 1 };
  const to = places[event.key];
  if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return false;
  event.preventDefault();
  event.stopPropagation();
  const next = items[(to + items.length) % items.length];
  for (const item of items) item.tabIndex = item === next ? 0 : -1;
  next?.focus();
  return true;
}
