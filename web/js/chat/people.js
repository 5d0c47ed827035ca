// The users of a chat in the panel, with their roles. Owners and admins change them here.

import { el, fill } from '../kit/dom.js';
import { ask } from './ask.js';
import { failedNote } from './failed.js';
import { problemText } from './problem.js';
import { avatar } from './avatar.js';
import { createChatPicture } from './chat_picture.js';
import { presenceMark, presenceWord } from './presence_mark.js';
import { userPicker } from './user_picker.js';

/** Users that are drawn; the list continues on request. */
const PEOPLE_ROWS_MAX = 1000;

/** @typedef {import('./types.js').Participant} Participant */
/** @typedef {import('./types.js').Role} Role */

/** @type {Record<Role, number>} */
const ROLE_RANKS = { reader: 0, member: 1, admin: 2, owner: 3 };

/**
 * Returns the roles that a user may give to a participant; empty if the role must stay.
 * The server decides; this only leaves out what it would refuse.
 * @param {Pick<import('./types.js').Chat, 'kind' | 'project_id'>} chat
 * @param {Role | undefined} own
 * @param {Role} current
 * @returns {Role[]}
 */
export function rolesToGive(chat, own, current) {
  if (chat.kind === 'direct' || chat.project_id !== undefined || !own || ROLE_RANKS[own] < ROLE_RANKS.admin) return [];
  if (ROLE_RANKS[current] > ROLE_RANKS[own]) return [];
  const all = /** @type {Role[]} */ (['owner', 'admin', 'member', 'reader']);
  return all.filter((role) => ROLE_RANKS[role] <= ROLE_RANKS[own] && (role !== 'reader' || chat.kind === 'channel'));
}

/**
 * @param {HTMLElement} root
 * @param {import('./types.js').Context} ctx
 * @param {{ chat: number }} place
 */
