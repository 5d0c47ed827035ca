// Time, randomness and storage for tests: a seed gives the same run again.

/** @param {number} seed @returns {() => number} */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A clock that moves only when a test moves it. */
export function fakeClock() {
  let time = Date.parse('2026-05-05T12:00:00Z');
  let order = 0;
  /** @type {{ at: number, order: number, fn: () => void }[]} a heap */
  const heap = [];
  const before = (/** @type {number} */ a, /** @type {number} */ b) => heap[a].at < heap[b].at || (heap[a].at === heap[b].at && heap[a].order < heap[b].order);
  const swap = (/** @type {number} */ a, /** @type {number} */ b) => { [heap[a], heap[b]] = [heap[b], heap[a]]; };
  function pop() {
    swap(0, heap.length - 1);
    const first = heap.pop();
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      if (left < heap.length && before(left, least)) least = left;
      if (right < heap.length && before(right, least)) least = right;
      if (least === at) return first;
      swap(at, least);
      at = least;
    }
  }
  return {
    now: () => time,
    /** @param {number} ms @param {() => void} fn */
    after(ms, fn) {
      const timer = { at: time + Math.max(0, ms), order: order += 1, fn };
      heap.push(timer);
      for (let at = heap.length - 1; at > 0 && before(at, (at - 1) >> 1); at = (at - 1) >> 1) swap(at, (at - 1) >> 1);
      return () => { timer.fn = () => {}; };
    },
    /** Runs everything that is due within `ms`. @param {number} ms */
    async run(ms) {
      const end = time + ms;
      await settled();
      while (heap.length > 0 && heap[0].at <= end) {
        const timer = pop();
        time = Math.max(time, timer?.at ?? 0);
        timer?.fn();
        await settled();
      }
      time = end;
    },
  };
}

/** Lets every promise that is ready continue. */
export const settled = () => new Promise((done) => { setImmediate(done); });

/** A storage that several tabs share: a change in one is an event in the others. */
export function sharedStorage() {
  /** @type {Map<string, string>} */
  const values = new Map();
  /** @type {Set<{ fn: (key: string) => void, tab: object }>} */
  const watchers = new Set();
  /** @param {string} key @param {object} tab */
  const changed = (key, tab) => queueMicrotask(() => { for (const watcher of watchers) if (watcher.tab !== tab) watcher.fn(key); });
  return {
    values,
    /** Returns the storage of one tab. @returns {import('../../../web/js/kit/local.js').Local & { close: () => void }} */
    tab() {
      const tab = {};
      return {
        get(key) { const value = values.get(key); return value === undefined ? undefined : JSON.parse(value); },
        set(key, value) { values.set(key, JSON.stringify(value)); changed(key, tab); return true; },
        remove(key) { if (values.delete(key)) changed(key, tab); },
        keys(prefix) { return [...values.keys()].filter((key) => key.startsWith(prefix)).sort(); },
        onChange(fn) {
          const watcher = { fn, tab };
          watchers.add(watcher);
          return () => { watchers.delete(watcher); };
        },
        close() { for (const watcher of watchers) if (watcher.tab === tab) watchers.delete(watcher); },
      };
    },
  };
}
