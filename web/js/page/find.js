// Finds files while the user types. The rule is that of the server (`src/web/code/find.rs`).
import { encodedPath } from '../kit/path.js';

const LISTED = 100;

/**
 * Returns how well a path matches, 0 is best; -1 if it does not match.
 * @param {string} path
 * @param {string} wanted in lower case
 */
export function rank(path, wanted) {
  const lower = path.toLowerCase();
  const name = lower.slice(lower.lastIndexOf('/') + 1);
  if (name.startsWith(wanted)) return 0;
  if (name.includes(wanted)) return 1;
  if (lower.includes(wanted)) return 2;
  let at = 0;
  for (const letter of wanted.replace(/\s/g, '')) {
    at = lower.indexOf(letter, at) + 1;
    if (at === 0) return -1;
  }
  return 3;
}

/**
 * Returns the paths that match, the best ones first.
 * @param {string[]} paths
 * @param {string} wanted
 */
export function best(paths, wanted) {
  /** @type {string[][]} */
  const tiers = [[], [], [], []];
  for (const path of paths) tiers[rank(path, wanted)]?.push(path);
  for (const tier of tiers) tier.sort((one, other) => one.length - other.length || (one < other ? -1 : 1));
  return tiers.flat();
}

/** @param {Document} root */
export function finder(root) {
  const form = root.querySelector('form[data-find]');
  const field = form?.querySelector('input');
  const list = root.querySelector('[data-found]');
  const count = root.querySelector('[data-count]');
  if (!(form instanceof HTMLFormElement) || !field || !list || !count) return;
  const { list: address = '', blobs = '' } = form.dataset;
  /** @type {Promise<{ paths: string[], truncated: boolean }> | null} */
  let files = null;
  let active = -1;

  async function load() {
    const response = await fetch(address, { headers: { 'X-NetBit-Web': '1' } });
    if (!response.ok) throw new Error(`the list of files: ${response.status}`);
    return response.json();
  }

  /** @param {number} index */
  function activate(index) {
    const items = [...list?.children ?? []];
    items[active]?.classList.remove('active');
    active = Math.max(0, Math.min(index, items.length - 1));
    items[active]?.classList.add('active');
    items[active]?.scrollIntoView({ block: 'nearest' });
  }

  async function show() {
    const wanted = field?.value.trim().toLowerCase() ?? '';
    files ??= load();
    let all;
    try {
      all = await files;
    } catch {
      files = null;
      if (count) count.textContent = 'The list of files did not load. Type again, or press Enter to search on the server.';
      return;
    }
    if (wanted !== field?.value.trim().toLowerCase()) return;
    const found = best(all.paths, wanted);
    const items = found.slice(0, LISTED).map((path) => {
      const link = root.createElement('a');
      link.href = `${blobs}/${encodedPath(path)}`;
      link.textContent = path;
      link.dir = 'auto';
      const item = root.createElement('li');
      item.append(link);
      return item;
    });
    list?.replaceChildren(...items);
    root.querySelector('[data-none]')?.remove();
    active = -1;
    if (wanted && items.length) activate(0);
    const noun = found.length === 1 ? 'file matches' : 'files match';
    const rest = found.length > LISTED ? `; the first ${LISTED} are listed` : '';
    const cut = all.truncated ? '; the repository has more files than this list' : '';
    if (count) count.textContent = `${found.length} ${noun}${rest}${cut}.`;
  }

  field.addEventListener('input', show);
  field.addEventListener('keydown', (event) => {
    if (event.isComposing || (event.key !== 'ArrowDown' && event.key !== 'ArrowUp')) return;
    event.preventDefault();
    activate(active + (event.key === 'ArrowDown' ? 1 : -1));
  });
  form.addEventListener('submit', (event) => {
    const link = list.children[active]?.querySelector('a');
    if (!link) return;
    event.preventDefault();
    location.assign(link.href);
  });
}
