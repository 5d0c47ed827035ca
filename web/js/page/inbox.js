// The number of unread notifications at the link to the inbox, on pages without the chat program.
import { inboxBadge } from '../kit/inbox_badge.js';

/** More than this is not counted: the page needs no longer list. */
const INBOX_COUNTED = 9;
/** The number is not asked for more often. */
const INBOX_EVERY_MS = 15_000;

/** @param {Document} root */
export function inboxCount(root) {
  const link = root.querySelector('a[data-inbox]');
  if (!link) return;
  let askedAt = -Infinity;

  async function ask() {
    if (root.hidden || performance.now() - askedAt < INBOX_EVERY_MS) return;
    askedAt = performance.now();
    try {
      const response = await fetch(`/api/notifications?unread=true&limit=${INBOX_COUNTED + 1}`, { headers: { 'X-NetBit-Web': '1' }, cache: 'no-store' });
      if (response.ok && link) inboxBadge(link, (await response.json()).items.length, INBOX_COUNTED);
    } catch {
      // The link works without a number.
    }
  }

  root.addEventListener('visibilitychange', ask);
  addEventListener('pageshow', (event) => {
    if (!event.persisted) return;
    askedAt = -Infinity;
    void ask();
  });
  void ask();
}
