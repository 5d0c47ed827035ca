// The inbox as groups of notifications, each with its reason. Pure functions.
import { encodedPath } from '../kit/path.js';

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

/** Kinds of notifications whose message is shown. */
const EXCERPT_KINDS = ['mention', 'direct', 'reply', 'thread'];
const NOTICE_EXCERPT_MAX = 160;

/**
 * Returns the first line of a message that is not empty.
 * @param {string} content
 */
export const firstLine = (content) => (content.trim().split('\n')[0] ?? '').replace(/\s+/g, ' ').trim().slice(0, NOTICE_EXCERPT_MAX);

/**
 * Returns what to request for the messages of notifications: for each chat the position after the
 * newest of them.
 * @param {Notice[]} notices those on the screen
 * @param {(messageId: number) => boolean} isKnown
 * @param {number} most notifications that are considered
 */
export function excerptsWanted(notices, isKnown, most) {
  /** @type {Map<number, { before: number, ids: number[] }>} */
  const wanted = new Map();
  for (const { kind, chat_id: chat, seq, message_id: id } of notices.slice(0, most)) {
    if (chat === undefined || seq === undefined || id === undefined || !EXCERPT_KINDS.includes(kind) || isKnown(id)) continue;
    const { before, ids } = wanted.get(chat) ?? { before: 0, ids: [] };
    wanted.set(chat, { before: Math.max(before, seq + 1), ids: [...ids, id] });
  }
  return wanted;
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
      href: repository ? `/${encodedPath(repository)}` : chat === undefined ? '/settings/tokens' : `/chat/${chat}`,
    };
    group.notices.push(notice);
    groups.set(key, group);
  }
  return [...groups.values()];
}
