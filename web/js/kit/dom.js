// Builds and changes nodes. The policy of the pages forbids strings that become HTML.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, unknown> & { class?: string, dataset?: Record<string, string | number> }} Props */

/**
 * Returns an element. `class` and `dataset` are special; a name that the element has as a writable
 * property is set as a property, other names become attributes. A value `null`, `undefined` or
 * `false` of an attribute leaves it out; `true` writes it empty. Null children are skipped.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props | null} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) setProp(node, name, value);
  node.append(...nodesOf(children));
  return node;
}

/**
 * Sets one property as `el` does.
 * @param {HTMLElement} node
 * @param {string} name
 * @param {unknown} value
 */
function setProp(node, name, value) {
  if (name.startsWith('on')) throw new Error(`${name}: listeners are delegated`);
  if (name === 'class') {
    if (value) node.className = String(value);
  } else if (name === 'dataset') {
    for (const [key, item] of Object.entries(/** @type {Record<string, unknown>} */ (value ?? {}))) {
      if (item !== null && item !== undefined) node.dataset[key] = String(item);
    }
  } else if (DOM_PROPERTIES.has(name)) {
    /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (node))[name] = value ?? (typeof value === 'boolean' ? false : '');
  } else if (value === true) {
    node.setAttribute(name, '');
  } else if (value === null || value === undefined || value === false) {
    node.removeAttribute(name);
  } else {
    node.setAttribute(name, String(value));
  }
}

const DOM_PROPERTIES = new Set(['disabled', 'hidden', 'value', 'checked', 'selected', 'readOnly', 'tabIndex']);

/**
 * Returns the children as nodes and strings.
 * @param {(Child | Child[])[]} children
 * @returns {(Node | string)[]}
 */
function nodesOf(children) {
  const list = /** @type {Child[]} */ (children.flat());
  const kept = list.filter((child) => child !== null && child !== undefined && child !== false);
  return kept.map((child) => (child instanceof Node ? child : String(child)));
}

/**
 * Sets the text of a node, if it differs: an unchanged text node keeps the selection.
 * @param {Node} node
 * @param {string | number} value
 */
export function text(node, value) {
  const wanted = String(value);
  if (node.textContent !== wanted) node.textContent = wanted;
}

/**
 * Replaces the children of a node.
 * @param {Element | DocumentFragment} node
 * @param {...(Child | Child[])} children
 */
export function fill(node, ...children) {
  node.replaceChildren(...nodesOf(children));
}
