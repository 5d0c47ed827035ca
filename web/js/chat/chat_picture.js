// The picture of a chat in its panel: choose a file, check the square that is cut from it, save or
// remove it. Only owners and admins see this part.
//
// The browser cuts the square, so any size of file works, and the place where a photograph was taken
// stays in this browser.

import { el, fill } from '../kit/dom.js';
import { chatGlyph } from './presence_mark.js';
import { problemText } from './problem.js';

/** The side of the square in pixels: that of the server. */
const PICTURE_SIDE = 256;
/** Bytes of a file that is decoded. */
const PICTURE_FILE_MAX = 64 * 1024 * 1024;
const PICTURE_KINDS = 'image/png,image/jpeg,image/gif,image/webp';

/**
 * Cuts the square from the middle of a picture.
 * @param {File} file
 * @returns {Promise<HTMLCanvasElement>}
 * @throws {{ detail: string }}
 */
async function squareOf(file) {
  if (file.size > PICTURE_FILE_MAX) throw { detail: 'This file has more than 64 MiB. Choose a smaller picture.' };
  const image = await createImageBitmap(file).catch(() => {
    throw { detail: 'This file cannot be shown as a picture. Choose a PNG, JPEG, GIF or WebP that is not damaged.' };
  });
  const { width, height } = image;
  const side = Math.min(width, height);
  const stored = Math.min(side, PICTURE_SIDE);
  const canvas = el('canvas', { class: 'avatar square', role: 'img', 'aria-label': 'The new picture' });
  canvas.width = canvas.height = stored;
  const draft = canvas.getContext('2d');
  if (!draft) throw { detail: 'This browser cannot draw the picture. Try another browser.' };
  draft.imageSmoothingQuality = 'high';
  draft.drawImage(image, Math.floor((width - side) / 2), Math.floor((height - side) / 2), side, side, 0, 0, stored, stored);
  image.close();
  return canvas;
}

/**
 * Returns the bytes of the square.
 * @param {HTMLCanvasElement} canvas
 * @returns {Promise<Blob>}
 */
function bytesOf(canvas) {
  return new Promise((done, failed) => {
    canvas.toBlob((blob) => (blob ? done(blob) : failed({ detail: 'This browser cannot encode the picture. Try another browser.' })), 'image/png');
  });
}

/**
 * @param {import('./types.js').Context} ctx
 * @param {number} id
 */
export function createChatPicture({ store, actions, announce, root: page }, id) {
  const input = el('input', { type: 'file', accept: PICTURE_KINDS, hidden: true, tabindex: -1, 'aria-hidden': 'true' });
  const sign = el('div', { class: 'picture-sign' });
  const choose = el('button', { type: 'button' });
  const save = el('button', { type: 'button', class: 'primary' }, 'Save picture');
  const cancel = el('button', { type: 'button', class: 'plain' }, 'Cancel');
  const remove = el('button', { type: 'button', class: 'plain danger' }, 'Remove picture');
  const help = el('p', { class: 'help', id: 'chat-picture-help' }, 'A square is cut from the middle of a PNG, JPEG, GIF or WebP.');
  const problem = el('p', { class: 'problem', role: 'alert' });
  choose.setAttribute('aria-describedby', help.id);
  const node = el('section', { class: 'chat-picture', 'aria-label': 'Picture of the chat', hidden: true },
    sign, el('div', { class: 'what' }, el('div', { class: 'actions' }, save, choose, cancel, remove), help, problem), input);
  /** The square that is not saved yet. @type {HTMLCanvasElement | null} */
  let picked = null;
  /** The saved square, until the server announces it. @type {HTMLCanvasElement | null} */
  let saved = null;
  let isBusy = false;
  /** The version that is shown. @type {string | undefined} */
  let shown;
  let isAllowed = false;

  /** @param {boolean} [mayChange] */
  function draw(mayChange = isAllowed) {
    const chat = store.chat(id);
    isAllowed = mayChange;
    node.hidden = !mayChange || !chat;
    if (!chat) return;
    if (chat.avatar !== shown) saved = null;
    shown = chat.avatar;
    const square = picked ?? saved;
    const mark = square ?? chatGlyph(chat, '', sign.firstElementChild);
    if (sign.firstElementChild !== mark) fill(sign, mark);
    const had = page.activeElement;
    choose.textContent = picked ? 'Choose another' : chat.avatar || saved ? 'Change picture' : 'Add a picture';
    save.hidden = cancel.hidden = !picked;
    remove.hidden = picked !== null || !(chat.avatar || saved);
    for (const button of [choose, save, cancel, remove]) button.disabled = isBusy;
    // The button that was pressed is gone.
    if (had instanceof HTMLButtonElement && node.contains(had) && (had.hidden || had.disabled) && !isBusy) choose.focus();
  }

  /**
   * Runs a step; its refusal is shown, and what was chosen stays.
   * @param {() => Promise<void>} step
   */
  async function run(step) {
    const had = page.activeElement;
    problem.textContent = '';
    isBusy = true;
    draw();
    try {
      await step();
    } catch (error) {
      problem.textContent = problemText(error);
    }
    isBusy = false;
    draw();
    if (node.contains(had) && had instanceof HTMLElement) (had.hidden ? choose : had).focus();
  }

  input.addEventListener('change', () => {
    const file = input.files?.[0];
    input.value = '';
    if (!file) return;
    void run(async () => {
      picked = await squareOf(file);
      announce('The picture is chosen and not saved yet.');
    }).then(() => { if (picked) save.focus(); });
  });
  choose.addEventListener('click', () => input.click());
  cancel.addEventListener('click', () => {
    picked = null;
    problem.textContent = '';
    draw();
    choose.focus();
  });
  save.addEventListener('click', () => run(async () => {
    const square = picked;
    if (!square) return;
    await actions.setAvatar(id, await bytesOf(square));
    [picked, saved] = [null, square];
    square.setAttribute('aria-label', 'The picture of the chat');
    announce('The picture is saved.');
  }));
  remove.addEventListener('click', () => run(async () => {
    await actions.setAvatar(id, null);
    saved = null;
    announce('The picture is removed.');
  }));
  return { node, draw };
}
