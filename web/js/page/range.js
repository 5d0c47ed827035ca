// Ranges of lines in addresses and fields.

/** @typedef {{ from: number, to: number }} Range */

/**
 * Returns the lines that an address or a text names: `#L10`, `#L10-L20`, `10`, `10-20`.
 * @param {string} text
 * @returns {Range | null}
 */
export function parseRange(text) {
  const found = /^#?L?(\d{1,7})(?:-L?(\d{1,7}))?$/.exec(text.trim());
  if (!found) return null;
  const [one, other] = [Number(found[1]), Number(found[2] ?? found[1])];
  return { from: Math.min(one, other), to: Math.max(one, other) };
}

/** @param {Range} range */
export const fragment = ({ from, to }) => (from === to ? `#L${from}` : `#L${from}-L${to}`);
