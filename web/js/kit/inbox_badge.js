// The count at a link to the inbox. Pages and the chat program draw it alike.

/**
 * Shows the number of unread notifications at a link; 0 removes it.
 * @param {Element} link
 * @param {number} count
 * @param {number} [most] the largest number that is known exactly
 */
export function inboxBadge(link, count, most = 99) {
  const { ownerDocument: root } = link;
  const old = link.querySelector('.inbox-count');
  const shown = count > most ? `${most}+` : String(count);
  if (old?.getAttribute('data-count') === String(count) || (!old && count === 0)) return;
  old?.remove();
  if (count === 0) return;
  const badge = link.appendChild(root.createElement('span'));
  badge.className = 'inbox-count';
  badge.setAttribute('data-count', String(count));
  const number = badge.appendChild(root.createElement('span'));
  number.className = 'badge';
  number.setAttribute('aria-hidden', 'true');
  number.textContent = shown;
  const words = badge.appendChild(root.createElement('span'));
  words.className = 'sr';
  words.textContent = `, ${shown} unread`;
}
