// The files of the next message: a list below the field. It belongs to the chat or thread, and stays
// while the page lives, like the draft. A message that is submitted waits for its files.

import { api } from '../kit/api.js';
import { el, fill, text } from '../kit/dom.js';
import { icon } from '../kit/icons.js';
import { sizeText } from '../kit/size.js';
import { slashText } from './commands.js';
import { MESSAGE_BYTES_MAX, byteLength, sentText } from './compose_text.js';
import { placeOf } from './composer_files.js';
import { pastedName, sentName } from './file_names.js';
import { problemText, showProblem } from './problem.js';
import { sendBytes } from './upload_request.js';
import { createUploads } from './uploads.js';

/** Files of a message, as the server limits them. */
const ATTACHED_MAX = 10;
/** A larger picture has no preview. */
const PREVIEW_BYTES_MAX = 20 * 1024 * 1024;
const PREVIEWED_TYPES = /^image\/(png|jpeg|gif|webp)$/;

/** @typedef {import('./composer.js').ComposerSelf} ComposerSelf */
/** @typedef {import('./uploads.js').Upload} Upload */
/** @typedef {import('./types.js').MessageFile} MessageFile */
/** @typedef {{ submit: () => void, draw: (upload?: Upload) => void }} AttachedView */

/**
 * The files of a chat or thread. `isHeld`: the message is sent when they are uploaded.
 * @typedef {{ list: Upload[], isHeld: boolean, view: AttachedView | null, ctx: import('./types.js').Context, place: Place }} Group
 */
/** @typedef {import('./composer_files.js').Place} Place */

/** @type {Map<string, Group>} */
const groups = new Map();
/** The size of pictures whose preview loaded: the row reserves their space before the server states it. @type {WeakMap<Upload, { type: string, w: number, h: number }>} */
const pictures = new WeakMap();

const uploads = createUploads({
  call: api, send: sendBytes, changed: uploadChanged,
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
});
globalThis.addEventListener?.('online', () => uploads.wake());

/** @param {Upload} upload */
function uploadChanged(upload) {
  const group = [...groups.values()].find(({ list }) => list.includes(upload));
  if (!group) return;
  group.view?.draw(upload);
  if (upload.state === 'done') group.ctx.announce(`${upload.name} is uploaded.`);
  if (upload.state === 'failed') group.ctx.announce(`${upload.name} is not uploaded. ${upload.problem}`);
  settle(group);
}

/**
 * Sends the message that waits for its files. It waits on while the composer cannot send it, such
 * as during an edit.
 * @param {Group} group
 */
function settle(group) {
  if (!group.isHeld || isUploading(group)) return;
  if (group.view) return group.view.submit();
  group.isHeld = false;
  void sendKept(group);
}

/** @param {Group} group */
const isUploading = ({ list }) => list.some(({ state }) => state === 'waiting' || state === 'uploading');

/** @param {Group} group */
const filesOfGroup = ({ list }) => list.filter(({ state }) => state === 'done').map((upload) => /** @type {MessageFile} */ ({ id: upload.id, name: upload.name, size: upload.size, ...pictures.get(upload) }));

/**
 * Returns why the draft of a chat that is not shown cannot be sent without an answer of the user.
 * @param {Group} group
 * @param {import('./types.js').Chat} known
 */
function obstacleOf({ ctx, list, place: { space, name } }, known) {
  const { draft = '', edit } = ctx.drafts.get(space, name);
  const { command, rest, problem } = slashText(draft, known);
  if (list.some(({ state }) => state !== 'done')) return 'A file is not uploaded.';
  if (edit) return 'A message is being edited there.';
  if (command || problem) return 'Its text is a command.';
  return byteLength(sentText(rest)) > MESSAGE_BYTES_MAX ? 'Its text is too long.' : '';
}

/**
 * Sends the draft of a chat that is not shown, with its files. A draft that needs an answer of the
 * user stays, and the state bar states why.
 * @param {Group} group
 */
async function sendKept(group) {
  const { ctx, place: { space, name, chat, threadId } } = group;
  const known = ctx.store.chat(chat);
  // The name of a chat is not for the next user of this page.
  if (space !== ctx.drafts.space() || !known) return showProblem('A message with files was not sent: its chat is not there any more.');
  const title = known.kind === 'direct' ? known.peer : known.name;
  const obstacle = obstacleOf(group, known);
  if (obstacle) return showProblem(`Your message in ${title} was not sent. ${obstacle} Open the chat to send it.`);
  const { draft = '', reply, code } = ctx.drafts.get(space, name);
  const content = sentText(slashText(draft, known).rest);
  const answered = threadId || reply?.id;
  try {
    await ctx.actions.send(chat, content, { files: filesOfGroup(group), ...(answered ? { reply_to: answered } : {}), ...(code ? { metadata: { code } } : {}) });
  } catch (error) {
    // Text and files are in the chat, where the user left them.
    return showProblem(`Your message in ${title} was not sent. ${problemText(error)}`);
  }
  forgetSent(group);
  ctx.drafts.set(space, name, { draft: '', reply: null, code: null });
}

