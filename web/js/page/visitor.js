// The user whose page it is.

/**
 * Returns the user name in the header, or ''. Pages of the chat in other tabs of this browser learn
 * it: one of another user ends.
 * @param {Document} root
 */
export function visitor(root) {
  const link = root.querySelector('header.top .menu a[href^="/people/"]');
  const name = link?.getAttribute('href')?.slice('/people/'.length) ?? '';
  if (name) keptValue('netbit:user', JSON.stringify(name));
  return name;
}

/**
 * Returns a value of localStorage, or null where it is forbidden or full.
 * @param {string} key
 * @param {string} [value] to be written first
 */
export function keptValue(key, value) {
  try {
    if (value !== undefined) localStorage.setItem(key, value);
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
