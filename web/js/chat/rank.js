// Which entries of the switcher match a text, the best ones first. Pure functions.

/** @typedef {'chat' | 'user' | 'project' | 'repository' | 'file' | 'command'} EntryKind */
/**
 * @typedef {object} Entry
 * @property {EntryKind} kind
 * @property {string} key the same for the same thing, also tomorrow
 * @property {string} name
 * @property {string} [detail]
 * @property {string} [words] further words that match
 * @property {number} [unread]
 */

/** The prefixes that limit a search to some kinds. */
export const SWITCHER_PREFIXES = /** @type {Record<string, readonly EntryKind[]>} */ ({ '#': ['chat'], '@': ['user'], '/': ['file'], '>': ['command'] });

/**
 * Splits what was typed into prefix and text.
 * @param {string} typed
 */
export function splitTyped(typed) {
  const text = typed.trimStart();
  const prefix = text.charAt(0);
  return prefix in SWITCHER_PREFIXES ? { prefix, wanted: text.slice(1).trim().toLowerCase() } : { prefix: '', wanted: text.trim().toLowerCase() };
}

/**
 * Returns how well a name matches, 0 is best; -1 if it does not match.
 * @param {string} name in lower case
 * @param {string} wanted in lower case
 */
export function rankOf(name, wanted) {
  if (name === wanted) return 0;
  if (name.startsWith(wanted)) return 1;
  const last = name.slice(name.lastIndexOf('/') + 1);
  if (last.startsWith(wanted)) return 2;
  for (let at = name.indexOf(wanted); at > 0; at = name.indexOf(wanted, at + 1)) {
    if (!/[\p{L}\p{N}]/u.test(name.charAt(at - 1))) return 3;
  }
  if (name.includes(wanted)) return 4;
  let at = 0;
  for (const letter of wanted.replace(/\s/g, '')) {
    at = name.indexOf(letter, at) + 1;
    if (at === 0) return -1;
  }
  return 5;
}

/**
 * Returns the entries that match, the best ones first; of equal ones the recent ones.
 * @template {Entry} T
 * @param {readonly T[]} entries
 * @param {string} typed
 * @param {readonly string[]} recents keys, the newest first
 * @param {number} max
 * @returns {T[]}
 */
export function matching(entries, typed, recents, max) {
  const { prefix, wanted } = splitTyped(typed);
  const kinds = SWITCHER_PREFIXES[prefix];
  const age = new Map(recents.map((key, at) => [key, at]));
  /** @type {{ entry: T, rank: number, age: number }[]} */
  const found = [];
  for (const entry of entries) {
    if (kinds ? !kinds.includes(entry.kind) : entry.kind === 'file' || (entry.kind === 'command' && !wanted)) continue;
    const rank = wanted ? best(entry, wanted) : 0;
    if (rank >= 0) found.push({ entry, rank, age: age.get(entry.key) ?? recents.length });
  }
  const order = (/** @type {{ entry: Entry, rank: number, age: number }} */ one, /** @type {{ entry: Entry, rank: number, age: number }} */ other) => {
    const tier = Math.floor(one.rank / 2) - Math.floor(other.rank / 2);
    const places = Number(one.entry.kind === 'command') - Number(other.entry.kind === 'command');
    return tier || places || one.age - other.age || one.rank - other.rank
      || Number((other.entry.unread ?? 0) > 0) - Number((one.entry.unread ?? 0) > 0) || (wanted ? one.entry.name.length - other.entry.name.length : 0);
  };
  return found.sort(order).slice(0, max).map(({ entry }) => entry);
}

/**
 * @param {Entry} entry
 * @param {string} wanted
 */
function best(entry, wanted) {
  const rank = rankOf(entry.name.toLowerCase(), wanted);
  if (rank === 0 || !entry.words) return rank;
  const other = rankOf(entry.words.toLowerCase(), wanted);
  return rank < 0 ? other : other < 0 ? rank : Math.min(rank, other);
}
