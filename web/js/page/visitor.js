// The user whose page it is.
import { keptValue } from '../kit/kept_value.js';

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
