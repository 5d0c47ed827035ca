// Times in the zone and language of the reader. Times are RFC 3339 text or milliseconds.

const DAY_MS = 86_400_000;

/** @type {Map<string, Intl.DateTimeFormat>} */
const dateFormats = new Map();

/**
 * Returns the format, made once: making one costs more than using it a thousand times.
 * @param {Intl.DateTimeFormatOptions} options
 */
function dateFormat(options) {
  const key = JSON.stringify(options);
  const found = dateFormats.get(key) ?? new Intl.DateTimeFormat(undefined, options);
  dateFormats.set(key, found);
  return found;
}

/**
 * Returns the milliseconds of a time; NaN if it is not a time.
 * @param {string | number} at
 */
export function millis(at) {
  return typeof at === 'number' ? at : Date.parse(at);
}

/**
 * Formats a time. Returns an empty text for a time that cannot be read.
 * @param {string | number} at
 * @param {Intl.DateTimeFormatOptions} options
 */
function formatted(at, options) {
  const ms = millis(at);
  return Number.isFinite(ms) ? dateFormat(options).format(ms) : '';
}

/**
 * Returns hours and minutes: "10:42".
 * @param {string | number} at
 */
export function clockTime(at) {
  return formatted(at, { hour: 'numeric', minute: '2-digit' });
}

/**
 * Returns date and time in full, for titles.
 * @param {string | number} at
 */
export function fullTime(at) {
  return formatted(at, { dateStyle: 'full', timeStyle: 'medium' });
}

/**
 * Returns the date: "28 Nov 2026".
 * @param {string | number} at
 */
export function shortDate(at) {
  return formatted(at, { dateStyle: 'medium' });
}

/**
 * Returns a key of the local day of a time. Times of one day have the same key.
 * @param {string | number} at
 */
export function dayKey(at) {
  const date = new Date(millis(at));
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/**
 * Returns the name of the day of a time: "today", "yesterday", "Monday, 3 August".
 * @param {string | number} at
 * @param {number} nowMs
 */
export function dayLabel(at, nowMs) {
  const key = dayKey(at);
  const words = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });
  if (key === dayKey(nowMs)) return words.format(0, 'day');
  if (key === dayKey(nowMs - DAY_MS)) return words.format(-1, 'day');
  const isThisYear = new Date(millis(at)).getFullYear() === new Date(nowMs).getFullYear();
  return formatted(at, isThisYear ? { weekday: 'long', day: 'numeric', month: 'long' } : { dateStyle: 'long' });
}
