// Gives an element its children with as few moves as possible: a node that is moved loses the focus.

/**
 * @param {Element} parent
 * @param {readonly Element[]} nodes
 */
export function placeChildren(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  for (const [at, node] of nodes.entries()) {
    const there = parent.children[at];
    if (there !== node) parent.insertBefore(node, there ?? null);
  }
}
