// Notices of the desktop. The browser asks the user only after a button of the inbox or a command of
// the switcher, and has notices only on https and on localhost.

import { noticeHref } from './inbox_groups.js';

const DESKTOP_SHOWN_MAX = 5;

/**
 * Returns whether notices are shown, can be asked for, or are not possible.
 * @param {Pick<import('./types.js').Context, 'local' | 'store'>} ctx
 * @returns {'on' | 'ask' | 'never'}
 */
export function noticesState({ local, store }) {
  if (typeof Notification === 'undefined' || Notification.permission === 'denied') return 'never';
  return Notification.permission === 'granted' && local.get(`desktop:${store.me.id}`) === true ? 'on' : 'ask';
}

/**
 * Returns the notifications that deserve a notice: new, unread, and not of the chat that the user
 * reads.
 * @param {import('./types.js').Notification[]} all newest first
 * @param {number} after the id of the newest notification that was handled
 * @param {number | undefined} visible the chat on the screen of a focused window
 */
export function noticesToShow(all, after, visible) {
  const found = all.filter((notice) => notice.id > after && !notice.read_at && (notice.chat_id === undefined || notice.chat_id !== visible));
  return found.slice(0, DESKTOP_SHOWN_MAX).reverse();
}

/**
 * @param {import('./types.js').Context} ctx
 * @param {number} handled the newest notification that needs no notice; -1: the first list is not there yet
 */
export function createDesktop(ctx, handled) {
  const { store, router, local, root } = ctx;

  /** @param {import('./types.js').Notification} notice */
  function show(notice) {
    try {
      const shown = new Notification('NetBit', { body: notice.text, tag: `netbit-${notice.id}`, icon: root.querySelector('link[rel=icon]')?.getAttribute('href') ?? '' });
      shown.addEventListener('click', () => {
        window.focus();
        router.go(noticeHref(notice));
        shown.close();
      });
    } catch {
      // Some browsers show notices of service workers only.
    }
  }

  function showNew() {
    const newest = store.notifications()[0]?.id ?? 0;
    if (handled >= 0 && noticesState(ctx) === 'on') {
      const { page, chat } = router.current();
      const isSeen = root.visibilityState === 'visible' && root.hasFocus() && page === 'chat';
      for (const notice of noticesToShow(store.notifications(), handled, isSeen ? chat : undefined)) show(notice);
    }
    handled = Math.max(handled, newest);
  }
  if (handled >= 0) showNew();

  return {
    async allow() {
      if (typeof Notification === 'undefined') return;
      const permission = await Notification.requestPermission();
      local.set(`desktop:${store.me.id}`, permission === 'granted');
      ctx.announce(permission === 'granted' ? 'Desktop notices are on.' : 'The browser does not allow notices of this page.');
    },
    /** @param {Set<string>} changes */
    update(changes) {
      if (changes.has('notifications')) showNew();
    },
  };
}