/** A message has the files. @param {Group} group */
function forgetSent(group) {
  for (const upload of group.list.splice(0)) uploads.sent(upload);
  keepPage();
}

/** Only while there are files: some browsers do not keep a page with this listener for the Back button. */
function keepPage() {
  const has = [...groups.values()].some(({ list }) => list.length > 0);
  if (has) globalThis.addEventListener('beforeunload', keepFiles);
  else globalThis.removeEventListener('beforeunload', keepFiles);
}

/** @param {BeforeUnloadEvent} event */
const keepFiles = (event) => event.preventDefault();

/**
 * Returns the list of a composer.
 * @param {ComposerSelf} composer
 * @param {HTMLElement} root
 */
export function createAttached(composer, root) {
  const { ctx, field, state, say } = composer;
  const list = el('ul', { class: 'attached-list', 'aria-label': 'Attached files' });
  const note = el('p', { class: 'attached-note small', hidden: true }, el('span', null), el('button', { type: 'button', class: 'small-button', dataset: { file: 'release' } }, 'Do not send yet'));
  fill(root, list, note);
  /** @type {Map<Upload, ReturnType<typeof createItem>>} */
  const items = new Map();
  /** @type {Group | null} */
  let group = null;
  const view = { draw, submit };

  /** Submits the message that waits for its files, if the composer can. */
  function submit() {
    if (!group || state.editing || root.closest('form')?.hidden || composer.space() !== ctx.drafts.space()) return;
    group.isHeld = false;
    draw();
    composer.submit();
  }

  /** Returns the files of a place. @param {Place} place */
  function groupOf(place) {
    const key = JSON.stringify(place);
    const found = groups.get(key);
    if (found) return found;
    /** @type {Group} */
    const made = { list: [], isHeld: false, view: null, ctx, place };
    groups.set(key, made);
    return made;
  }

  /** Makes the list that of the place of the composer. */
  function show() {
    const next = groupOf(placeOf(composer));
    if (next !== group && group?.view === view) leave();
    group = next;
    group.view = view;
    draw();
    // The wait of a message may have outlived an edit. The composer draws its own state first.
    queueMicrotask(() => settle(next));
  }

  /** Empty lists are not kept. */
  function leave() {
    if (!group) return;
    const left = group;
    left.view = null;
    if (left.list.length === 0) groups.delete(JSON.stringify(left.place));
    // A message that waited for the end of an edit does not wait without its composer.
    queueMicrotask(() => settle(left));
  }

  /** @param {Upload} [changed] */
  function draw(changed) {
    if (!group) return;
    const { list: files, isHeld } = group;
    if (changed && items.has(changed)) items.get(changed)?.draw();
    for (const [upload, item] of items) {
      if (files.includes(upload)) continue;
      item.remove();
      items.delete(upload);
    }
    for (const upload of files) {
      if (items.has(upload)) continue;
      const item = createItem(upload);
      items.set(upload, item);
      list.append(item.node);
    }
    root.hidden = files.length === 0 || state.editing !== 0;
    note.hidden = !isHeld;
    const waiting = files.filter(({ state: now }) => now !== 'done').length;
    if (isHeld) text(/** @type {Node} */ (note.firstChild), `The message is sent when ${waiting === 1 ? 'the file is' : `${waiting} files are`} uploaded.`);
    composer.drawText();
  }

  /**
   * Adds files to the place where they were taken, which may not be that of the composer any more.
   * @param {import('./composer_files.js').Taken} taken
   */
  function add({ list: files, isPasted, place, isEditing, isHeld }) {
    const isShown = group !== null && group.view === view && group === groups.get(JSON.stringify(place));
    const tell = isShown ? say : showProblem;
    if (isEditing) return tell('Files cannot be added to a message that is edited. Finish the edit first.');
    if (place.space !== ctx.drafts.space()) return tell('The files are not attached: the login or the server has changed.');
    const target = groupOf(place);
    const fit = files.slice(0, ATTACHED_MAX - target.list.length);
    for (const file of fit) target.list.push(uploads.add(place.chat, file, sentName(isPasted ? pastedName(file.name, new Date(ctx.now())) : file.name)));
    // A message is not sent without a part of its files.
    target.isHeld = fit.length === files.length && (target.isHeld || isHeld);
    const left = files.slice(fit.length).map(({ name }) => name);
    if (left.length) tell(`A message has at most ${ATTACHED_MAX} files. Not attached: ${left.slice(0, 3).join(', ')}${left.length > 3 ? ` and ${left.length - 3} more` : ''}.`);
    else if (isShown) say('');
    keepPage();
    target.view?.draw();
    if (isShown && !matchMedia('(pointer: coarse)').matches) field.focus();
  }

  /** @param {MouseEvent} event */
  function clicked(event) {
    const button = event.target instanceof Element ? event.target.closest('button[data-file]') : null;
    if (!(button instanceof HTMLElement) || !group) return;
    const upload = [...items].find(([, { node }]) => node.contains(button))?.[0];
    if (button.dataset.file === 'release') {
      release();
      field.focus();
    }
    if (button.dataset.file === 'retry' && upload) {
      items.get(upload)?.focus();
      uploads.retry(upload);
    }
    if (button.dataset.file === 'remove' && upload) remove(upload);
  }

  /** @param {Upload} upload */
  function remove(upload) {
    if (!group) return;
    const at = group.list.indexOf(upload);
    group.list.splice(at, 1);
    uploads.remove(upload);
    ctx.announce(`${upload.name} is removed.`);
    keepPage();
    draw();
    const next = group.list[Math.min(at, group.list.length - 1)];
    if (next) items.get(next)?.focus();
    else field.focus();
    settle(group);
  }

  /** Ends the wait for the files; returns whether there was one. */
  function release() {
    if (!group?.isHeld) return false;
    group.isHeld = false;
    draw();
    return true;
  }

  root.addEventListener('click', clicked);

  return {
    add, show, release,
    count: () => (group?.list.length ?? 0),
    files: () => (group ? filesOfGroup(group) : []),
    holds() {
      if (!group) return false;
      const failed = group.list.filter(({ state: now }) => now === 'failed').length;
      if (isUploading(group)) {
        group.isHeld = true;
        draw();
        ctx.announce(note.firstChild?.textContent ?? '');
        return true;
      }
      if (failed) say(`Not sent: ${failed === 1 ? 'a file is' : `${failed} files are`} not uploaded. Try again, or remove ${failed === 1 ? 'it' : 'them'}.`);
      return failed > 0;
    },
    /** A message of this chat has the files. @param {number} chat */
    sent(chat) {
      if (!group || group.place.chat !== chat) return;
      forgetSent(group);
      draw();
    },
    /** The composer is removed; the files stay with the place. */
    leave,
  };
}

