// Ages of things, in the language of the reader.
import { millis, shortDate } from './time.js';

const RELATIVE_UNITS = /** @type {const} */ ([['day', 86400], ['hour', 3600], ['minute', 60]]);

/**
 * Returns a time relative to now, up to a week; then the date.
 * @param {string | number} at
 * @param {number} nowMs
 */
export function relativeTime(at, nowMs) {
  const seconds = Math.round((millis(at) - nowMs) / 1000);
  if (!Number.isFinite(seconds)) return '';
  if (Math.abs(seconds) >= 7 * 86400) return shortDate(at);
  const words = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });
  for (const [unit, size] of RELATIVE_UNITS) {
    if (Math.abs(seconds) >= size) return words.format(Math.trunc(seconds / size), unit);
  }
  return words.format(0, 'second');
}
