// Ranges of lines in addresses, fields and sentences.

/** @typedef {{ from: number, to: number }} LineRange */

/**
 * Returns the lines that an address or a text names: `#L10`, `#L10-L20`, `10`, `10-20`.
 * @param {string} text
 * @returns {LineRange | null}
 */
export function parseRange(text) {
  const found = /^#?L?(\d{1,7})(?:-L?(\d{1,7}))?$/.exec(text.trim());
  if (!found) return null;
  const [one, other] = [Number(found[1]), Number(found[2] ?? found[1])];
  return { from: Math.min(one, other), to: Math.max(one, other) };
}

/**
 * Returns the end of an address of lines: `#L10` or `#L10-L20`.
 * @param {LineRange} range
 */
export const lineFragment = ({ from, to }) => (from === to ? `#L${from}` : `#L${from}-L${to}`);

/**
 * Returns the lines as words: `line 10` or `lines 10 to 20`.
 * @param {LineRange} range
 */
export const lineWords = ({ from, to }) => (from === to ? `line ${from}` : `lines ${from} to ${to}`);
