// The number of unread notifications at the link to the inbox and in the title, on pages without the
// chat program.
import { inboxBadge } from '../kit/inbox_badge.js';
import { whileVisible } from './while_visible.js';

/** More than this is not counted: the page needs no longer list. */
const INBOX_COUNTED = 9;

/**
 * Returns the title of a page with the number of unread notifications.
 * @param {string} title with or without a number
 * @param {number} count
 */
export function countedTitle(title, count) {
  const plain = title.replace(/^\(\d+\+?\) /, '');
  return count === 0 ? plain : `(${count > INBOX_COUNTED ? `${INBOX_COUNTED}+` : count}) ${plain}`;
}

/** @param {Document} root */
export function inboxCount(root) {
  const link = root.querySelector('a[data-inbox]');
  if (!link) return;

  whileVisible(root, async () => {
    try {
      const response = await fetch(`/api/notifications?unread=true&limit=${INBOX_COUNTED + 1}`, { headers: { 'X-NetBit-Web': '1' }, cache: 'no-store' });
      if (!response.ok) return;
      const count = (await response.json()).items.length;
      inboxBadge(link, count, INBOX_COUNTED);
      root.title = countedTitle(root.title, count);
    } catch {
      // The link works without a number.
    }
  }, false);
}
