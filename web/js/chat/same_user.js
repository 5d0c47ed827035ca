// Keeps the tabs of a browser to the same user: their requests carry the cookie of the newest login.
import { endApi } from '../kit/api.js';

/**
 * Publishes the user to the other tabs; they end if they are of another user.
 * @param {import('../kit/local.js').Local} local
 * @param {import('./types.js').Me} me
 */
export function publishUser(local, { username }) {
  if (username && local.get('user') !== username) local.set('user', username);
}

/**
 * Ends this tab when another user logged in.
 * @param {import('../kit/local.js').Local} local
 * @param {Pick<import('./store.js').Store, 'me' | 'apply'>} store
 * @param {() => void} stop ends the session
 */
export function watchUser(local, store, stop) {
  local.onChange((key) => {
    const name = key === 'user' ? local.get(key) : undefined;
    if (!name || !store.me.username || name === store.me.username) return;
    endApi();
    stop();
    store.apply({ type: 'connection', connection: { state: 'replaced', notice: `You are logged in as ${name} in another tab.` } });
  });
}
