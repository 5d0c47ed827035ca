// The lines of a file that an address of the chat names.

/** The longest text of `?code=` that is read. */
const CODE_TEXT_MAX = 2048;

/** @typedef {{ repository: string, oid: string, path: string, from: number, to: number }} CodeRef */

/**
 * Returns the lines that a text names: `owner/project/repo@oid:path#L3-L9`.
 * @param {string | undefined} reference
 * @returns {CodeRef | undefined}
 */
export function parseCodeRef(reference) {
  if (!reference || reference.length > CODE_TEXT_MAX) return undefined;
  const found = /^([^/@:\s]+\/[^/@:\s]+\/[^/@:\s]+)@([0-9a-f]{40}|[0-9a-f]{64}):(.+)#L(\d{1,7})(?:-L(\d{1,7}))?$/u.exec(reference);
  if (!found) return undefined;
  const [, repository = '', oid = '', path = '', first = '', last = first] = found;
  const [one, other] = [Number(first), Number(last)];
  if (path.includes('\0') || Math.min(one, other) < 1) return undefined;
  return { repository, oid, path, from: Math.min(one, other), to: Math.max(one, other) };
}
