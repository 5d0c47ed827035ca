// The menu of the open chat, and the way into a chat that the user is not in.

import { api } from '../kit/api.js';
import { el, fill } from '../kit/dom.js';
import { encodedPath } from '../kit/path.js';
import { ask } from './ask.js';
import { problemText } from './problem.js';
import { seqOfDay } from './day_jump.js';
import { failedNote } from './failed.js';
import { chatName } from './presence_mark.js';

const RENAME_MAX = 100;

/** @typedef {'all' | 'mentions' | 'none'} NotifyLevel */

/** @type {readonly (readonly [NotifyLevel, string])[]} */
const NOTIFY_LEVELS = [['all', 'Direct messages, replies, threads and mentions'], ['mentions', 'Mentions only'], ['none', 'Nothing: mute this chat']];

/**
 * Serves the menu of the head. Returns the function that draws it for the open chat.
 * @param {import('./types.js').Context} ctx
 * @param {{ menu: HTMLDetailsElement, summary: HTMLElement, popup: HTMLElement }} parts
 * @param {() => import('./types.js').Chat | undefined} open returns the open chat
 */
export function createHeadMenu(ctx, { menu, summary, popup }, open) {
  const { store, actions, router, announce } = ctx;

  /** @param {import('./types.js').Chat} chat */
  function drawMenu(chat) {
    const isFree = chat.kind !== 'direct' && chat.project_id === undefined;
    const rules = chat.role === undefined || chat.role === 'owner' || chat.role === 'admin';
    const item = (/** @type {string} */ act, /** @type {string} */ word, danger = false) => el('li', null, el('button', { type: 'button', class: danger ? 'plain danger' : 'plain', dataset: { act } }, word));
    const date = el('input', { type: 'date', id: 'chat-date' });
    const levels = NOTIFY_LEVELS.map(([level, word]) => el('div', { class: 'choice' },
      el('input', { type: 'radio', name: 'notify', id: `notify-${level}`, value: level, checked: (chat.notify ?? 'all') === level }), el('label', { for: `notify-${level}` }, word)));
    fill(popup,
      el('ul', null,
        chat.project_id !== undefined && chat.name ? el('li', null, el('a', { href: `/${encodedPath(chat.name)}` }, 'Open the project')) : null,
        item('search', 'Search in this chat'), item('read', 'Mark this chat as read'), item('read-all', 'Mark all chats as read'),
        isFree && rules ? item('rename', 'Rename') : null,
        isFree && rules ? item('picture', chat.avatar ? 'Change the picture' : 'Add a picture') : null,
        isFree && rules ? item('archive', chat.archived ? 'Reopen' : 'Archive') : null,
        chat.kind === 'direct' ? item('hide', 'Hide until the next message') : null),
      el('form', { class: 'date-form' }, el('label', { for: 'chat-date' }, 'Go to a day'), el('div', { class: 'with-button' }, date, el('button', null, 'Go'))),
      el('fieldset', null, el('legend', null, 'Notify me of'), ...levels),
      isFree ? el('ul', null, item('leave', 'Leave', true)) : null,
      el('p', { class: 'problem', role: 'alert' }));
  }

  /** @param {unknown} error */
  function refused(error) {
    const place = popup.querySelector('.problem');
    if (place) place.textContent = problemText(error);
  }

  function closeMenu() {
    if (!menu.open) return;
    menu.open = false;
    summary.focus();
  }

  /**
   * @param {string} act
   * @param {import('./types.js').Chat} chat
   */
  async function run(act, chat) {
    const name = chatName(store, chat);
    if (act === 'read') await actions.read(chat.id, chat.last_seq);
    else if (act === 'read-all') await actions.readAll();
    else if (act === 'hide') {
      await actions.hide(chat.id, true);
      router.go('/chat');
    }
    closeMenu();
    if (act === 'search') ctx.root.getElementById('main')?.dispatchEvent(new CustomEvent('chat:run', { detail: 'search-chat' }));
    if (act === 'read') announce(`${name} is read.`);
    if (act === 'read-all') announce('All chats are read.');
    if (act === 'rename') ask(ctx.root, { title: `Rename ${name}`, action: 'Rename', field: { label: 'Name', value: chat.name ?? '', max: RENAME_MAX } }, (to) => actions.rename(chat.id, to));
    if (act === 'picture') router.go(`/chat/${chat.id}`, { panel: 'people' });
    if (act === 'archive' && chat.archived) await actions.archive(chat.id, false);
    else if (act === 'archive') ask(ctx.root, { title: `Archive ${name}?`, detail: 'Its messages stay readable. Owners and admins can reopen it.', action: 'Archive' }, () => actions.archive(chat.id, true));
    if (act === 'leave') {
      ask(ctx.root, { title: `Leave ${name}?`, detail: chat.kind === 'group' ? 'You can read it again only after another member adds you.' : 'You can join this channel again at any time.', action: 'Leave', danger: true }, async () => {
        await actions.leave(chat.id);
        router.go('/chat');
      });
    }
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    const act = event.target instanceof Element ? event.target.closest('button')?.dataset.act : undefined;
    const chat = open();
    if (act && chat) void run(act, chat).catch(refused);
  }

  /** @param {Event} event */
  function changed(event) {
    const chat = open();
    if (!chat || !(event.target instanceof HTMLInputElement) || event.target.name !== 'notify') return;
    void actions.notify(chat.id, /** @type {NotifyLevel} */ (event.target.value)).catch(refused);
  }

  /** @param {SubmitEvent} event */
  function submitted(event) {
    event.preventDefault();
    const chat = open();
    const field = popup.querySelector('#chat-date');
    if (chat && field instanceof HTMLInputElement) void goToDay(chat, field.value).catch(refused);
  }

  /**
   * @param {import('./types.js').Chat} chat
   * @param {string} day
   */
  async function goToDay(chat, day) {
    const seq = await seqOfDay(chat.id, day);
    if (seq === undefined) return;
    closeMenu();
    router.go(`/chat/${chat.id}/${seq}`);
  }

  popup.addEventListener('click', clicked);
  popup.addEventListener('change', changed);
  popup.addEventListener('submit', submitted);
  return () => {
    const chat = open();
    if (!menu.open || !chat) return;
    drawMenu(chat);
    if (chat.role !== undefined || chat.kind === 'direct') return;
    // Members may not rename or archive: the menu leaves out what the server would refuse.
    actions.participants(chat.id).then(() => {
      const now = open();
      if (menu.open && now?.id === chat.id && now.role !== undefined && now.role !== 'owner' && now.role !== 'admin') drawMenu(now);
    }, () => {}); // Then the server refuses.
  };
}

/**
 * Offers to join a chat that the user is not in, if that is possible.
 * @param {Pick<import('./types.js').Context, 'actions' | 'router'>} ctx
 * @param {number} id
 * @param {HTMLElement} place
 * @param {() => boolean} isShown whether the address still names the chat
 */
export async function offerJoin({ actions, router }, id, place, isShown) {
  const join = el('button', { type: 'button', class: 'primary', dataset: { join: '' } }, 'Join');
  const refusal = el('span', { class: 'problem', role: 'alert' });
  join.addEventListener('click', async () => {
    join.disabled = true;
    try {
      await actions.join(id);
      router.go(`/chat/${id}`);
    } catch (error) {
      refusal.textContent = problemText(error);
    }
    join.disabled = false;
  });
  // 403: the user must join first.
  const problem = await api('GET', `/api/chats/${id}`).then(() => ({ status: 403 }), (error) => error);
  if (!isShown() || problem.status === 404) return;
  if (problem.status === 403) fill(place, join, refusal);
  else fill(place, failedNote(problem, () => offerJoin({ actions, router }, id, place, isShown)));
  place.hidden = false;
}
