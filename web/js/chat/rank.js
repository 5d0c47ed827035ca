// Which entries of the switcher match a text, the best ones first. Pure functions.
import { folded } from '../kit/folded.js';

/** @typedef {'chat' | 'user' | 'project' | 'repository' | 'file' | 'command' | 'search' | 'message'} EntryKind */
/**
 * @typedef {object} Entry
 * @property {EntryKind} kind
 * @property {string} key the same for the same thing, also tomorrow
 * @property {string} name
 * @property {string} [detail]
 * @property {string} [words] further words that match
 * @property {number} [unread]
 * @property {string[]} [folded] name and words without case, made at the first search
 */

/** The prefixes that limit a search to some kinds. */
const SWITCHER_PREFIXES = /** @type {Record<string, readonly EntryKind[]>} */ ({ '#': ['chat'], '@': ['user'], '/': ['file'], '>': ['command'], '?': ['message'] });

/**
 * Splits what was typed into prefix and text; `wanted` is the text as it is compared.
 * @param {string} typed
 */
export function splitTyped(typed) {
  const prefix = typed.trimStart().charAt(0) in SWITCHER_PREFIXES ? typed.trimStart().charAt(0) : '';
  const text = typed.trimStart().slice(prefix.length).trim();
  return { prefix, text, wanted: folded(text) };
}

/**
 * Returns whether a character belongs to a word; all characters beyond ASCII do.
 * @param {number} code
 */
const isWordCharacter = (code) => code > 127 || (code >= 48 && code <= 57) || (code >= 97 && code <= 122);

/**
 * Returns how well a name matches, 0 is best; -1 if it does not match.
 * @param {string} name folded
 * @param {string} wanted folded
 * @param {string} [letters] of `wanted`, without white space
 */
export function rankOf(name, wanted, letters = wanted.replace(/\s/g, '')) {
  const first = name.indexOf(wanted);
  if (first === 0) return name.length === wanted.length ? 0 : 1;
  if (first > 0 && name.startsWith(wanted, name.lastIndexOf('/') + 1)) return 2;
  for (let at = first; at > 0; at = name.indexOf(wanted, at + 1)) {
    if (!isWordCharacter(name.charCodeAt(at - 1))) return 3;
  }
  if (first > 0) return 4;
  let at = 0;
  for (const letter of letters) {
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
  const ages = new Map(recents.map((key, at) => [key, at]));
  const letters = wanted.replace(/\s/g, '');
  // The best ones so far, in order. Most entries are worse than all of them: that costs no sort.
  /** @type {{ entry: T, rank: number, age: number }[]} */
  const found = [];
  for (const entry of entries) {
    if (kinds ? !kinds.includes(entry.kind) : entry.kind === 'file' || (entry.kind === 'command' && !wanted)) continue;
    const rank = wanted ? best(entry, wanted, letters) : 0;
    if (rank < 0) continue;
    const last = found.at(-1);
    if (last && found.length >= max && (rank >> 1) > (last.rank >> 1)) continue;
    const made = { entry, rank, age: ages.get(entry.key) ?? recents.length };
    if (last && found.length >= max && precedes(last, made, wanted)) continue;
    let at = found.length;
    while (at > 0 && !precedes(/** @type {typeof made} */ (found[at - 1]), made, wanted)) at -= 1;
    found.splice(at, 0, made);
    if (found.length > max) found.pop();
  }
  return found.map(({ entry }) => entry);
}

/** @typedef {{ entry: Entry, rank: number, age: number }} Ranked */

/**
 * Returns whether `one` stays before `other`: equal ones keep their order.
 * @param {Ranked} one
 * @param {Ranked} other
 * @param {string} wanted
 */
function precedes(one, other, wanted) {
  const order = (one.rank >> 1) - (other.rank >> 1)
    || Number(one.entry.kind === 'command') - Number(other.entry.kind === 'command')
    || one.age - other.age || one.rank - other.rank
    || Number((other.entry.unread ?? 0) > 0) - Number((one.entry.unread ?? 0) > 0)
    || (wanted ? one.entry.name.length - other.entry.name.length : 0);
  return order <= 0;
}

/**
 * @param {Entry} entry
 * @param {string} wanted
 * @param {string} letters of `wanted`, without white space
 */
function best(entry, wanted, letters) {
  entry.folded ??= [folded(entry.name), folded(entry.words ?? '')];
  const [name = '', words] = entry.folded;
  const rank = rankOf(name, wanted, letters);
  if (rank === 0 || !words) return rank;
  const other = rankOf(words, wanted, letters);
  return rank < 0 ? other : other < 0 ? rank : Math.min(rank, other);
}
