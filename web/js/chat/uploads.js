// Uploads files: some at once, the others wait. An upload that breaks off continues where the server
// has it. No DOM: `attached.js` shows the uploads.

import { problemText } from './problem.js';

/** Uploads at once; the server allows 4 for all pages of a user. */
const UPLOADS_AT_ONCE = 2;
/** Attempts without a new byte, after which an upload has failed. */
const UPLOAD_TRIES_MAX = 8;
const UPLOAD_PAUSE_MS = 1000;
const UPLOAD_PAUSE_MAX_MS = 30_000;

/**
 * @typedef {object} Upload
 * @property {number} chat
 * @property {Blob} file
 * @property {string} name
 * @property {number} size
 * @property {'waiting' | 'uploading' | 'done' | 'failed'} state
 * @property {number} sent bytes that the server has, or that are on the way
 * @property {number} id of the file; 0: the server does not know it yet
 * @property {string} problem why it failed, or why it waits for the server
 * @property {AbortController} end
 */

/**
 * @typedef {object} UploadOptions
 * @property {typeof import('../kit/api.js').api} call
 * @property {typeof import('./upload_request.js').sendBytes} send
 * @property {(ms: number, fn: () => void) => () => void} after returns the function that cancels it
 * @property {(upload: Upload) => void} changed
 */

/** @param {any} problem whether the same request may succeed later */
const isPassing = ({ code, status = 0, isUpload = false }) => code === 'offline' || status === 429 || status >= 500 || (isUpload && (status === 400 || status === 409));

/** @param {UploadOptions} options */
export function createUploads({ call, send, after, changed }) {
  /** @type {Set<Upload>} */
  const uploads = new Set();
  /** Ends the pauses. @type {Set<() => void>} */
  const pauses = new Set();
  let running = 0;

  /** Begins as many uploads as may run. */
  function pump() {
    for (const upload of uploads) {
      if (running >= UPLOADS_AT_ONCE) return;
      if (upload.state === 'waiting') void run(upload);
    }
  }

  /** @param {Upload} upload */
  async function run(upload) {
    running += 1;
    change(upload, { state: 'uploading', problem: '' });
    try {
      await transfer(upload);
      change(upload, { state: 'done', sent: upload.size, problem: '' });
    } catch (/** @type {any} */ error) {
      // The server removes files that no message has: the next attempt announces it again.
      if (error?.status === 404) upload.id = 0;
      change(upload, { state: 'failed', problem: problemText(error) });
    }
    running -= 1;
    pump();
  }

  /** @param {Upload} upload @param {Partial<Upload>} change */
  function change(upload, change) {
    Object.assign(upload, change);
    if (uploads.has(upload)) changed(upload);
  }

  /** Sends the bytes that the server does not have. @param {Upload} upload */
  async function transfer(upload) {
    const { signal } = upload.end;
    let reached = -1;
    for (let tries = 1; ; tries += 1) {
      try {
        const offset = await offsetOf(upload);
        if (offset === undefined) return;
        // New bytes are a success: the attempts count from here.
        if (offset > reached) tries = 1;
        reached = Math.max(reached, offset);
        change(upload, { sent: offset, problem: '' });
        return await send(`/api/files/${upload.id}/upload`, upload.file, { offset, signal, progress: (sent) => change(upload, { sent }) });
      } catch (/** @type {any} */ error) {
        if (signal.aborted || !isPassing(error) || tries >= UPLOAD_TRIES_MAX) throw error;
        change(upload, { problem: problemText(error) });
        await pause(Math.min(UPLOAD_PAUSE_MS * 2 ** (tries - 1), UPLOAD_PAUSE_MAX_MS), signal);
      }
    }
  }

  /**
   * Returns how many bytes the server has; undefined: all of them.
   * @param {Upload} upload
   */
  async function offsetOf(upload) {
    const { name, size, chat, id, end: { signal } } = upload;
    signal.throwIfAborted();
    if (id) {
      const state = await call('GET', `/api/files/${id}/upload`);
      signal.throwIfAborted();
      return state.complete ? undefined : state.offset;
    }
    const made = await call('POST', `/api/chats/${chat}/files`, { name, size });
    upload.id = made.id;
    if (signal.aborted) forget(upload);
    signal.throwIfAborted();
    return 0;
  }

  /** Waits; ends early when the browser is online again, or the upload is removed. @param {number} ms @param {AbortSignal} signal */
  function pause(ms, signal) {
    return /** @type {Promise<void>} */ (new Promise((done) => {
      const end = () => { cancel(); pauses.delete(end); signal.removeEventListener('abort', end); done(); };
      const cancel = after(ms, end);
      pauses.add(end);
      signal.addEventListener('abort', end);
    }));
  }

  /** Removes an announced file. If that fails, the server removes it after a day. @param {Upload} upload */
  function forget({ id }) {
    if (id) void call('DELETE', `/api/files/${id}`).catch(() => {});
  }

  return {
    /** @param {number} chat @param {Blob} file @param {string} name @returns {Upload} */
    add(chat, file, name) {
      /** @type {Upload} */
      const upload = { chat, file, name, size: file.size, state: 'waiting', sent: 0, id: 0, problem: '', end: new AbortController() };
      uploads.add(upload);
      // The caller lists it first.
      queueMicrotask(pump);
      return upload;
    },
    /** @param {Upload} upload */
    retry(upload) {
      if (upload.state !== 'failed') return;
      change(upload, { state: 'waiting', problem: '' });
      pump();
    },
    /** Ends an upload, and removes its file. @param {Upload} upload */
    remove(upload) {
      uploads.delete(upload);
      upload.end.abort();
      forget(upload);
    },
    /** A message has the file now. @param {Upload} upload */
    sent(upload) { uploads.delete(upload); },
    /** The browser is online again. */
    wake() { for (const end of [...pauses]) end(); },
  };
}
