// The field in which messages are written. It never loses a text: what is not yet with the outbox
// is in the field, in the draft of its chat, or both.

import { parseText, plainText } from './markdown.js';
import { later, more } from './later.js';
import { COUNTER_BYTES, MESSAGE_BYTES_MAX, byteLength, isInFence, kilobytes, sentText } from './compose_text.js';
import { el, fill, text } from '../kit/dom.js';
import { composerFiles } from './composer_files.js';
import { composerSay, isClosed } from './composer_note.js';
import { problemText } from './problem.js';
import { membersOf } from './members.js';
import { icon } from '../kit/icons.js';

/** @typedef {import('./types.js').Context} Context */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./composer_banner.js').ReplyNote} ReplyNote */
/** @typedef {import('./composer_banner.js').CodeNote} CodeNote */

/** @typedef {import('./types.js').Kept} Kept */

/** @typedef {{ chat: number, editing: number, reply: ReplyNote | null, code: CodeNote | null }} ComposerState */
/** @typedef {{ run: () => void, label: string, primary?: boolean }} OfferedButton */
/**
 * @typedef {object} ComposerSelf
 * @property {Context} ctx
 * @property {HTMLTextAreaElement} field
 * @property {ComposerState} state
 * @property {boolean} isMain
 * @property {number} threadId
 * @property {(sentence: string, buttons?: Record<string, OfferedButton>) => void} say
 * @property {(value: string) => void} setField
 * @property {(chat: number, draft: string) => void} setDraft
 * @property {(chat: number) => string} draftOf
 * @property {() => string} space
 * @property {(chat: number, change: Kept, at?: string) => void} keep
 * @property {() => void} flush
 * @property {(message: Message) => void} startEdit
 * @property {() => void} endEdit
 * @property {() => void} drawState
 * @property {(messages: string[]) => Promise<void>} deliver
 * @property {(content: string) => void} deliverText
 * @property {() => number | string} name of the drafts
 * @property {() => void} submit
 * @property {() => void} drawText
 */

