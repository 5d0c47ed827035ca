// Times in the zone and words of the reader.

const units = /** @type {const} */ ([['day', 86400], ['hour', 3600], ['minute', 60]]);
const week = 7 * 86400;

/**
 * Returns a time relative to now, up to a week; then the date.
 * @param {Date} date
 * @param {number} nowMs
 */
export function relative(date, nowMs) {
  const seconds = Math.round((date.getTime() - nowMs) / 1000);
  if (Math.abs(seconds) >= week) return date.toLocaleDateString(undefined, { dateStyle: 'medium' });
  const format = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
  return format.format(0, 'second');
}

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
      : relative(date, Date.now());
  }
}
