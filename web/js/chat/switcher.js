// The switcher (Ctrl-K): goes to chats, users, projects, repositories, files and messages, and runs
// commands. It searches in memory; lists of the server are read once when it opens. Messages are
// searched for by the server (`message_search.js`, `switcher_hits.js`).

import { api } from '../kit/api.js';
import { el, fill } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { encodedPath } from '../kit/path.js';
import { avatar } from './avatar.js';
import { newChat } from './new_chat.js';
import { oldTexts, showOldTexts } from './old_texts.js';
import { chatGlyph, chatName, peerOf, presenceWord } from './presence_mark.js';
import { problemText, showProblem } from './problem.js';
import { matching, splitTyped } from './rank.js';
import { createHits } from './switcher_hits.js';

const SWITCHER_ROWS = 12;
/** Places above the messages that are found. */
const ROWS_ABOVE_HITS = 7;
/** Kinds that are not offered again. */
const NOT_RECENT = ['command', 'search', 'message'];
const RECENTS_MAX = 30;
const SWITCHER_PAGE = 100;
/** Pages of projects that are read. */
const SWITCHER_PAGES_MAX = 5;
/** Projects whose repositories are read: those of the user first. */
const REPOSITORY_PROJECTS_MAX = 40;
/** Requests at once. */
const SWITCHER_REQUESTS = 4;
const SWITCHER_USERS_MAX = 2000;
/** A search in as many files takes less than 30 ms. */
const SWITCHER_FILES_MAX = 10_000;
/** Repositories of the open project whose files are listed. */
const FILE_REPOSITORIES_MAX = 3;
/** The lists are read again when the switcher opens after this time. */
const LISTS_FRESH_MS = 60_000;
const FIND_USERS_DELAY_MS = 150;

/** @typedef {import('./rank.js').Entry & { run: () => unknown, chat?: import('./types.js').Chat, user?: import('./types.js').User, hit?: import('./message_search.js').MessageHit }} SwitcherEntry */

/** @type {Record<import('./rank.js').EntryKind, [string, import('../kit/icons.js').IconName]>} */
const ENTRY_WORDS = { chat: ['Chat', 'chat'], user: ['User', 'person'], project: ['Project', 'project'], repository: ['Repository', 'code'], file: ['File', 'copy'], command: ['Command', 'right'], search: ['Search', 'search'], message: ['Message', 'chat'] };

/**
 * @param {HTMLElement} root
 * @param {import('./types.js').Context} ctx
 * @param {{ keys?: () => void, allowNotices?: () => void }} [commands]
 */
