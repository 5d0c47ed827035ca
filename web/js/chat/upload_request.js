// The request that sends the bytes of a file. `fetch` does not report how many bytes are sent.

/** A request that sends nothing for so long is ended, and continued by another (milliseconds). */
const UPLOAD_STALL_MS = 45_000;

/** The answer to an upload that is not a success. `status` is 0 without an answer. */
class UploadProblem extends Error {
  isUpload = true;

  /** @param {number} status @param {string} detail @param {string} [code] */
  constructor(status, detail, code) {
    super(detail);
    this.status = status;
    this.code = code ?? (status === 0 ? 'offline' : 'internal');
    this.detail = detail;
  }
}

/**
 * Sends a file from an offset on.
 * @param {string} path
 * @param {Blob} file
 * @param {{ offset: number, signal: AbortSignal, progress: (sent: number) => void }} options
 * @returns {Promise<void>}
 * @throws {UploadProblem}
 */
export async function sendBytes(path, file, { offset, signal, progress }) {
  // A browser fails like a broken connection if it cannot read the file.
  await file.slice(offset, offset + 1).arrayBuffer().catch(() => {
    throw new UploadProblem(-1, 'The file cannot be read: it was moved or changed, or is a folder.');
  });
  signal.throwIfAborted();
  const request = new XMLHttpRequest();
  request.open('PUT', path);
  request.setRequestHeader('X-NetBit-Web', '1');
  const { size } = file;
  if (offset > 0) request.setRequestHeader('Content-Range', offset < size ? `bytes ${offset}-${size - 1}/${size}` : `bytes */${size}`);
  const abort = () => request.abort();
  signal.addEventListener('abort', abort);
  let stall = setTimeout(abort, UPLOAD_STALL_MS);
  request.upload.addEventListener('progress', ({ loaded }) => {
    clearTimeout(stall);
    stall = setTimeout(abort, UPLOAD_STALL_MS);
    progress(Math.min(size, offset + loaded));
  });
  // A slice has no media type, so the request has none either.
  request.send(offset < size ? file.slice(offset) : null);
  await new Promise((done) => { request.addEventListener('loadend', done); });
  clearTimeout(stall);
  signal.removeEventListener('abort', abort);
  if (request.status === 200) return;
  if (request.status === 0) throw new UploadProblem(0, 'The server cannot be reached. The upload continues when it is back.');
  throw problemOfUpload(request);
}

/** @param {XMLHttpRequest} request */
function problemOfUpload({ status, responseText }) {
  try {
    const { detail, code } = JSON.parse(responseText);
    if (typeof detail === 'string') return new UploadProblem(status, detail, code);
  } catch {} // Not JSON: the status states what happened.
  return new UploadProblem(status, status === 202 ? 'The server has only a part of the file.' : `The server answered with the status ${status}.`, status === 202 ? 'offline' : 'internal');
}
