// Shows who else is at this file or comparison. Off until the user turns it on, for all pages in
// this browser: only then the server learns where the user is.

import { keptValue } from '../kit/kept_value.js';

/** The server shows a user for 60 s after a request. */
const HERE_EVERY_MS = 25_000;

/**
 * Returns the repository and the place of a page, or null if it has none. All versions of a file are
 * one place.
 * @param {string} pathname
 * @returns {{ repository: string, place: string } | null}
 */
export function placeOf(pathname) {
  const file = /^\/([^/]+\/[^/]+\/[^/]+)\/-\/(?:blob|blame)\/[^/]+\/(.+)$/.exec(pathname);
  const compared = /^\/([^/]+\/[^/]+\/[^/]+)\/-\/compare\/(.+\.\.\..+)$/.exec(pathname);
  const found = file ?? compared;
  return found && { repository: found[1] ?? '', place: found[2] ?? '' };
}

/**
 * Returns a sentence about the others at a place.
 * @param {string[]} names
 */
export function hereWords(names) {
  const [first, second] = names;
  if (!first) return 'No other member is here.';
  if (!second) return `${first} is here.`;
  if (names.length === 2) return `${first} and ${second} are here.`;
  return `${first}, ${second} and ${names.length - 2} more are here.`;
}

/**
 * Asks the API; null if it does not answer.
 * @param {string} address
 * @param {object} [body]
 */
async function hereAsk(address, body) {
  const headers = { 'X-NetBit-Web': '1', 'Content-Type': 'application/json' };
  const options = body ? { method: 'POST', headers, body: JSON.stringify(body), keepalive: true } : { headers };
  try {
    const response = await fetch(address, options);
    return response.ok ? (await response.json()).items : null;
  } catch {
    return null; // No answer.
  }
}

/**
 * @param {Document} root
 * @param {string} visitorName the choice is that of this user
 */
export function here(root, visitorName) {
  const shown = root.querySelector('[data-code][data-chat], [data-changes][data-chat]');
  const section = shown?.closest('section');
  const permalink = root.querySelector('a[data-key="y"]');
  const at = placeOf(permalink instanceof HTMLAnchorElement ? permalink.pathname : location.pathname);
  if (!section || !at) return;
  const [user, project, name] = at.repository.split('/');
  const address = `/api/projects/${user}/${project}/repos/${name}/visitors`;
  /** @type {Map<number, string>} */
  const known = new Map();
  let timer = 0;

  const button = root.createElement('button');
  button.type = 'button';
  button.className = 'plain';
  button.textContent = 'Show others that I am here';
  const words = root.createElement('span');
  words.setAttribute('role', 'status');
  const line = root.createElement('p');
  line.className = 'here muted';
  line.append(button, ' ', words);
  section.before(line);

  const hereKey = `here:${visitorName}`;
  const isOn = () => keptValue(hereKey) === '1';

  /** @param {boolean} stays */
  const visit = (stays) => hereAsk(address, { place: at.place, stays });

  async function refresh() {
    if (!isOn() || root.hidden) return;
    const found = /** @type {{ user_id: number }[] | null} */ (await visit(true));
    if (!isOn()) return;
    if (!found) {
      words.textContent = 'The server did not answer. This page asks again soon.';
      return;
    }
    const ids = found.map((visitor) => visitor.user_id);
    const unknown = ids.filter((id) => !known.has(id));
    const users = unknown.length ? await hereAsk(`/api/users?ids=${unknown.join(',')}`) : [];
    for (const one of users ?? []) known.set(one.id, one.display_name || one.username);
    const sentence = hereWords(ids.flatMap((id) => known.get(id) ?? []));
    if (words.textContent !== sentence) words.textContent = sentence;
  }

  function show() {
    button.setAttribute('aria-pressed', String(isOn()));
    if (!isOn()) words.textContent = '';
    clearInterval(timer);
    if (isOn()) timer = setInterval(refresh, HERE_EVERY_MS);
  }

  button.addEventListener('click', () => {
    keptValue(hereKey, isOn() ? '0' : '1');
    show();
    if (isOn()) refresh();
    else visit(false);
  });
  root.addEventListener('visibilitychange', refresh);
  addEventListener('pagehide', () => { if (isOn()) visit(false); });
  addEventListener('pageshow', (event) => { if (event.persisted) refresh(); });
  show();
  refresh();
}
