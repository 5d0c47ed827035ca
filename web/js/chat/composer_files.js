// How files reach a composer: by its button, from the clipboard, dropped. The second part of the
// program uploads and lists them.

import { el } from '../kit/dom.js';
import { more } from './later.js';

/** @typedef {import('./composer.js').ComposerSelf} ComposerSelf */
/** @typedef {ReturnType<import('./later.js').More['createAttached']>} Attached */
/** The chat or thread of a composer. @typedef {{ space: string, name: number | string, chat: number, threadId: number }} Place */
/** Files for a place. `isHeld`: its message waits for them. @typedef {{ list: File[], isPasted: boolean, place: Place, isEditing: boolean, isHeld: boolean }} Taken */

/** @param {ComposerSelf} composer @returns {Place} */
export const placeOf = (composer) => ({ space: composer.space(), name: composer.name(), chat: composer.state.chat, threadId: composer.threadId });

/** @param {DataTransfer | null} data */
const hasFiles = (data) => data !== null && data.types.includes('Files');

/**
 * @param {ComposerSelf} composer
 * @param {{ form: HTMLFormElement, drop: HTMLElement | null, signal: AbortSignal }} parts
 */
export function composerFiles(composer, { form, drop, signal }) {
  const root = el('div', { class: 'attached', hidden: true });
  const input = el('input', { type: 'file', multiple: true, hidden: true });
  /** @type {Attached | undefined} */
  let attached;

  /** Files that wait for the second part of the program. @type {Taken[]} */
  let early = [];
  /** Those of the place that is shown. */
  const earlyHere = () => early.filter(({ place }) => place.name === composer.name());

  /** @param {(list: Attached) => void} run */
  function use(run) {
    if (attached) return run(attached);
    void more().then(({ createAttached }) => {
      attached ??= createAttached(composer, root);
      // The composer of a thread may be gone.
      if (!signal.aborted) attached.show();
      run(attached);
    }, () => {
      // In another chat, the state bar states that a part of the program is missing.
      if (earlyHere().length && !signal.aborted) composer.say('The files are not attached. Try again.');
      early = [];
    });
  }

  /** @param {FileList | undefined | null} files @param {boolean} [isPasted] */
  function take(files, isPasted = false) {
    // The browser empties the list after the event. Another chat may be open when it is used.
    const taken = { list: [...files ?? []], isPasted, place: placeOf(composer), isEditing: composer.state.editing !== 0, isHeld: false };
    if (!taken.list.length) return;
    early.push(taken);
    use(({ add }) => {
      early = early.filter((other) => other !== taken);
      add(taken);
    });
    composer.drawText();
  }

  /** @param {ClipboardEvent} event */
  function paste(event) {
    const data = event.clipboardData;
    // Programs copy a picture of a text beside the text: then the text is meant.
    if (!hasFiles(data) || data?.types.includes('text/plain')) return;
    event.preventDefault();
    take(data?.files, true);
  }

  /** @param {DragEvent} event */
  function drag(event) {
    const { dataTransfer: data, type, relatedTarget } = event;
    // The composer of a thread stands within the place of the main one.
    if (!drop || event.defaultPrevented || !hasFiles(data)) return;
    const place = form.closest('section, aside');
    // A picture of this page, or of another, is HTML too: it is dragged by mistake.
    const isOpen = form.offsetParent !== null && !data?.types.includes('text/html');
    if (type === 'dragleave') {
      if (!(relatedTarget instanceof Node && drop.contains(relatedTarget))) place?.classList.remove('is-dropping');
      return;
    }
    // Otherwise the browser leaves the page and shows the file.
    event.preventDefault();
    if (data) data.dropEffect = isOpen ? 'copy' : 'none';
    place?.classList.toggle('is-dropping', isOpen && type !== 'drop');
    if (isOpen) use(() => {});
    if (isOpen && type === 'drop') take(data?.files);
  }

  composer.field.addEventListener('paste', paste, { signal });
  for (const name of /** @type {const} */ (['dragover', 'dragleave', 'drop'])) drop?.addEventListener(name, drag, { signal });
  input.addEventListener('change', () => { take(input.files); input.value = ''; }, { signal });

  return {
    nodes: [root, input],
    pick() {
      input.click();
      use(() => {});
    },
    count: () => (attached?.count() ?? 0) + earlyHere().length,
    /** Returns the files of the next message, and removes them from the list with `sent`. */
    files: () => attached?.files() ?? [],
    sent: (/** @type {number} */ chat) => attached?.sent(chat),
    /** Returns whether the message waits for its files: it is sent when they are there. */
    holds() {
      const taken = earlyHere();
      for (const one of taken) one.isHeld = true;
      if (taken.length) composer.say('The message is sent when its files are uploaded.');
      return taken.length > 0 || (attached?.holds() ?? false);
    },
    /** Ends this wait; returns whether there was one. */
    release() {
      const held = earlyHere().filter(({ isHeld }) => isHeld);
      for (const one of held) one.isHeld = false;
      if (held.length) composer.say('');
      return held.length > 0 || (attached?.release() ?? false);
    },
    /** Shows the files of the chat of the composer. */
    show() {
      // A thread that is opened again has the files that it had.
      if (attached || composer.isMain) attached?.show();
      else use(() => {});
    },
    /** The composer is removed; the list of its chat or thread stays. */
    leave: () => attached?.leave(),
  };
}