export function createSwitcher(root, ctx, commands = {}) {
  const { store, actions, router, local } = ctx;
  const input = el('input', { role: 'combobox', id: 'switcher-field', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', placeholder: 'Go to a chat, a user, a project …', 'aria-label': 'Go to', 'aria-expanded': 'true', 'aria-controls': 'switcher-list', 'aria-autocomplete': 'list' });
  const list = el('ul', { id: 'switcher-list', role: 'listbox', 'aria-label': 'Places' });
  const note = el('p', { class: 'muted note', role: 'status' });
  const help = el('p', { class: 'switcher-help muted', id: 'switcher-help' });
  const hint = (/** @type {string} */ key, /** @type {string} */ word) => el('span', null, el('kbd', null, key), ` ${word}`);
  fill(help, hint('#', 'chats'), hint('@', 'users'), hint('/', 'files of the open project'), hint('?', 'messages'), hint('>', 'commands'));
  input.setAttribute('aria-describedby', 'switcher-help');
  const dialog = el('dialog', { class: 'switcher', 'aria-label': 'Switcher' }, input, list, note, help);
  root.append(dialog);

  const hits = createHits(ctx, () => { if (dialog.open) draw(); });
  /** @type {SwitcherEntry[]} */
  let shown = [];
  let active = 0;
  let readAt = 0;
  /** @type {{ owner: string, name: string, description: string, repository_count: number, role?: string }[]} */
  let projects = [];
  /** @type {{ full_name: string, description: string, default_branch: string }[]} */
  let repositories = [];
  /** @type {Map<number, import('./types.js').User>} */
  const users = new Map();
  /** @type {SwitcherEntry[]} */
  let files = [];
  let filesOf = '';
  let isReadingFiles = false;
  let isFilesCut = false;
  /** The lists that did not load. @type {Set<string>} */
  const missing = new Set();
  let timer = 0;
  /** @type {SwitcherEntry[] | null} made again when the facts changed */
  let entries = null;

  /** @returns {string[]} */
  const recents = () => {
    const kept = local.get(`recents:${store.me.id}`);
    return Array.isArray(kept) ? kept.filter((key) => typeof key === 'string') : [];
  };

  /** @returns {SwitcherEntry[]} */
  function all() {
    if (entries) return entries;
    const chats = store.chats().map((chat) => {
      const unread = store.unread(chat.id);
      /** @type {SwitcherEntry} */
      const entry = { kind: 'chat', key: `chat:${chat.id}`, name: chatName(store, chat), chat, unread: chat.notify === 'none' ? unread.mentions : unread.count, detail: chat.archived ? 'archived' : '', run: () => router.go(`/chat/${chat.id}`) };
      const peer = peerOf(store, chat);
      if (peer !== undefined) entry.words = store.user(peer).display_name;
      return entry;
    });
    const peers = new Set(store.chats().map((chat) => chat.peer));
    for (const user of store.users()) if (users.size < SWITCHER_USERS_MAX) users.set(user.id, user);
    const people = [...users.values()].filter((user) => user.id !== store.me.id && !user.missing && user.active !== false && !peers.has(user.username))
      .map((user) => /** @type {SwitcherEntry} */ ({ kind: 'user', key: `user:${user.username}`, name: user.username, words: user.display_name, detail: user.display_name, user, run: () => openDirect(user.username) }));
    const places = projects.map(({ owner, name, description }) => /** @type {SwitcherEntry} */ ({ kind: 'project', key: `project:${owner}/${name}`, name: `${owner}/${name}`, detail: description, run: () => location.assign(`/${encodedPath(`${owner}/${name}`)}`) }));
    const code = repositories.map(({ full_name: name, description }) => /** @type {SwitcherEntry} */ ({ kind: 'repository', key: `repository:${name}`, name, detail: description, run: () => location.assign(`/${encodedPath(name)}`) }));
    entries = [...chats, ...people, ...places, ...code, ...commandEntries(), ...files];
    return entries;
  }

  /** @returns {SwitcherEntry[]} */
  function commandEntries() {
    const make = (/** @type {string} */ name, /** @type {() => unknown} */ run) => /** @type {SwitcherEntry} */ ({ kind: 'command', key: `command:${name}`, name, run });
    const made = [
      make('New chat', () => newChat(ctx)), make('Find channels to join', () => newChat(ctx, 'join')),
      make('Inbox', () => router.go('/inbox')), make('Mark all chats as read', () => actions.readAll().then(() => ctx.announce('All chats are read.'))),
      make('Status: online', () => actions.status('online')), make('Status: away', () => actions.status('away')), make('Status: busy', () => actions.status('dnd')), make('Status: invisible', () => actions.status('invisible')),
      make('Search', () => location.assign('/search')), make('Projects', () => location.assign('/projects')), make('New project', () => location.assign('/projects/new')), make('People', () => location.assign('/people')), make('Settings', () => location.assign('/settings/profile')),
    ];
    if (commands.keys) made.push(make('Keyboard shortcuts', commands.keys));
    if (commands.allowNotices) made.push(make('Desktop notices', commands.allowNotices));
    if (oldTexts(ctx).length) made.push(make('Texts from before a restore', () => showOldTexts(ctx)));
    const { chat, page } = router.current();
    if (page === 'chat' && chat !== undefined) made.push(make('Search in this chat', () => ctx.root.getElementById('main')?.dispatchEvent(new CustomEvent('chat:run', { detail: 'search-chat' }))), make('Pinned messages', () => router.go(`/chat/${chat}`, { panel: 'pins' })), make('People of this chat', () => router.go(`/chat/${chat}`, { panel: 'people' })));
    return made;
  }

  /** @param {string} username */
  async function openDirect(username) {
    const known = store.chats().find((chat) => chat.kind === 'direct' && chat.peer === username);
    const chat = known ?? await actions.create({ kind: 'direct', participants: [username] });
    if (chat.hidden) await actions.hide(chat.id, false);
    router.go(`/chat/${chat.id}`);
  }

  /**
   * Reads pages of a list.
   * @param {string} path
   * @returns {Promise<any[]>}
   */
  async function pages(path) {
    /** @type {any[]} */
    const found = [];
    let cursor = '';
    for (let page = 0; page < SWITCHER_PAGES_MAX; page += 1) {
      const answer = await api('GET', `${path}${path.includes('?') ? '&' : '?'}limit=${SWITCHER_PAGE}${cursor}`);
      found.push(...(answer?.items ?? []));
      if (answer?.next === null || answer?.next === undefined) break;
      cursor = `&cursor=${encodeURIComponent(String(answer.next))}`;
    }
    return found;
  }

  async function read() {
    if (ctx.now() - readAt < LISTS_FRESH_MS) return;
    readAt = ctx.now();
    try {
      projects = await pages('/api/projects');
      refresh();
      const some = projects.filter((project) => project.repository_count > 0).sort((one, other) => Number(Boolean(other.role)) - Number(Boolean(one.role)));
      repositories = await repositoriesOf(some.slice(0, REPOSITORY_PROJECTS_MAX));
      refresh();
      missing.delete('projects');
    } catch {
      readAt = 0;
      missing.add('projects');
      refresh();
    }
  }

  /**
   * Reads the first page of the repositories of each project.
   * @param {{ owner: string, name: string }[]} some
   */
  async function repositoriesOf(some) {
    /** @type {typeof repositories} */
    const found = [];
    let failures = 0;
    for (let at = 0; at < some.length; at += SWITCHER_REQUESTS) {
      const lists = some.slice(at, at + SWITCHER_REQUESTS).map(({ owner, name }) => api('GET', `/api/projects/${encodedPath(`${owner}/${name}`)}/repos?limit=${SWITCHER_PAGE}`));
      for (const list of await Promise.allSettled(lists)) {
        if (list.status === 'fulfilled') found.push(...list.value.items);
        else failures += 1;
      }
    }
    if (failures) missing.add('repositories');
    else missing.delete('repositories');
    return found;
  }

  /** Reads the files of the repositories of the open project. */
  async function readFiles() {
    const { chat: id } = router.current();
    const chat = id === undefined ? undefined : store.chat(id);
    const project = chat?.project_id !== undefined ? chat.name ?? '' : '';
    if (!project || project === filesOf || isReadingFiles) return;
    isReadingFiles = true;
    filesOf = project;
    files = [];
    isFilesCut = false;
    const [owner = '', name = ''] = project.split('/');
    const own = (await repositoriesOf([{ owner, name }])).slice(0, FILE_REPOSITORIES_MAX);
    const isSingle = own.length === 1;
    for (const { full_name: name, default_branch: branch } of own) {
      try {
        const repository = name.slice(name.lastIndexOf('/') + 1);
        const answer = await api('GET', `/api/projects/${encodedPath(project)}/repos/${encodeURIComponent(repository)}/files/${encodeURIComponent(branch)}`);
        isFilesCut ||= Boolean(answer.truncated);
        for (const path of answer.paths ?? []) {
          if (files.length >= SWITCHER_FILES_MAX) {
            isFilesCut = true;
            break;
          }
          files.push({ kind: 'file', key: `file:${name}:${path}`, name: path, detail: isSingle ? '' : repository, run: () => location.assign(`/${encodedPath(name)}/-/blob/${encodedPath(branch)}/${encodedPath(path)}`) });
        }
      } catch (error) {
        // An empty repository has no files.
        const { status } = /** @type {{ status?: number }} */ (error);
        if (status !== 404 && status !== 409) filesOf = '';
      }
    }
    if (missing.has('repositories')) filesOf = '';
    if (filesOf) missing.delete('files');
    else missing.add('files');
    isReadingFiles = false;
    refresh();
  }

  /** @param {string} prefix */
  async function findUsers(prefix) {
    try {
      for (const user of await actions.findUsers(prefix)) {
        if (users.size < SWITCHER_USERS_MAX) users.set(user.id, user);
      }
      missing.delete('users');
    } catch {
      missing.add('users');
    }
    refresh();
  }

  function refresh() {
    entries = null;
    if (dialog.open) draw();
  }

  function draw() {
    const { prefix, text } = splitTyped(input.value);
    const key = shown[active]?.key;
    const found = hits.entries(prefix, text);
    shown = [...matching(all(), input.value, recents(), found.length ? ROWS_ABOVE_HITS : SWITCHER_ROWS), ...found];
    active = Math.max(0, shown.findIndex((entry) => entry.key === key));
    fill(list, ...shown.map((entry, at) => el('li', { id: `switcher-${at}`, role: 'option', 'aria-selected': String(at === active), dataset: { at } }, ...partsOf(entry))));
    if (shown.length) input.setAttribute('aria-activedescendant', `switcher-${active}`);
    else input.removeAttribute('aria-activedescendant');
    note.textContent = shown.length ? (prefix === '/' && isFilesCut ? 'Not all files are listed.' : '') : emptyText(prefix, text);
    if (missing.size) note.textContent = `Not everything could be read: ${[...missing].join(', ')}. ${note.textContent} To try again, type, or close the switcher and open it.`;
  }

  /** @param {string} prefix @param {string} typed */
  function emptyText(prefix, typed) {
    if (prefix === '?') return 'Type words of a message. Filters such as from:alice or after:2026-11-01 work too.';
    if (prefix !== '/') return typed ? `Nothing matches "${typed}".` : 'Nothing is here yet.';
    const { chat: id } = router.current();
    if (id === undefined || store.chat(id)?.project_id === undefined) return 'Open the channel of a project to find its files.';
    return typed ? `No file matches "${typed}".` : 'This project has no files yet.';
  }

  /** @param {SwitcherEntry} entry */
  function partsOf(entry) {
    if (entry.hit) return hits.partsOf(entry.hit);
    const { chat, user } = entry;
    const [word, sign] = ENTRY_WORDS[entry.kind];
    const peer = chat ? peerOf(store, chat) : undefined;
    const status = peer === undefined ? '' : store.presence(peer);
    const mark = user ? avatar(user) : chat ? chatGlyph(chat, status || 'offline') : icon(sign);
    const isUnread = (entry.unread ?? 0) > 0;
    return [
      el('span', { class: 'entry-mark' }, mark),
      el('span', { class: isUnread ? 'name unread' : 'name', dir: 'auto' }, entry.name),
      entry.detail ? el('span', { class: 'muted detail', dir: 'auto' }, entry.detail) : null,
      el('span', { class: 'muted kind' }, isUnread ? `${entry.unread} unread` : status ? presenceWord(status) : chat ? { direct: 'Direct', group: 'Group', channel: chat.project_id === undefined ? 'Channel' : 'Project channel' }[chat.kind] : word),
    ];
  }

  /** @param {number} step */
  function move(step) {
    if (!shown.length) return;
    active = (active + step + shown.length) % shown.length;
    for (const [at, row] of [...list.children].entries()) row.setAttribute('aria-selected', String(at === active));
    input.setAttribute('aria-activedescendant', `switcher-${active}`);
    list.children[active]?.scrollIntoView({ block: 'nearest' });
  }

  /** @param {number} at */
  async function choose(at) {
    const entry = shown[at];
    if (!entry) return;
    if (!NOT_RECENT.includes(entry.kind)) local.set(`recents:${store.me.id}`, [entry.key, ...recents().filter((key) => key !== entry.key)].slice(0, RECENTS_MAX));
    dialog.close();
    try {
      await entry.run();
    } catch (error) {
      showProblem(`${entry.name}: ${problemText(error)}`);
    }
  }

  input.addEventListener('input', () => {
    active = 0;
    shown = [];
    const { prefix, text } = splitTyped(input.value);
    hits.want(prefix, text);
    draw();
    if (prefix === '/') void readFiles();
    clearTimeout(timer);
    if ((prefix === '@' || prefix === '') && text) timer = setTimeout(() => findUsers(text), FIND_USERS_DELAY_MS);
  });
  dialog.addEventListener('keydown', (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      move(event.key === 'ArrowDown' ? 1 : -1);
    } else if (event.key === 'Enter') {
      event.preventDefault();
      void choose(active);
    }
  });
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) return dialog.close();
    const row = event.target instanceof Element ? event.target.closest('[data-at]') : null;
    if (row instanceof HTMLElement) void choose(Number(row.dataset.at));
  });

  return {
    isOpen: () => dialog.open,
    open(typed = '') {
      if (dialog.open && !typed) return input.select();
      entries = null;
      input.value = typed;
      const { prefix, text } = splitTyped(typed);
      hits.want(prefix, text);
      shown = [];
      draw();
      // The chat before the open one is the likely aim.
      const { chat } = router.current();
      if (!typed && shown[0]?.key === `chat:${chat}` && shown.length > 1) move(1);
      if (!dialog.open) dialog.showModal();
      input.focus();
      void read();
    },
    close: () => dialog.close(),
    /** @param {Set<string>} changes */
    update(changes) {
      if (changes.has('chats') || changes.has('users') || [...changes].some((key) => key.startsWith('chat:'))) refresh();
    },
  };
}
