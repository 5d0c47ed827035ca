// The commands of the composer. Each is an action that the program also has elsewhere.

import { folded } from '../kit/folded.js';
import { sentText } from './compose_text.js';

/** @typedef {import('./types.js').Context} Context */
/** @typedef {import('./types.js').Chat} Chat */

/**
 * @typedef {object} Command
 * @property {string} name
 * @property {string} usage the arguments
 * @property {string} about
 * @property {(chat: Chat) => boolean} [applies] absent: in every chat
 * @property {(chat: Chat) => string} [confirms] the word of the button that has to be pressed first
 * @property {(ctx: Context, chat: Chat, rest: string) => Promise<string>} run resolves with a
 *   sentence; rejects with `{detail}`
 */

/** Maximum pages of channels that `/join` reads. */
const JOIN_PAGES_MAX = 20;

/** @param {Chat} chat */
const hasMembers = (chat) => chat.kind !== 'direct';

/** @param {string} detail */
const refused = (detail) => Promise.reject({ code: 'bad_request', detail });

/** @param {string} rest */
const userNames = (rest) => rest.split(/[\s,]+/).map((name) => name.replace(/^@/, '').toLowerCase()).filter((name) => name !== '');

/** @param {Chat} chat */
const commandChatTitle = (chat) => chat.name ?? chat.peer ?? 'the chat';

