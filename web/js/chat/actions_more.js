// The actions of what `more.js` shows.

import { NOTICE_PAGE } from './actions.js';

/** @typedef {import('./types.js').Message} Message */
/** @typedef {Pick<import('./types.js').Actions, 'unreadFrom' | 'edit' | 'remove' | 'react' | 'pin' | 'follow' | 'readAll' | 'hide' | 'thread' | 'pins' | 'join' | 'leave' | 'rename' | 'archive' | 'setAvatar' | 'invite' | 'removeMember' | 'notify' | 'create' | 'joinable' | 'findUsers' | 'readNotification' | 'readNotifications' | 'moreNotifications'>} MoreActions */

/** Messages of a thread or pins that are loaded. */
const LISTED_PAGES_MAX = 10;

/**
 * Adds the actions to those of `actions.js`.
 * @param {import('./actions.js').FirstActions} actions
 * @returns {import('./actions.js').FirstActions & MoreActions}
 */
export function addActions(actions) {
  const { parts } = actions;
  const { store, now, call, change } = parts;

  /** @param {number} chatId */
  const chatPath = (chatId) => `/api/chats/${chatId}`;
  /** @param {string} username */
  const nameIn = (username) => encodeURIComponent(username);

  /**
   * Reads all pages of messages of a list over HTTP.
   * @param {number} chatId
   * @param {string} query
   */
  async function listed(chatId, query) {
    store.apply({ type: 'window', chat_id: chatId });
    const asOf = store.last(chatId) ?? 0;
    /** @type {Message[]} */
    let messages = [];
    let more = '';
    for (let page = 0; page < LISTED_PAGES_MAX; page += 1) {
      const answer = await call('GET', `${chatPath(chatId)}/messages?${query}&limit=100${more}`);
      messages = [...answer.items, ...messages];
      const first = answer.items[0]?.seq;
      if (!answer.has_more || first === undefined) break;
      more = `&before_seq=${first}`;
    }
    if (!store.apply({ type: 'messages', chat_id: chatId, messages, as_of: asOf })) return messages;
    return messages.map((message) => store.message(message.id) ?? message);
  }

  /** @type {MoreActions} */
  const added = {
    async unreadFrom(chatId, seq) {
      parts.reading.delete(chatId);
      await change({ packet_type: 'MarkUnread', chat_id: chatId, from_seq: seq });
    },
    edit: (chatId, messageId, content) => change({ packet_type: 'EditMessage', chat_id: chatId, message_id: messageId, message: { content } }),
    remove: (chatId, messageId) => change({ packet_type: 'DeleteMessage', chat_id: chatId, message_id: messageId }),
    react: (chatId, messageId, emoji, on) => change({ packet_type: 'React', chat_id: chatId, message_id: messageId, emoji, remove: !on }),
    pin: (chatId, messageId, on) => change({ packet_type: 'Pin', chat_id: chatId, message_id: messageId, remove: !on }),
    follow: (chatId, messageId, on) => change({ packet_type: 'Follow', chat_id: chatId, message_id: messageId, remove: !on }),
    readAll: () => change({ packet_type: 'MarkAllRead' }),
    hide: (chatId, on) => change({ packet_type: 'Hide', chat_id: chatId, remove: !on }),
    thread: (chatId, messageId) => listed(chatId, `thread=${messageId}`),
    pins: (chatId) => listed(chatId, 'pinned=true'),
    join: (chatId) => call('PUT', `${chatPath(chatId)}/participants/${nameIn(store.me.username)}`, {}),
    leave: (chatId) => call('DELETE', `${chatPath(chatId)}/participants/${nameIn(store.me.username)}`),
    rename: (chatId, name) => call('PATCH', chatPath(chatId), { name }),
    archive: (chatId, on) => call('PATCH', chatPath(chatId), { archived: on }),
    setAvatar: (chatId, picture) => (picture ? call('PUT', `${chatPath(chatId)}/avatar`, picture) : call('DELETE', `${chatPath(chatId)}/avatar`)),
    invite: (chatId, username, role) => call('PUT', `${chatPath(chatId)}/participants/${nameIn(username)}`, role ? { role } : {}),
    removeMember: (chatId, username) => call('DELETE', `${chatPath(chatId)}/participants/${nameIn(username)}`),
    async notify(chatId, level) {
      await call('PUT', `${chatPath(chatId)}/notify`, { level });
      store.apply({ type: 'notify', chat_id: chatId, level });
    },
    create: (chat) => call('POST', '/api/chats', chat),
    async joinable(cursor) {
      const answer = await call('GET', `/api/chats?joinable=true&limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
      return { items: answer.items, next: answer.next ?? null };
    },
    async findUsers(prefix) {
      const answer = await call('GET', `/api/users?prefix=${encodeURIComponent(prefix)}&limit=20`);
      store.apply({ type: 'users', users: answer.items });
      return answer.items.map((/** @type {{ id: number }} */ user) => store.user(user.id));
    },
    async readNotification(id) {
      await call('POST', `/api/notifications/${id}/read`, {});
      store.apply({ type: 'notifications_read', notification_id: id, read_at: new Date(now()).toISOString() });
    },
    async readNotifications() {
      await call('POST', '/api/notifications/read', {});
      store.apply({ type: 'notifications_read', read_at: new Date(now()).toISOString() });
    },
    async moreNotifications() {
      if (parts.noticeCursor === undefined) return;
      const answer = await call('GET', `/api/notifications?limit=${NOTICE_PAGE}&cursor=${encodeURIComponent(parts.noticeCursor)}`);
      parts.noticeCursor = answer.next ?? undefined;
      store.apply({ type: 'notifications', items: answer.items, has_more: parts.noticeCursor !== undefined });
    },
  };
  return Object.assign(actions, added);
}
