// The field in which messages are written. It never loses a text: what is not yet with the outbox
// is in the field, in the draft of its chat, or both.

import { el, fill, text } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { closedReason, composerSay } from './composer_note.js';
import { COUNTER_BYTES, MESSAGE_BYTES_MAX, byteLength, isInFence, kilobytes, sentText } from './compose_text.js';
import { later, more } from './later.js';
import { membersOf } from './members.js';
import { parseText, plainText } from './markdown.js';

/** @typedef {import('./types.js').Context} Context */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./composer_banner.js').ReplyNote} ReplyNote */
/** @typedef {import('./composer_banner.js').CodeNote} CodeNote */

/** What this browser keeps beside the draft. `draft` only in threads. */
/** @typedef {{ draft?: string, reply?: ReplyNote, edit?: { id: number, text: string } }} Kept */

/** A pause of typing (milliseconds) after which the draft is written. */
const DRAFT_DELAY_MS = 300;
/** A typing packet is sent at most this often (milliseconds). */
const COMPOSER_TYPING_MS = 2_500;
/** Enter this soon (milliseconds) after an input method ended belongs to the input method. */
const COMPOSED_MS = 60;
/** Characters of the message that is answered. */
const REPLY_CHARS = 140;
/** A text with fewer lines is inserted so that the browser can undo it. */
const INSERTED_LINES = 50;
/** Key of the setting: Enter breaks the line. */
const ENTER_BREAKS = 'enter_breaks';
/** A word that may be completed begins with one of these. */
const COMPLETED_WORD = /[@#:/]\S*$/;
/** Characters before the caret in which such a word is searched. */
const COMPLETED_CHARS = 80;
const FILES_REFUSED = 'Files cannot be sent yet; text up to 16 KB can.';

let composerCount = 0;

/**
 * Creates a composer. The main one handles the events on `#main`; the composer of a thread has
 * `reply_to` and sends replies to it.
 * @param {HTMLElement} root
 * @param {Context} ctx
 * @param {{ reply_to?: number, label?: string }} [options]
 */
export function createComposer(root, ctx, options = {}) {
  const { store, actions, local, drafts, announce, now } = ctx;
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
  const problem = el('p', { class: 'composer-problem', role: 'alert', hidden: true });
  const counter = el('span', { class: 'composer-count number' });
  const hint = el('span', { id: `${prefix}-hint` });
  const swap = el('button', { type: 'button', class: 'plain', dataset: { act: 'swap' }, hidden: !isMain });
  const foot = el('div', { class: 'composer-foot small muted' }, hint, swap, counter);
  const form = el('form', { class: 'composer', autocomplete: 'off', hidden: true, 'aria-label': options.label ?? 'Write a message' }, banners, list, el('div', { class: 'composer-field' }, label, field, send), problem, foot);
  const closed = el('p', { class: 'composer-closed', hidden: true, tabIndex: -1 });
  root.append(form, closed);

  const members = membersOf(ctx);
  let chatId = 0;
  /** @type {ReplyNote | null} */
  let reply = null;
  /** @type {CodeNote | null} */
  let code = null;
  let editing = 0;
  /** The chat was opened, but it is not known yet. */
  let wantsFocus = false;
  let draftTimer = 0;
  let typedAt = -Infinity;
  let composedAt = -Infinity;
  /** Events up to this seq are known. */
  let seen = 0;
  /** What the buttons of the problem do. @type {Record<string, () => void>} */
  let offered = {};

  /** @type {ReturnType<import('./later.js').More['createComplete']> | undefined} */
  let complete;

  /** @returns {string} the name of what this browser keeps of the chat */
  const keptKey = (/** @type {number} */ chat) => (isMain ? `composer:${chat}` : `composer:${chat}:${threadId}`);

  /** @param {number} chat @returns {Kept} */
  const kept = (chat) => local.get(keptKey(chat)) ?? {};

  /** @param {number} chat @param {Kept} change */
  function keep(chat, change) {
    const all = Object.entries({ ...kept(chat), ...change }).filter(([, value]) => value !== undefined && value !== '');
    if (all.length > 0) local.set(keptKey(chat), Object.fromEntries(all));
    else local.remove(keptKey(chat));
  }

  /** @param {number} chat */
  const draftOf = (chat) => (isMain ? drafts.get(chat) : kept(chat).draft ?? '');

  /** @param {number} chat @param {string} draft */
  function setDraft(chat, draft) {
    if (isMain) drafts.set(chat, draft);
    else keep(chat, { draft });
  }

  /** Writes what the field has to this browser. */
  function flush() {
    clearTimeout(draftTimer);
    draftTimer = 0;
    if (chatId === 0) return;
    if (editing) keep(chatId, { edit: { id: editing, text: field.value } });
    else if (draftOf(chatId) !== field.value) setDraft(chatId, field.value);
  }

  /** @param {string} sentence @param {Record<string, { label: string, run: () => void, primary?: boolean }>} [buttons] */
  function say(sentence, buttons = {}) {
    offered = Object.fromEntries(Object.entries(buttons).map(([act, { run }]) => [act, run]));
    composerSay(problem, sentence, Object.entries(buttons).map(([act, { label: word, primary }]) => ({ act, label: word, primary })));
  }

  /** @param {string} value @param {number} [caret] */
  function setField(value, caret = value.length) {
    field.value = value;
    field.setSelectionRange(caret, caret);
    complete?.close();
    drawText();
  }

  /** Replaces a range, so that the browser can undo it. @param {number} from @param {number} to @param {string} inserted */
  function insertAt(from, to, inserted) {
    field.focus();
    // A space after the word is not doubled.
    const end = inserted.endsWith(' ') && field.value.charAt(to) === ' ' ? to + 1 : to;
    field.setSelectionRange(from, end);
    // Chromium needs seconds to insert a thousand lines in this way.
    if (inserted.split('\n').length < INSERTED_LINES && page.execCommand('insertText', false, inserted)) return;
    field.setRangeText(inserted, from, end, 'end');
    field.dispatchEvent(new Event('input', { bubbles: true }));
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
    send.classList.toggle('idle', field.value.trim() === '');
  }

  /** Draws what depends on the chat and on what is written. */
  function drawState() {
    const chat = store.chat(chatId);
    const reason = chat ? closedReason(chat, members.ownRole(chatId), members.owners(chatId)) : '';
    const hadFocus = page.activeElement === field;
    form.hidden = !chat || reason !== '';
    closed.hidden = reason === '';
    text(closed, reason);
    if (hadFocus && reason !== '') closed.focus();
    if (wantsFocus && !form.hidden) field.focus({ preventScroll: true });
    if (chat) wantsFocus = false;
    const title = chat?.kind === 'direct' ? chat.peer : chat?.name;
    text(label, options.label ?? `Message to ${title ?? 'the chat'}`);
    field.placeholder = options.label ?? `Message to ${title ?? 'the chat'}`;
    const shown = JSON.stringify([editing, reply, code]);
    if (banners.dataset.shown !== shown) drawBanners(shown);
    const word = editing ? 'Save' : 'Send';
    send.setAttribute('aria-label', word);
    send.title = word;
    if (send.dataset.word !== word) fill(send, icon(editing ? 'check' : 'send'));
    send.dataset.word = word;
    const isSwapped = local.get(ENTER_BREAKS) === true;
    text(hint, touch.matches ? '' : isSwapped ? 'Enter breaks the line, Shift+Enter sends.' : 'Enter sends, Shift+Enter breaks the line.');
    text(swap, isSwapped ? 'Let Enter send' : 'Let Enter break the line');
    swap.hidden = !isMain || touch.matches;
  }

  /** Draws what is answered, edited or attached. @param {string} shown the key of this state */
  function drawBanners(shown) {
    banners.dataset.shown = shown;
    fill(banners);
    const state = { editing: editing !== 0, reply, code };
    if (!editing && !reply && !code) return;
    later(({ composerBanners }) => { if (banners.dataset.shown === shown) fill(banners, ...composerBanners(state)); });
  }

  /** Offers words for what is written, once there is something to complete. */
  function updateComplete() {
    if (complete) return complete.update();
    if (!COMPLETED_WORD.test(field.value.slice(Math.max(0, field.selectionStart - COMPLETED_CHARS), field.selectionStart))) return;
    later(({ createComplete, composerOptions }) => {
      complete ??= createComplete(field, list, { find: composerOptions(ctx, members, () => chatId), insert: insertAt, announce });
      if (page.activeElement === field) complete.update();
    });
  }

  /** @param {number} chat */
  function enter(chat) {
    chatId = chat;
    const { reply: answered, edit } = kept(chat);
    [reply, code, editing] = [isMain ? answered ?? null : null, null, edit?.id ?? 0];
    typedAt = -Infinity;
    say('');
    setField(edit ? edit.text : draftOf(chat));
    drawState();
    seen = store.timeline(chat).last;
    loadMembers();
  }

  /** Reads who is in the chat: for names, and for the own role. */
  function loadMembers() {
    const chat = chatId;
    if (store.chat(chat)?.kind === 'direct') return;
    void members.load(chat).then(() => { if (chatId === chat) drawState(); });
  }

  /** Reads the members again after events that change them. */
  function followMembers() {
    const { last } = store.timeline(chatId);
    const changed = store.events(chatId, seen + 1, last).some(({ kind }) => kind === 'join' || kind === 'leave' || kind === 'role');
    seen = Math.max(seen, last);
    if (!changed) return;
    members.forget(chatId);
    loadMembers();
  }

  /** @param {Message} message @param {string} [changed] */
  function startEdit(message, changed = message.content) {
    if (message.chat_id !== chatId || message.deleted || form.hidden) return;
    flush();
    editing = message.id;
    keep(chatId, { edit: { id: editing, text: changed } });
    say('');
    setField(changed);
    drawState();
    field.focus();
    announce('Editing your message. Escape cancels.');
  }

  function endEdit() {
    editing = 0;
    keep(chatId, { edit: undefined });
    say('');
    setField(draftOf(chatId));
    drawState();
  }

  /** @param {ReplyNote | null} note */
  function setReply(note) {
    reply = note;
    keep(chatId, { reply: note ?? undefined });
    drawState();
  }

  /** @param {unknown} error */
  const detailOf = (error) => {
    const { detail, message } = /** @type {{ detail?: string, message?: string }} */ (error ?? {});
    return detail || message || 'The server did not answer.';
  };

  async function saveEdit() {
    const [chat, id, content] = [chatId, editing, sentText(field.value)];
    if (content === '') return say('A message cannot be empty. Delete it instead: the menu of the message.');
    const bytes = byteLength(content);
    if (bytes > MESSAGE_BYTES_MAX) return say(`The text has ${kilobytes(bytes)} KB, a message at most 16 KB.`);
    const before = store.message(id)?.content;
    endEdit();
    if (before === content) return;
    try {
      await actions.edit(chat, id, content);
      announce('The message was changed.');
    } catch (error) {
      if (chat !== chatId || editing) {
        keep(chat, { edit: { id, text: content } });
      } else {
        flush();
        editing = id;
        keep(chat, { edit: { id, text: content } });
        setField(content);
        drawState();
      }
      say(`The message was not changed: ${detailOf(error)}`);
    }
  }

  /** Puts a text that was not sent before what is in the field or the draft. @param {number} chat @param {string} content */
  function restore(chat, content) {
    const joined = (/** @type {string} */ other) => (other === '' ? content : `${content}\n${other}`);
    if (chat === chatId && !editing) {
      setField(joined(field.value));
      flush();
    } else {
      setDraft(chat, joined(draftOf(chat)));
    }
  }

  /** Sends messages in their order. @param {string[]} messages */
  async function deliver(messages) {
    const chat = chatId;
    const answered = isMain ? reply?.id : threadId;
    const metadata = code ? { code: { ...code } } : undefined;
    code = null;
    setReply(null);
    say('');
    setField('');
    for (const [at, content] of messages.entries()) {
      try {
        const replyTo = at === 0 || !isMain ? answered : undefined;
        await actions.send(chat, content, { ...(replyTo ? { reply_to: replyTo } : {}), ...(metadata && at === 0 ? { metadata } : {}) });
      } catch (error) {
        restore(chat, messages.slice(at).join('\n'));
        say(`Not sent: ${detailOf(error)}`);
        return;
      }
    }
    // Only now is the text with the outbox.
    if (chat === chatId) flush();
    else if (draftOf(chat) === messages.join('\n')) setDraft(chat, '');
  }

  /** @param {import('./commands.js').Command} command @param {string} rest */
  async function run(command, rest) {
    const chat = store.chat(chatId);
    const written = field.value;
    if (!chat) return;
    try {
      const sentence = await command.run(ctx, chat, rest);
      if (field.value === written) setField('');
      if (draftOf(chat.id) === written) setDraft(chat.id, '');
      flush();
      say('');
      announce(sentence);
    } catch (error) {
      say(`/${command.name}: ${detailOf(error)}`);
    }
  }

  function submit() {
    if (chatId === 0 || form.hidden) return;
    complete?.close();
    if (editing) return void saveEdit();
    // A text that begins with / may be a command.
    if (/^ ?\//.test(field.value)) return void submitWith(submitSlash);
    deliverText(sentText(field.value.replaceAll('\0', '')));
  }

  /**
   * Submits the text with the second part of the program, unless the text changes meanwhile.
   * @param {(part: import('./later.js').More) => void} run
   */
  async function submitWith(run) {
    const [chat, written] = [chatId, field.value];
    try {
      const part = await more();
      if (chat === chatId && written === field.value && !editing) run(part);
    } catch {
      say('Not sent: a part of this page did not load. Try again.');
    }
  }

  /** @param {import('./later.js').More} part */
  function submitSlash({ slashText }) {
    const chat = store.chat(chatId);
    if (!chat) return;
    const { command, rest, problem: refusal } = slashText(field.value.replaceAll('\0', ''), chat);
    if (refusal) return say(refusal);
    if (!command) return deliverText(rest);
    if (!command.confirms) return void run(command, rest);
    say(`${command.about}?`, { confirm: { label: command.confirms(chat), run: () => void run(command, rest) } });
  }

  /** @param {string} content */
  function deliverText(content) {
    if (content === '') return;
    const bytes = byteLength(content);
    if (bytes <= MESSAGE_BYTES_MAX) return void deliver([content]);
    void submitWith(({ SPLIT_MAX, splitMessages }) => {
      const messages = splitMessages(content);
      const sentence = `The text has ${kilobytes(bytes)} KB, a message at most 16 KB.`;
      if (messages.length > SPLIT_MAX) say(`${sentence} Shorten it: up to ${SPLIT_MAX} messages can be sent at once.`);
      else say(sentence, { split: { label: `Send as ${messages.length} messages`, primary: true, run: () => void deliver(messages) } });
    });
  }

  /** Edits the newest own message that is loaded. */
  function editLast() {
    const { ranges, last } = store.timeline(chatId);
    const range = ranges.at(-1);
    if (!range || range.to < last) return;
    const own = store.events(chatId, range.from, range.to).findLast(({ message }) => message && message.sender_id === store.me.id && !message.deleted && message.metadata?.push_seq === undefined
      && (isMain || message.thread_id === threadId));
    if (own?.message) startEdit(own.message);
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
      const sends = isForced || (enterBreaks() ? event.shiftKey && !touch.matches : !event.shiftKey && !isInFence(field.value.slice(0, field.selectionStart)));
      if (!sends) return;
      event.preventDefault();
      submit();
    } else if (event.key === 'Escape' && !hasModifier) {
      if (!escape()) return;
      event.preventDefault();
      event.stopPropagation();
    } else if (event.key === 'ArrowUp' && !hasModifier && field.value === '' && !editing) {
      event.preventDefault();
      editLast();
    }
  }

  /** Undoes the innermost state; returns whether there was one. */
  function escape() {
    if (editing) endEdit();
    else if (!problem.hidden) say('');
    else if (code) { code = null; drawState(); }
    else if (reply) setReply(null);
    else return false;
    return true;
  }

  function input() {
    drawText();
    if (!problem.hidden) say('');
    if (draftTimer === 0) draftTimer = view.setTimeout(flush, DRAFT_DELAY_MS);
    updateComplete();
    if (editing || field.value.trim() === '' || field.value.startsWith('/') || now() - typedAt < COMPOSER_TYPING_MS) return;
    typedAt = now();
    void actions.typing(chatId).catch(() => {});
  }

  /** @param {MouseEvent} event */
  function click(event) {
    if (!(event.target instanceof Element)) return;
    complete?.clicked(event.target);
    const act = event.target.closest('[data-act]')?.getAttribute('data-act') ?? '';
    if (act === 'cancel-edit') endEdit();
    if (act === 'cancel-reply') setReply(null);
    if (act === 'cancel-code') { code = null; drawState(); }
    if (act === 'swap') { local.set(ENTER_BREAKS, local.get(ENTER_BREAKS) !== true); drawState(); }
    if (act && act in offered) offered[act]?.();
    if (act) field.focus();
  }

  /** @param {DataTransfer | null} data */
  const hasFiles = (data) => data !== null && [...data.types].includes('Files');

  /** @param {ClipboardEvent} event */
  function paste(event) {
    // Programs copy a picture of a text beside the text: then the text is meant.
    if (!hasFiles(event.clipboardData) || event.clipboardData?.types.includes('text/plain')) return;
    event.preventDefault();
    say(FILES_REFUSED);
  }

  /** @param {DragEvent} event */
  function drag(event) {
    if (!hasFiles(event.dataTransfer)) return;
    // Otherwise the browser leaves the page and shows the file.
    event.preventDefault();
    if (event.type === 'drop') say(FILES_REFUSED);
    else if (event.dataTransfer) event.dataTransfer.dropEffect = 'copy';
  }

  field.addEventListener('keydown', keydown, { signal });
  field.addEventListener('input', input, { signal });
  field.addEventListener('paste', paste, { signal });
  field.addEventListener('compositionend', (event) => { composedAt = event.timeStamp; }, { signal });
  field.addEventListener('keyup', () => { composedAt = -Infinity; }, { signal });
  field.addEventListener('blur', () => { flush(); complete?.close(); }, { signal });
  field.addEventListener('click', updateComplete, { signal });
  field.addEventListener('keyup', (event) => { if (['ArrowLeft', 'ArrowRight', 'Home', 'End'].includes(event.key)) updateComplete(); }, { signal });
  form.addEventListener('submit', (event) => { event.preventDefault(); submit(); field.focus(); }, { signal });
  form.addEventListener('click', click, { signal });
  // A press on the list or a button must not take the focus, which closes the list and the keyboard.
  list.addEventListener('pointerdown', (event) => event.preventDefault(), { signal });
  send.addEventListener('pointerdown', (event) => event.preventDefault(), { signal });
  view.addEventListener('pagehide', flush, { signal });
  page.addEventListener('visibilitychange', () => { if (page.visibilityState === 'hidden') flush(); }, { signal });
  touch.addEventListener('change', drawState, { signal });
  const drop = isMain ? main : root;
  drop?.addEventListener('dragover', drag, { signal });
  drop?.addEventListener('drop', drag, { signal });
  const offDrafts = isMain ? drafts.onChange((chat) => {
    if (chat === chatId && !editing && page.activeElement !== field) setField(drafts.get(chat));
  }) : () => {};

  /** @param {string} name @param {(detail: any) => void} fn */
  const onMain = (name, fn) => main?.addEventListener(name, (event) => fn(/** @type {CustomEvent} */ (event).detail ?? {}), { signal });
  if (isMain) {
    onMain('chat:reply', ({ message }) => {
      if (message?.chat_id !== chatId || form.hidden) return;
      if (editing) endEdit();
      const { display_name, username } = store.user(message.sender_id);
      setReply({ id: message.id, name: display_name || username, text: plainText(parseText(message.content), REPLY_CHARS) });
      field.focus();
    });
    onMain('chat:edit', ({ message }) => { if (message) startEdit(message); });
    onMain('chat:focus-composer', () => (closed.hidden ? field : closed).focus());
    onMain('chat:insert', ({ text: inserted }) => { if (inserted && !form.hidden) insertAt(field.selectionStart, field.selectionEnd, String(inserted)); });
  }

  return {
    /**
     * Shows the draft of a chat. The focus moves into the field, except on touch and for a link to
     * a message.
     * @param {number} chat
     * @param {{ seq?: number, thread?: number }} [place]
     */
    open(chat, place = {}) {
      if (chat === chatId) return;
      flush();
      wantsFocus = isMain && !touch.matches && place.seq === undefined && place.thread === undefined;
      enter(chat);
    },

    /** @param {Set<string>} changes */
    update(changes) {
      if (chatId === 0) return;
      if (changes.has('chats') || changes.has(`chat:${chatId}`)) drawState();
      if (!changes.has(`timeline:${chatId}`)) return;
      followMembers();
      if (reply && store.message(reply.id)?.deleted) setReply(null);
      if (editing && store.message(editing)?.deleted) {
        const written = field.value;
        endEdit();
        restore(chatId, written);
        say('The message that you edited was deleted. Your text is now a new message.');
      }
    },

    focus() {
      (closed.hidden ? field : closed).focus();
    },

    /**
     * Attaches lines of code to the next message.
     * @param {{ code: CodeNote | null }} attached
     */
    attach(attached) {
      code = attached.code;
      drawState();
      if (!form.hidden) field.focus();
    },

    destroy() {
      flush();
      listening.abort();
      offDrafts();
      form.remove();
      closed.remove();
    },
  };
}
