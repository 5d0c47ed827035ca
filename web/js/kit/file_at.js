// Files at a commit, as the addresses of code pages and of the chat name them.

/** @typedef {{ repository: string, oid: string, path: string }} FileAt */

/**
 * Returns the file of a permalink: `/owner/project/name/-/blob/OID/path`. Null if it is another
 * address, or if the path is not UTF-8.
 * @param {string} pathname
 * @returns {FileAt | null}
 */
export function fileAt(pathname) {
  const found = /^\/([^/]+\/[^/]+\/[^/]+)\/-\/(?:blob|blame)\/([0-9a-f]{40}|[0-9a-f]{64})\/(.+)$/.exec(pathname);
  if (!found) return null;
  try {
    const [repository = '', oid = '', path = ''] = found.slice(1).map(decodeURIComponent);
    return { repository, oid, path };
  } catch {
    return null;
  }
}
