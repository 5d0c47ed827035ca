// The page of the server's state measures again every two seconds while it is visible.
import { relativeTime } from '../kit/relative_time.js';
import { sizeText } from '../kit/size.js';

const MEASURE_EVERY_MS = 2000;

/**
 * The parts of `GET /api/admin/health` that the page shows.
 * @typedef {{ message: string, depth: number, high_water: number, handled: number, refused: number,
 *   queue_wait_us: number, handling_us: number, panics: number }} MessageState
 * @typedef {{ actor: string, capacity: number | null, inside: number | null, depth: number, high_water: number,
 *   restarts: number, refused: number, messages: MessageState[] }} ActorState
 * @typedef {{ uptime_seconds: number, sessions: number, storage: { disk_free_bytes: number | null,
 *   database_bytes: number, wal_bytes: number }, cache: { hit_rate: number | null, window_bytes: number },
 *   actors: ActorState[] }} HealthState
 */

/**
 * Returns a duration as the server writes it, in its two largest units: `3 d 4 h`.
 * @param {number} seconds
 */
function durationText(seconds) {
  const [days, hours, minutes] = [seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60].map(Math.floor);
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

/**
 * Returns the mean of a total in microseconds, as the server writes it.
 * @param {number} totalUs
 * @param {number} count
 */
function meanText(totalUs, count) {
  if (!count) return '–';
  const us = Math.floor(totalUs / count);
  return us < 1000 ? `${us} µs` : `${Math.floor(us / 1000)}.${Math.floor(us / 100) % 10} ms`;
}

/**
 * Returns the texts of the cells that actors and messages both have.
 * @param {Pick<MessageState, 'depth' | 'high_water' | 'handled' | 'refused' | 'panics'>} state
 * @param {number} waitUs
 * @param {number} workUs
 * @returns {Record<string, string>}
 */
function cellTexts(state, waitUs, workUs) {
  const { depth, high_water, handled, refused, panics } = state;
  const wait = meanText(waitUs, handled);
  const handling = meanText(workUs, handled);
  const numbers = { depth, high_water, handled, refused, panics };
  const texts = Object.entries(numbers).map(([name, number]) => [name, String(number)]);
  return { ...Object.fromEntries(texts), wait, handling };
}

/**
 * Returns the texts of the row of an actor.
 * @param {ActorState} actor
 */
function actorTexts(actor) {
  /** @param {(message: MessageState) => number} part */
  const total = (part) => actor.messages.reduce((sum, message) => sum + part(message), 0);
  const [handled, panics] = [total((message) => message.handled), total((message) => message.panics)];
  const [waitUs, workUs] = [total((message) => message.queue_wait_us), total((message) => message.handling_us)];
  const inside = actor.inside === null || actor.capacity === null ? '' : `${actor.inside} of ${actor.capacity}`;
  return { ...cellTexts({ ...actor, handled, panics }, waitUs, workUs), inside, restarts: String(actor.restarts) };
}

/**
 * Writes the texts into the elements of `root` that have their names.
 * @param {ParentNode} root
 * @param {Record<string, string>} texts
 */
function writeTexts(root, texts) {
  for (const [name, text] of Object.entries(texts)) {
    const place = root.querySelector(`[data-value="${name}"]`);
    if (place && place.textContent !== text) place.textContent = text;
  }
}

/**
 * Shows a measurement.
 * @param {Document} root
 * @param {HealthState} state
 */
function showHealth(root, state) {
  const { storage, cache } = state;
  writeTexts(root, {
    uptime: durationText(state.uptime_seconds),
    sessions: String(state.sessions),
    free: storage.disk_free_bytes === null ? 'unknown' : sizeText(storage.disk_free_bytes),
    database: sizeText(storage.database_bytes),
    log: sizeText(storage.wal_bytes),
    rate: cache.hit_rate === null ? '–' : `${(cache.hit_rate * 100).toFixed(1)} %`,
    cache: sizeText(Math.max(0, cache.window_bytes)),
  });
  for (const actor of state.actors) {
    const row = root.querySelector(`tr[data-actor="${actor.actor}"]`);
    if (row) writeTexts(row, actorTexts(actor));
    const table = root.querySelector(`table[data-messages="${actor.actor}"]`);
    for (const message of table ? actor.messages : []) {
      const line = table?.querySelector(`tr[data-message="${message.message}"]`);
      if (line) writeTexts(line, cellTexts(message, message.queue_wait_us, message.handling_us));
    }
  }
}

/** @param {Document} root */
export function health(root) {
  const box = root.querySelector('[data-measure]');
  const choice = box?.querySelector('input');
  const measured = root.querySelector('time[data-measured]');
  if (!(box instanceof HTMLElement) || !choice || !measured) return;
  box.hidden = false;
  let isRunning = false;

  async function measure() {
    if (isRunning || !choice?.checked || root.visibilityState !== 'visible') return;
    isRunning = true;
    try {
      const response = await fetch('/api/admin/health', { headers: { 'X-NetBit-Web': '1' }, cache: 'no-store' });
      // The login has ended, or the user is not an administrator any more.
      if (response.status === 401 || response.status === 403) location.reload();
      if (!response.ok) return;
      showHealth(root, await response.json());
      const now = new Date();
      measured?.setAttribute('datetime', now.toISOString());
      if (measured) measured.textContent = relativeTime(now.getTime(), now.getTime());
    } catch {
      // The server does not answer now: the time of the last measurement stays.
    } finally {
      isRunning = false;
    }
  }

  setInterval(measure, MEASURE_EVERY_MS);
  root.addEventListener('visibilitychange', measure);
}