/** @type {Command[]} */
export const COMMANDS = [
  {
    name: 'invite', usage: '@name [owner|admin|member|reader]', about: 'Add a user to this chat', applies: hasMembers,
    async run({ actions }, chat, rest) {
      const [name, role] = userNames(rest);
      if (name === undefined) return refused('Write /invite @name.');
      if (role !== undefined && role !== 'owner' && role !== 'admin' && role !== 'member' && role !== 'reader') return refused(`"${role}" is not a role: owner, admin, member or reader.`);
      await actions.invite(chat.id, name, role);
      return `${name} is now in ${commandChatTitle(chat)}.`;
    },
  },
  {
    name: 'remove', usage: '@name', about: 'Remove a member from this chat', applies: hasMembers,
    async run({ actions }, chat, rest) {
      const [name] = userNames(rest);
      if (name === undefined) return refused('Write /remove @name.');
      await actions.removeMember(chat.id, name);
      return `${name} was removed from ${commandChatTitle(chat)}.`;
    },
  },
  {
    name: 'leave', usage: '', about: 'Leave this chat', applies: hasMembers, confirms: (chat) => `Leave ${commandChatTitle(chat)}`,
    async run({ actions, router }, chat) {
      await actions.leave(chat.id);
      router.go('/chat');
      return `You left ${commandChatTitle(chat)}.`;
    },
  },
  {
    name: 'join', usage: '#channel', about: 'Join a channel',
    async run({ actions, router }, _chat, rest) {
      const name = folded(rest.replace(/^#/, ''));
      if (name === '') return refused('Write /join and the name of a channel.');
      /** @type {string | undefined} */
      let cursor;
      for (let page = 0; page < JOIN_PAGES_MAX; page += 1) {
        const { items, next } = await actions.joinable(cursor);
        const found = items.find((channel) => folded(channel.name ?? '') === name);
        if (found) {
          await actions.join(found.id);
          router.go(`/chat/${found.id}`);
          return `You joined ${found.name}.`;
        }
        if (!next) break;
        cursor = next;
      }
      return refused(`A channel "${rest}" that you can join does not exist.`);
    },
  },
  {
    name: 'new', usage: 'name @user …', about: 'Create a group',
    async run({ actions, router }, _chat, rest) {
      const words = rest.split(/\s+/).filter((word) => word !== '');
      const name = words.filter((word) => !word.startsWith('@')).join(' ');
      if (name === '') return refused('Write /new, the name of the group, and @name of its members.');
      const chat = await actions.create({ kind: 'group', name, participants: userNames(words.filter((word) => word.startsWith('@')).join(' ')) });
      router.go(`/chat/${chat.id}`);
      return `The group ${name} was created.`;
    },
  },
  {
    name: 'direct', usage: '@name', about: 'Open the direct chat with a user',
    async run({ actions, router }, _chat, rest) {
      const [name] = userNames(rest);
      if (name === undefined) return refused('Write /direct @name.');
      const chat = await actions.create({ kind: 'direct', participants: [name] });
      router.go(`/chat/${chat.id}`);
      return `This is your chat with ${name}.`;
    },
  },
  {
    name: 'search', usage: 'words', about: 'Search messages',
    async run({ router }, _chat, rest) {
      if (rest === '') return refused('Write /search and the words to find.');
      router.go(`/search?q=${encodeURIComponent(rest)}`);
      return 'The page of the search opens.';
    },
  },
  {
    name: 'topic', usage: 'name', about: 'Rename this chat', applies: (chat) => hasMembers(chat) && chat.project_id === undefined,
    async run({ actions }, chat, rest) {
      if (rest === '') return refused('Write /topic and the new name of the chat.');
      await actions.rename(chat.id, rest);
      return `The chat is now named ${rest}.`;
    },
  },
  {
    name: 'notify', usage: 'all|mentions|none', about: 'Choose what notifies you in this chat',
    async run({ actions }, chat, rest) {
      if (rest !== 'all' && rest !== 'mentions' && rest !== 'none') return refused('Write /notify all, /notify mentions or /notify none.');
      await actions.notify(chat.id, rest);
      return { all: 'Every message notifies you.', mentions: 'Only mentions notify you.', none: 'Nothing in this chat notifies you.' }[rest];
    },
  },
  {
    name: 'status', usage: 'online|away|dnd|invisible', about: 'Set your status',
    async run({ actions }, _chat, rest) {
      if (rest !== 'online' && rest !== 'away' && rest !== 'dnd' && rest !== 'invisible') return refused('Write /status online, away, dnd or invisible.');
      await actions.status(rest);
      return `Your status is ${rest}.`;
    },
  },
];

/**
 * Returns the commands that apply in a chat and begin with a text.
 * @param {Chat} chat
 * @param {string} begin
 */
export const commandsLike = (chat, begin) => COMMANDS.filter(({ name, applies }) => name.startsWith(begin.toLowerCase()) && (applies?.(chat) ?? true));

/** @typedef {{ kind: 'text', text: string } | { kind: 'command', name: string, rest: string } | { kind: 'unknown', name: string }} Written */

/**
 * Returns what the text of the composer is: a text or a command. A space or another `/` before
 * the `/` makes it a text, and a path such as `/usr/bin` is a text, too.
 * @param {string} text
 * @param {(name: string) => boolean} exists
 * @returns {Written}
 */
export function writtenAs(text, exists) {
  if (text.startsWith('//')) return { kind: 'text', text: sentText(text.slice(1)) };
  if (/^ \/[a-z]/i.test(text)) return { kind: 'text', text: sentText(text.slice(1)) };
  const name = /^\/([a-z][a-z0-9_-]*)(?=\s|$)/i.exec(text)?.[1]?.toLowerCase();
  if (name === undefined) return { kind: 'text', text: sentText(text) };
  if (!exists(name)) return { kind: 'unknown', name };
  return { kind: 'command', name, rest: text.slice(name.length + 1).trim() };
}

/**
 * Returns what a text that begins with `/` is: a command with its arguments, a text in `rest`, or a
 * problem.
 * @param {string} text
 * @param {Chat} chat
 * @returns {{ command?: Command, rest: string, problem?: string }}
 */
export function slashText(text, chat) {
  const known = commandsLike(chat, '');
  const written = writtenAs(text, (name) => known.some((command) => command.name === name));
  if (written.kind === 'text') return { rest: written.text };
  if (written.kind === 'command') return { command: known.find(({ name }) => name === written.name), rest: written.rest };
  const names = known.map(({ name }) => `/${name}`).join(' ');
  return { rest: '', problem: `"/${written.name}" is not a command of this chat; there are ${names}. To send it as text, begin with a space or with //.` };
}
