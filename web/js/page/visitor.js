// The user whose page it is.
import { keptValue } from '../kit/kept_value.js';

/**
 * Returns the user name in the header, or ''. Pages of the chat in other tabs of this browser read
 * it, and those of another user end.
 * @param {Document} root
 */
export function visitor(root) {
  const link = root.querySelector('header.top .menu a[href^="/people/"]');
  const name = link?.getAttribute('href')?.slice('/people/'.length) ?? '';
  if (name) keptValue('netbit:user', JSON.stringify(name));
  return name;
}
