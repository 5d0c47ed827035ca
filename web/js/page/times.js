// Times in the zone and words of the reader.
import { relativeTime } from '../kit/relative_time.js';

/**
 * Shows each `<time>` relative to now, with the full time as its title; those with `data-full` as
 * date and time.
 * @param {ParentNode} root
 */
export function localTimes(root) {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const date = new Date(time.getAttribute('datetime') ?? '');
    if (Number.isNaN(date.getTime())) continue;
    time.setAttribute('title', date.toLocaleString(undefined, { dateStyle: 'full', timeStyle: 'long' }));
    time.textContent = time.hasAttribute('data-full')
      ? date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
      : relativeTime(date.getTime(), Date.now());
  }
}