/** A pause of typing (milliseconds) after which the draft is written. */
const DRAFT_DELAY_MS = 300;
/** Enter this soon (milliseconds) after an input method ended belongs to the input method. */
const COMPOSED_MS = 60;
/** Characters of the message that is answered. */
const REPLY_CHARS = 140;
/** Key of the setting: Enter breaks the line. */
const ENTER_BREAKS = 'enter_breaks';
/** A word that may be completed begins with one of these. */
const COMPLETED_WORD = /[@#:/]\S*$/;
/** Characters before the caret in which such a word is searched. */
const COMPLETED_CHARS = 80;

let composerCount = 0;

/**
 * Creates a composer. The main one handles the events on `#main`; the composer of a thread has
 * `reply_to` and sends replies to it.
 * @param {HTMLElement} root
 * @param {Context} ctx
 * @param {{ reply_to?: number, label?: string }} [options]
 */
export function createComposer(root, ctx, options = {}) {
  const { store, actions, local, drafts, announce } = ctx;
  const isMain = options.reply_to === undefined;
  const threadId = options.reply_to ?? 0;
  composerCount += 1;
  const prefix = isMain ? 'composer' : `composer-${composerCount}`;
  const page = ctx.root;
  const view = page.defaultView ?? window;
  const main = page.getElementById('main');
  const touch = view.matchMedia('(hover: none) and (pointer: coarse)');
  const listening = new AbortController();
  const { signal } = listening;

  const banners = el('div', { class: 'composer-banners' });
  const list = el('ul', { id: `${prefix}-list`, class: 'composer-list', role: 'listbox', 'aria-label': 'Suggestions', hidden: true });
  const label = el('label', { class: 'sr', for: `${prefix}-text` });
  const field = el('textarea', {
    id: `${prefix}-text`, rows: 1, dir: 'auto', autocomplete: 'off', enterkeyhint: 'enter',
    'aria-autocomplete': 'list', 'aria-haspopup': 'listbox', 'aria-controls': list.id, 'aria-describedby': `${prefix}-hint`,
  });
  const send = el('button', { type: 'submit', class: 'primary' });
  const attach = el('button', { type: 'button', class: 'plain', 'aria-label': 'Attach files', title: 'Attach files', dataset: { act: 'attach' } }, icon('attach'));
  const problem = el('p', { class: 'composer-problem', role: 'alert', hidden: true });
  const counter = el('span', { class: 'composer-count number' });
  const hint = el('span', { id: `${prefix}-hint` });
  const swap = el('button', { type: 'button', class: 'plain', dataset: { act: 'swap' }, hidden: !isMain });
  const foot = el('div', { class: 'composer-foot small muted' }, hint, swap, counter);
  const form = el('form', { class: 'composer', autocomplete: 'off', hidden: true, 'aria-label': options.label ?? 'Write a message' }, banners, list, el('div', { class: 'composer-field' }, attach, label, field, send), problem, foot);
  const closed = el('p', { class: 'composer-closed', hidden: true, tabIndex: -1 });
  root.append(form, closed);

  const members = membersOf(ctx);
  /** The chat, the message that is edited (0: none), and what the next message gets. @type {ComposerState} */
  const state = { chat: 0, editing: 0, reply: null, code: null };
  /** The chat was opened, but it is not known yet. */
  let wantsFocus = false;
  let draftTimer = 0;
  let composedAt = -Infinity;
  /** Events up to this seq are known. */
  let seen = 0;
  /** The buttons of the problem. @type {Record<string, OfferedButton>} */
  let offered = {};

  /** @type {ReturnType<import('./later.js').More['createComplete']> | undefined} */
  let complete;

  /** The history and the user to which the field belongs. */
  let space = '';

  const nameOf = (/** @type {number} */ chat) => (isMain ? chat : `${chat}:${threadId}`);

  /** @param {number} chat @param {string} [at] */
  const kept = (chat, at = space) => drafts.get(at, nameOf(chat));

  /** @param {number} chat @param {Kept} change @param {string} [at] */
  function keep(chat, change, at = space) {
    const { name, peer } = store.chat(chat) ?? {};
    drafts.set(at, nameOf(chat), { title: kept(chat, at).title || (name ?? peer), ...change });
  }

  /** @param {number} chat */
  const draftOf = (chat) => kept(chat).draft ?? '';

  /** @param {number} chat @param {string} draft */
  const setDraft = (chat, draft) => keep(chat, { draft });

  /** Writes what the field has to this browser. */
  function flush() {
    clearTimeout(draftTimer);
    draftTimer = 0;
    if (state.chat === 0) return;
    if (state.editing) keep(state.chat, { edit: { id: state.editing, text: field.value } });
    else if (draftOf(state.chat) !== field.value) setDraft(state.chat, field.value);
  }

  /** @param {string} sentence @param {Record<string, OfferedButton>} [buttons] */
  function say(sentence, buttons = {}) {
    offered = buttons;
    composerSay(problem, sentence, buttons);
  }

  /** @param {string} value @param {number} [caret] */
  function setField(value, caret = value.length) {
    field.value = value;
    field.setSelectionRange(caret, caret);
    complete?.close();
    drawText();
  }

  const enterBreaks = () => local.get(ENTER_BREAKS) === true || touch.matches;

  /** Draws what depends on the text. */
  function drawText() {
    if (!CSS.supports('field-sizing', 'content')) {
      field.style.setProperty('block-size', 'auto');
      field.style.setProperty('block-size', `${field.scrollHeight + 2}px`);
    }
    // Up to a third of the limit no count is needed.
    const bytes = field.value.length * 3 < COUNTER_BYTES ? 0 : byteLength(field.value);
    text(counter, bytes < COUNTER_BYTES ? '' : `${kilobytes(bytes)} of 16 KB`);
    counter.classList.toggle('over', bytes > MESSAGE_BYTES_MAX);
    send.classList.toggle('idle', field.value.trim() === '' && files.count() === 0);
    drawHint();
  }

  /** Draws what depends on the chat and on what is written. */
  function drawState() {
    const chat = store.chat(state.chat);
    const role = members.ownRole(state.chat);
    const isOver = chat !== undefined && isClosed(chat, role);
    const hadFocus = page.activeElement === field;
    form.hidden = !chat || isOver;
    closed.hidden = !isOver;
    if (isOver) later(({ closedReason }) => text(closed, closedReason(chat, role, members.owners(chat.id))));
    if (hadFocus && isOver) closed.focus();
    if (wantsFocus && !form.hidden) field.focus({ preventScroll: true });
    if (chat) wantsFocus = false;
    const title = chat?.kind === 'direct' ? chat.peer : chat?.name;
    text(label, options.label ?? `Message to ${title ?? 'the chat'}`);
    field.placeholder = options.label ?? `Message to ${title ?? 'the chat'}`;
    const shown = JSON.stringify(state);
    if (banners.dataset.shown !== shown) drawBanners(shown);
    const word = state.editing ? 'Save' : 'Send';
    send.setAttribute('aria-label', word);
    send.title = word;
    if (send.dataset.word !== word) fill(send, icon(state.editing ? 'check' : 'send'));
    send.dataset.word = word;
    attach.hidden = state.editing !== 0;
    files.show();
    const isSwapped = local.get(ENTER_BREAKS) === true;
    drawHint();
    text(swap, isSwapped ? 'Let Enter send' : 'Let Enter break the line');
    swap.hidden = !isMain || touch.matches;
  }

  /** Returns whether Enter breaks the line of code at the caret. */
  const isInCode = () => isInFence(field.value.slice(0, field.selectionStart));

  function drawHint() {
    const words = local.get(ENTER_BREAKS) === true ? 'Enter breaks the line, Shift+Enter sends.' : isInCode() ? 'In code, Ctrl+Enter sends.' : 'Enter sends, Shift+Enter breaks the line.';
    text(hint, touch.matches ? '' : words);
  }

  /** Draws what is answered, edited or attached. @param {string} shown the key of this state */
  function drawBanners(shown) {
    banners.dataset.shown = shown;
    fill(banners);
    if (!state.editing && !state.reply && !state.code) return;
    later(({ composerBanners }) => { if (banners.dataset.shown === shown) fill(banners, ...composerBanners(state)); });
  }

  /** Offers words for what is written, once there is something to complete. */
  function updateComplete() {
    if (complete) return complete.update();
    if (!COMPLETED_WORD.test(field.value.slice(Math.max(0, field.selectionStart - COMPLETED_CHARS), field.selectionStart))) return;
    later(({ createComplete, composerOptions }) => {
      complete ??= createComplete(field, list, { find: composerOptions(ctx, members, () => state.chat), announce });
      if (page.activeElement === field) complete.update();
    });
  }

  /** @param {number} chat */
  function enter(chat) {
    if (space !== drafts.space()) {
      space = drafts.space();
      if (isMain && drafts.old().length) later(({ rescueDrafts }) => {
        flush();
        if (rescueDrafts(ctx).includes(state.chat)) enter(state.chat);
      });
    }
    const { reply = null, edit, code = null } = kept(chat);
    Object.assign(state, { chat, editing: edit?.id ?? 0, reply, code });
    say('');
    setField(edit ? edit.text : draftOf(chat));
    drawState();
    seen = store.timeline(chat).last;
    loadMembers();
  }

  /** Reads who is in the chat: for names, and for the own role. */
  function loadMembers() {
    const chat = state.chat;
    if (store.chat(chat)?.kind === 'direct') return;
    void members.load(chat).then(() => { if (state.chat === chat) drawState(); });
  }

  /** Reads the members again after events that change them. */
  function followMembers() {
    const { last } = store.timeline(state.chat);
    const changed = store.events(state.chat, seen + 1, last).some(({ kind }) => kind === 'join' || kind === 'leave' || kind === 'role');
    seen = Math.max(seen, last);
    if (!changed) return;
    members.forget(state.chat);
    loadMembers();
  }

  /** @param {Message} message @param {string} [changed] */
  function startEdit(message, changed = message.content) {
    if (message.chat_id !== state.chat || message.deleted || form.hidden) return;
    flush();
    state.editing = message.id;
    keep(state.chat, { edit: { id: state.editing, text: changed } });
    say('');
    setField(changed);
    drawState();
    field.focus();
    announce('Editing your message. Escape cancels.');
  }

  function endEdit() {
    state.editing = 0;
    keep(state.chat, { edit: null });
    say('');
    setField(draftOf(state.chat));
    drawState();
  }

  /** Changes what the next message gets. @param {Pick<Kept, 'reply' | 'code'>} notes */
  function setNotes(notes) {
    Object.assign(state, notes);
    keep(state.chat, notes);
    drawState();
  }

  /** Puts a text that was not sent before what is in the field or the draft. @param {number} chat @param {string} content */
  function restore(chat, content) {
    const joined = (/** @type {string} */ other) => (other === '' ? content : `${content}\n${other}`);
    if (chat === state.chat && !state.editing) {
      setField(joined(field.value));
      flush();
    } else {
      setDraft(chat, joined(draftOf(chat)));
    }
  }

  /** Sends messages in their order. @param {string[]} messages */
  async function deliver(messages) {
    const chat = state.chat;
    const attached = files.files();
    const answered = isMain ? state.reply?.id : threadId;
    const metadata = state.code ? { code: { ...state.code } } : undefined;
    setNotes({ reply: null, code: null });
    say('');
    setField('');
    if (isMain) form.dispatchEvent(new CustomEvent('chat:sent', { bubbles: true }));
    for (const [at, content] of messages.entries()) {
      try {
        const replyTo = at === 0 || !isMain ? answered : undefined;
        await actions.send(chat, content, { ...(replyTo ? { reply_to: replyTo } : {}), ...(metadata && at === 0 ? { metadata } : {}), ...(attached.length && at === 0 ? { files: attached } : {}) });
        if (at === 0) files.sent(chat);
      } catch (error) {
        restore(chat, messages.slice(at).join('\n'));
        say(`Not sent: ${problemText(error)}`);
        return;
      }
    }
    // Only now is the text with the outbox.
    if (chat === state.chat) flush();
    else if (draftOf(chat) === messages.join('\n')) setDraft(chat, '');
  }

  /** What `composer_more.js` uses of this composer. */
  const self = { ctx, field, state, isMain, threadId, say, setField, setDraft, draftOf, keep, space: () => space, flush, startEdit, endEdit, drawState, deliver, deliverText, name: () => nameOf(state.chat), submit, drawText };
  const files = composerFiles(self, { form, drop: isMain ? main : root, signal });
  form.querySelector('.composer-field')?.after(...files.nodes);

  function submit() {
    if (state.chat === 0 || form.hidden || space !== drafts.space()) return;
    complete?.close();
    if (state.editing) return void submitWith(({ saveEdit }) => saveEdit(self));
    // A text that begins with / may be a command.
    if (/^ ?\//.test(field.value)) return void submitWith(({ submitSlash }) => submitSlash(self));
    deliverText(sentText(field.value.replaceAll('\0', '')));
  }

  /**
   * Submits the text with the second part of the program, unless the text changes meanwhile.
   * @param {(part: import('./later.js').More) => void} run
   */
  async function submitWith(run) {
    const [chat, editing, written] = [state.chat, state.editing, field.value];
    try {
      const part = await more();
      if (chat === state.chat && editing === state.editing && written === field.value) run(part);
    } catch {
      say('A part of this page did not load. Your text is kept; try again.');
    }
  }

  /** @param {string} content */
  function deliverText(content) {
    if (content === '' && files.count() === 0) return;
    if (files.holds()) return;
    const bytes = byteLength(content);
    if (bytes <= MESSAGE_BYTES_MAX) return void deliver([content]);
    void submitWith(({ offerSplit }) => offerSplit(self, content));
  }

  /** @param {KeyboardEvent} event */
  function keydown(event) {
    // The key belongs to the input method: some browsers end the composition before the key.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === 'Enter' && event.timeStamp - composedAt < COMPOSED_MS) return event.preventDefault();
    if (complete?.key(event)) return;
    const hasModifier = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey;
    if (event.key === 'Enter' && !event.altKey) {
      const isForced = event.ctrlKey || event.metaKey;
      const sends = isForced || (enterBreaks() ? event.shiftKey && !touch.matches : !event.shiftKey && !isInCode());
      if (!sends) return;
      event.preventDefault();
      submit();
    } else if (event.key === 'Escape' && !hasModifier) {
      if (!escape()) return;
      event.preventDefault();
      event.stopPropagation();
    } else if (event.key === 'ArrowUp' && !hasModifier && field.value === '' && !state.editing) {
      event.preventDefault();
      later(({ editLast }) => editLast(self));
    }
  }

  /** Undoes the innermost state; returns whether there was one. */
  function escape() {
    if (state.editing) endEdit();
    else if (files.release()) return true;
    else if (!problem.hidden) say('');
    else if (state.code) setNotes({ code: null });
    else if (state.reply) setNotes({ reply: null });
    else return false;
    return true;
  }

  function input() {
    drawText();
    // A text that is half changed is not sent. The text of an edit is that of another message.
    if (!state.editing) files.release();
    if (!problem.hidden) say('');
    if (draftTimer === 0) draftTimer = view.setTimeout(flush, DRAFT_DELAY_MS);
    updateComplete();
    if (state.editing || field.value.trim() === '' || field.value.startsWith('/')) return;
    void actions.typing(state.chat);
  }

  /** @param {MouseEvent} event */
  function click(event) {
    if (!(event.target instanceof Element)) return;
    complete?.clicked(event.target);
    const act = event.target.closest('[data-act]')?.getAttribute('data-act') ?? '';
    if (act === 'cancel-edit') endEdit();
    if (act === 'cancel-reply') setNotes({ reply: null });
    if (act === 'cancel-code') setNotes({ code: null });
    if (act === 'swap') { local.set(ENTER_BREAKS, local.get(ENTER_BREAKS) !== true); drawState(); }
    if (act === 'attach') return files.pick();
    offered[act]?.run();
    if (act) field.focus();
  }

  field.addEventListener('keydown', keydown, { signal });
  field.addEventListener('input', input, { signal });
  field.addEventListener('compositionend', (event) => { composedAt = event.timeStamp; }, { signal });
  field.addEventListener('keyup', (event) => {
    composedAt = -Infinity;
    drawHint();
    if (['ArrowLeft', 'ArrowRight', 'Home', 'End'].includes(event.key)) updateComplete();
  }, { signal });
  field.addEventListener('blur', () => { flush(); complete?.close(); }, { signal });
  field.addEventListener('click', () => { drawHint(); updateComplete(); }, { signal });
  form.addEventListener('submit', (event) => { event.preventDefault(); submit(); field.focus(); }, { signal });
  form.addEventListener('click', click, { signal });
  // A press on the list or a button must not take the focus, which closes the list and the keyboard.
  list.addEventListener('pointerdown', (event) => event.preventDefault(), { signal });
  send.addEventListener('pointerdown', (event) => event.preventDefault(), { signal });
  view.addEventListener('pagehide', flush, { signal });
  page.addEventListener('visibilitychange', () => { if (page.visibilityState === 'hidden') flush(); }, { signal });
  touch.addEventListener('change', drawState, { signal });
  const offDrafts = isMain ? drafts.onChange((chat) => {
    if (chat === state.chat && !state.editing && page.activeElement !== field) setField(draftOf(chat));
  }) : () => {};

  const focus = () => (closed.hidden ? field : closed).focus();

  /** @param {string} name @param {(detail: any) => void} fn */
  const onMain = (name, fn) => main?.addEventListener(name, (event) => fn(/** @type {CustomEvent} */ (event).detail ?? {}), { signal });
  if (isMain) {
    onMain('chat:reply', ({ message }) => {
      if (message?.chat_id !== state.chat || form.hidden) return;
      // A message that waits for its files does not become a reply.
      files.release();
      if (state.editing) endEdit();
      const { display_name, username } = store.user(message.sender_id);
      setNotes({ reply: { id: message.id, name: display_name || username, text: plainText(parseText(message.content), REPLY_CHARS) || (message.files?.[0]?.name ?? '') } });
      field.focus();
    });
    onMain('chat:edit', ({ message }) => { if (message) startEdit(message); });
    onMain('chat:focus-composer', focus);
  }

  return {
    /**
     * Shows the draft of a chat. The focus moves into the field, except on touch and for a link to
     * a message.
     * @param {number} chat
     * @param {{ seq?: number, thread?: number }} [place]
     */
    open(chat, place = {}) {
      if (chat === state.chat) return;
      flush();
      wantsFocus = isMain && !touch.matches && place.seq === undefined && place.thread === undefined;
      enter(chat);
    },

    /** @param {Set<string>} changes */
    update(changes) {
      if (state.chat === 0) return;
      if (space !== drafts.space()) {
        flush();
        enter(state.chat);
      }
      if (changes.has('chats') || changes.has(`chat:${state.chat}`)) drawState();
      if (!changes.has(`timeline:${state.chat}`)) return;
      followMembers();
      if (state.reply && store.message(state.reply.id)?.deleted) setNotes({ reply: null });
      if (state.editing && store.message(state.editing)?.deleted) {
        const written = field.value;
        endEdit();
        restore(state.chat, written);
        // A message that waits for its files has another text now.
        files.release();
        say('The message that you edited was deleted. Your text is now a new message.');
      }
    },

    focus,

    /**
     * Attaches lines of code to the next message.
     * @param {{ code: CodeNote | null }} attached
     */
    attach(attached) {
      files.release();
      setNotes(attached);
      if (!form.hidden) field.focus();
    },

    destroy() {
      flush();
      files.leave();
      listening.abort();
      offDrafts();
      form.remove();
      closed.remove();
    },
  };
}
