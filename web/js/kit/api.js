// Requests to the HTTP API with the login cookie of the page.

const API_TIMEOUT_MS = 30_000;
/** The longest answer that is read. */
export const API_BYTES_MAX = 2 * 1024 * 1024;

/** An answer of the API that is not a success. `code` is `offline` without an answer. */
class ApiProblem extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} detail a sentence for the user
   */
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
    this.detail = detail;
  }
}

/** Another user logged in: the cookie is not of the user of this page. */
let isApiEnded = false;
export function endApi() {
  isApiEnded = true;
}

/**
 * Sends a request; returns the answer, or null if it has no body.
 * @param {'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'} method
 * @param {string} path begins with `/api/`
 * @param {unknown} [body] a `Blob` is sent as it is, everything else as JSON
 * @returns {Promise<any>}
 * @throws {ApiProblem}
 */
export async function api(method, path, body) {
  if (isApiEnded) throw new ApiProblem(401, 'unauthenticated', 'Another user logged in in this browser. Reload the page.');
  /** @type {Record<string, string>} */
  const headers = { 'X-NetBit-Web': '1', Accept: 'application/json' };
  const isBlob = body instanceof Blob;
  if (body !== undefined) headers['Content-Type'] = isBlob ? body.type : 'application/json';
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), API_TIMEOUT_MS);
  try {
    const response = await fetch(path, {
      method, headers, signal: patience.signal, credentials: 'same-origin', cache: 'no-store',
      body: isBlob ? body : JSON.stringify(body),
    });
    const answer = parsed(await bodyOf(response));
    if (response.ok) return answer;
    throw problemOf(response, answer);
  } catch (error) {
    if (error instanceof ApiProblem) throw error;
    throw new ApiProblem(0, 'offline', 'The server cannot be reached. Check the connection, then try again.');
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Reads an answer up to its limit.
 * @param {Response} response
 */
async function bodyOf(response) {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let body = '';
  for (let bytes = 0; reader;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.length;
    if (bytes > API_BYTES_MAX) {
      reader.cancel().catch(() => {});
      throw new ApiProblem(response.status, 'internal', 'The answer of the server is too long.');
    }
    body += decoder.decode(value, { stream: true });
  }
  return body + decoder.decode();
}

/** @param {string} body */
function parsed(body) {
  try {
    return body === '' ? null : JSON.parse(body);
  } catch {
    return null; // Not JSON: the status states what happened.
  }
}

/**
 * @param {Response} response
 * @param {any} answer
 */
function problemOf(response, answer) {
  const code = typeof answer?.code === 'string' ? answer.code : 'internal';
  const detail = typeof answer?.detail === 'string' ? answer.detail : `The server answered with the status ${response.status}.`;
  return new ApiProblem(response.status, code, detail);
}
