// The title of the page, and the count at every link to the inbox.

import { avatar } from './avatar.js';
import { chatName } from './presence_mark.js';
import { inboxBadge } from '../kit/inbox_badge.js';
import { titleOf } from './router.js';

/** @param {import('./types.js').Context} ctx */
export function createTitle(ctx) {
  const { store, router, root } = ctx;
  let face = store.me.avatar;
  function draw() {
    const { page, chat: id, panel } = router.current();
    const chat = id === undefined ? undefined : store.chat(id);
    const name = chat ? chatName(store, chat) : 'Chat';
    const parts = page === 'inbox' ? ['Inbox'] : panel === 'thread' ? ['Thread', name] : [name];
    const title = titleOf(store.unreadTotal(), ...parts);
    if (root.title !== title) root.title = title;
    for (const link of root.querySelectorAll('a[data-inbox]')) inboxBadge(link, store.notificationsUnread());
    for (const link of root.querySelectorAll('header.top nav.main a')) {
      const isHere = link.getAttribute('href') === (page === 'inbox' ? '/inbox' : '/chat');
      if (isHere) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
  }
  router.onChange(draw);
  draw();
  return {
    /** @param {Set<string>} changes */
    update(changes) {
      if (face !== store.me.avatar) {
        face = store.me.avatar;
        root.querySelector('header.top .avatar')?.replaceWith(avatar(store.me));
      }
      if ([...changes].some((key) => key === 'chats' || key === 'notifications' || key.startsWith('chat:') || key.startsWith('marks:'))) draw();
    },
  };
}
