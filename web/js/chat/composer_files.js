// How files reach a composer: by its button, from the clipboard, dropped. The second part of the
// program uploads and lists them.

import { el } from '../kit/dom.js';
import { later } from './later.js';

/** @typedef {import('./composer.js').ComposerSelf} ComposerSelf */
/** @typedef {ReturnType<import('./later.js').More['createAttached']>} Attached */

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

  /** @param {(list: Attached) => void} run */
  const use = (run) => later(({ createAttached }) => run(attached ??= createAttached(composer, root)));

  /** @param {FileList | undefined | null} files @param {boolean} [isPasted] */
  function take(files, isPasted) {
    // The browser empties the list after the event.
    const list = [...files ?? []];
    if (list.length) use(({ add }) => add(list, isPasted));
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
    pick: () => input.click(),
    count: () => attached?.count() ?? 0,
    /** Returns the files of the next message, and removes them from the list with `sent`. */
    files: () => attached?.files() ?? [],
    sent: (/** @type {number} */ chat) => attached?.sent(chat),
    /** Returns whether the message waits for its files: it is sent when they are there. */
    holds: () => attached?.holds() ?? false,
    /** Ends this wait; returns whether there was one. */
    release: () => attached?.release() ?? false,
    /** Shows the files of the chat of the composer. */
    show() {
      // A thread that is opened again has the files that it had.
      if (attached || composer.isMain) attached?.show();
      else use(({ show }) => show());
    },
    /** The composer is removed; the list of its chat or thread stays. */
    leave: () => attached?.leave(),
  };
}