/**
 * An upload in the list.
 * @param {Upload} upload
 */
function createItem(upload) {
  const { name, size, file } = upload;
  const facts = el('span', { class: 'attached-state' });
  const bar = el('progress', { max: Math.max(1, size), value: 0, 'aria-label': `Upload of ${name}` });
  const retry = el('button', { type: 'button', class: 'small-button', 'aria-label': `Try again: ${name}`, dataset: { file: 'retry' } }, 'Try again');
  const remove = el('button', { type: 'button', class: 'plain', dataset: { file: 'remove' } }, icon('close'));
  const picture = el('span', { class: 'attached-picture' }, icon('file'));
  const node = el('li', { class: 'attached-file' }, picture, el('span', { class: 'attached-words' }, el('bdi', { class: 'attached-name', title: name }, name), facts, bar), retry, remove);
  const address = PREVIEWED_TYPES.test(file.type) && size <= PREVIEW_BYTES_MAX ? URL.createObjectURL(file) : '';
  if (address) preview(upload, address, picture);

  function draw() {
    const { state, sent, problem } = upload;
    node.classList.toggle('is-failed', state === 'failed');
    bar.hidden = state === 'done' || state === 'failed';
    if (state === 'waiting') bar.removeAttribute('value');
    else bar.value = sent;
    retry.hidden = state !== 'failed';
    const label = `${state === 'done' || state === 'failed' ? 'Remove' : 'Cancel'} ${name}`;
    remove.setAttribute('aria-label', label);
    remove.title = label;
    text(facts, stateWords(upload) || problem);
  }

  draw();
  return {
    node, draw,
    focus: () => remove.focus(),
    remove() {
      if (address) URL.revokeObjectURL(address);
      node.remove();
    },
  };
}

/** @param {Upload} upload */
function stateWords({ state, sent, size, problem }) {
  if (state === 'waiting') return `${sizeText(size)}, waiting`;
  if (state === 'done') return sizeText(size);
  if (problem) return problem;
  return `${Math.floor(100 * sent / Math.max(1, size))} % of ${sizeText(size)}`;
}

/** @param {Upload} upload @param {string} address @param {HTMLElement} place */
function preview(upload, address, place) {
  const image = el('img', { alt: '', decoding: 'async' });
  image.addEventListener('load', () => {
    pictures.set(upload, { type: upload.file.type, w: image.naturalWidth, h: image.naturalHeight });
    fill(place, image);
  });
  image.src = address;
}
