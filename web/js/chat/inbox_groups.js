// The inbox as groups of notifications, each with its reason. Pure functions.

/** @typedef {import('./types.js').Notification & { repository?: string, reason?: string }} Notice */
/** @typedef {{ key: string, title: string, href: string, notices: Notice[] }} NoticeGroup */

/**
 * Returns why the user has a notification, as a sentence.
 * @param {Notice} notice
 */
export function reasonOf(notice) {
  const { kind, repository } = notice;
  if (kind === 'push') {
    const project = repository?.split('/').slice(0, 2).join('/');
    return notice.reason === 'named' ? 'A commit names you.' : `You watch ${project ?? 'this project'}.`;
  }
  const reasons = /** @type {Record<string, string>} */ ({
    mention: 'You were named.', direct: 'A direct message.', reply: 'A reply to your message.', thread: 'You follow this thread.',
    added: 'You were added to this chat.', account: 'This concerns your account.',
  });
  return reasons[kind] ?? '';
}

/**
 * Returns the address of the cause of a notification.
 * @param {Notice} notice
 */
export function noticeHref(notice) {
  if (notice.chat_id === undefined) return notice.kind === 'account' ? '/settings/tokens' : '/inbox';
  return notice.seq === undefined ? `/chat/${notice.chat_id}` : `/chat/${notice.chat_id}/${notice.seq}`;
}

/**
 * Returns the notifications by repository or chat; the group with the newest one first.
 * @param {Notice[]} notices newest first
 * @param {(chatId: number) => string} nameOf
 * @param {boolean} onlyUnread
 * @returns {NoticeGroup[]}
 */
export function groupNotices(notices, nameOf, onlyUnread) {
  /** @type {Map<string, NoticeGroup>} */
  const groups = new Map();
  for (const notice of notices) {
    if (onlyUnread && notice.read_at) continue;
    const { chat_id: chat, repository } = notice;
    const key = repository ? `repository ${repository}` : chat === undefined ? 'account' : `chat ${chat}`;
    const group = groups.get(key) ?? {
      key, notices: [], title: repository ?? (chat === undefined ? 'Your account' : nameOf(chat)),
      href: repository ? `/${repository.split('/').map(encodeURIComponent).join('/')}` : chat === undefined ? '/settings/tokens' : `/chat/${chat}`,
    };
    group.notices.push(notice);
    groups.set(key, group);
  }
  return [...groups.values()];
}