export function createPeople(root, ctx, { chat: id }) {
  const { store, actions } = ctx;
  const note = el('div', { class: 'muted note', role: 'status' });
  const problem = el('p', { class: 'problem', role: 'alert' });
  const picture = createChatPicture(ctx, id);
  const adding = el('div', { class: 'add-user' });
  const list = el('ul', { class: 'people-list' });
  const more = el('button', { type: 'button', hidden: true, dataset: { more: '' } }, 'Show more');
  fill(root, picture.node, problem, adding, note, list, more);
  /** @type {Map<number, Participant>} */
  const people = new Map();
  /** @type {string | null} */
  let next = null;
  let isGone = false;
  let hasPicker = false;
  let seen = store.chat(id)?.last_seq ?? 0;

  const ownRole = () => store.chat(id)?.role ?? people.get(store.me.id)?.role;

  function drawPicker() {
    const chat = store.chat(id);
    const own = ownRole();
    const mayAdd = chat && rolesToGive(chat, own, 'member').length > 0 && !chat.archived;
    if (!mayAdd || hasPicker) return;
    hasPicker = true;
    const picker = userPicker({
      label: 'Add a user', find: actions.findUsers, accepts: (user) => !people.has(user.id),
      pick: (user) => void run(async () => {
        await actions.invite(id, user.username);
        people.set(user.id, { user_id: user.id, username: user.username, role: 'member', read_seq: 0, delivered_seq: 0 });
        ctx.announce(`${user.username} is in the chat.`);
        draw();
      }),
    });
    fill(adding, picker.node);
  }

  /** @param {Participant} person @param {import('./types.js').Chat} chat */
  function rowOf(person, chat) {
    const user = store.user(person.user_id);
    const name = user.missing ? person.username : user.display_name || person.username;
    const status = store.presence(person.user_id);
    const isMe = person.user_id === store.me.id;
    const roles = isMe ? [] : rolesToGive(chat, ownRole(), person.role);
    const role = roles.length
      ? el('select', { 'aria-label': `Role of ${person.username}`, dataset: { role: person.username, id: person.user_id } }, ...roles.map((key) => el('option', { value: key, selected: key === person.role }, key)))
      : el('span', { class: 'tag' }, person.role);
    return el('li', { dataset: { user: person.user_id } },
      avatar(user.missing ? { ...user, username: person.username } : user),
      el('div', { class: 'what' },
        el('a', { class: 'name', href: `/people/${encodeURIComponent(person.username)}`, dir: 'auto' }, name),
        el('span', { class: 'muted small' }, presenceMark(status), `${presenceWord(status)}${name === person.username ? '' : ` · ${person.username}`}${isMe ? ' · you' : ''}`)),
      role,
      roles.length ? el('button', { type: 'button', class: 'plain', dataset: { remove: person.username, id: person.user_id }, 'aria-label': `Remove ${person.username}` }, 'Remove') : null);
  }

  function draw() {
    const chat = store.chat(id);
    if (isGone || !chat) return;
    picture.draw(rolesToGive(chat, ownRole(), 'member').length > 0);
    drawPicker();
    const active = ctx.root.activeElement;
    const focused = active instanceof HTMLElement && list.contains(active) ? [active.tagName, active.dataset.id] : null;
    const all = [...people.values()].sort((one, other) => ROLE_RANKS[other.role] - ROLE_RANKS[one.role] || (one.username < other.username ? -1 : 1));
    fill(list, ...all.slice(0, PEOPLE_ROWS_MAX).map((person) => rowOf(person, chat)));
    if (focused) {
      const again = [...list.querySelectorAll(String(focused[0]).toLowerCase())].find((node) => node instanceof HTMLElement && node.dataset.id === focused[1]);
      if (again instanceof HTMLElement) again.focus();
    }
    more.hidden = next === null || people.size >= PEOPLE_ROWS_MAX;
    const words = chat.project_id === undefined ? '' : 'The members of the project are in its channel. ';
    fill(note, `${people.size}${next === null ? '' : ' or more'} ${people.size === 1 ? 'user' : 'users'}. ${words}`,
      chat.project_id !== undefined && chat.name ? el('a', { href: `/${chat.name}/-/members` }, 'Members') : null);
  }

  /** @param {string} [cursor] */
  async function load(cursor) {
    fill(note, 'Loading…');
    try {
      const page = await actions.participants(id, cursor);
      if (isGone) return;
      if (!cursor) people.clear();
      for (const person of page.items) people.set(person.user_id, person);
      next = page.next;
      draw();
    } catch (error) {
      if (!isGone) fill(note, failedNote(error, () => load(cursor)));
    }
  }

  /** @param {() => Promise<unknown>} act */
  async function run(act) {
    problem.textContent = '';
    try {
      await act();
    } catch (error) {
      problem.textContent = problemText(error);
      draw();
    }
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    const button = event.target instanceof Element ? event.target.closest('button') : null;
    if (button === more && next) void load(next);
    const { remove, id: userId } = button?.dataset ?? {};
    if (!remove) return;
    ask(ctx.root, { title: `Remove ${remove}?`, detail: 'The user can no longer read this chat, unless it is a channel.', action: 'Remove', danger: true }, async () => {
      await actions.removeMember(id, remove);
      people.delete(Number(userId));
      draw();
    });
  }

  /** @param {Event} event */
  function changed(event) {
    const select = event.target;
    if (!(select instanceof HTMLSelectElement) || !select.dataset.role) return;
    const { role: username, id: userId } = select.dataset;
    const role = /** @type {Role} */ (select.value);
    void run(async () => {
      await actions.invite(id, username ?? '', role);
      const person = people.get(Number(userId));
      if (person) people.set(person.user_id, { ...person, role });
      ctx.announce(`${username} is now ${role}.`);
      draw();
    });
  }

  /** Applies changes of members and roles that arrived. */
  function take() {
    const last = store.chat(id)?.last_seq ?? seen;
    for (const event of store.events(id, seen + 1, last)) {
      if (event.user_id === undefined) continue;
      if (event.kind === 'leave') people.delete(event.user_id);
      const isNew = event.kind === 'join' && next === null;
      const known = people.get(event.user_id);
      if (event.role && event.kind !== 'leave' && (known || isNew)) {
        people.set(event.user_id, { user_id: event.user_id, username: store.user(event.user_id).username, read_seq: 0, delivered_seq: 0, ...known, role: event.role });
      }
    }
    seen = Math.max(seen, last);
  }

  root.addEventListener('click', clicked);
  root.addEventListener('change', changed);
  void load();
  return {
    /** @param {Set<string>} changes */
    update(changes) {
      if (!['users', 'presence', `timeline:${id}`, `chat:${id}`].some((key) => changes.has(key))) return;
      take();
      // An open list of roles must not close.
      if (ctx.root.activeElement instanceof HTMLSelectElement && list.contains(ctx.root.activeElement)) return;
      if (people.size) draw();
    },
    focus() {
      const first = root.querySelector('input, a, button');
      if (first instanceof HTMLElement) first.focus();
    },
    destroy() {
      isGone = true;
      root.removeEventListener('click', clicked);
      root.removeEventListener('change', changed);
    },
  };
}
