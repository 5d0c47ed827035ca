// Values kept in this browser. localStorage may be absent, full or forbidden: then values live as
// long as the page.

/**
 * @typedef {object} Local
 * @property {(key: string) => any} get the value, or undefined
 * @property {(key: string, value: unknown) => boolean} set false: it is kept for this page only
 * @property {(key: string) => void} remove
 * @property {(prefix: string) => string[]} keys
 * @property {(fn: (key: string) => void) => () => void} onChange changes by other tabs; returns the
 *   function that ends the subscription
 */

/**
 * Returns the values whose keys begin with `prefix`.
 * @param {string} prefix
 * @param {Storage | null} [storage]
 * @returns {Local}
 */
export function createLocal(prefix, storage = browserStorage()) {
  /** @type {Map<string, string>} */
  const own = new Map();
  /** @type {(name: string) => string | null} */
  const read = (name) => {
    if (own.has(name)) return own.get(name) ?? null;
    try {
      return storage?.getItem(name) ?? null;
    } catch {
      return null; // Forbidden.
    }
  };
  return {
    get(key) {
      const value = read(prefix + key);
      try {
        return value === null ? undefined : JSON.parse(value);
      } catch {
        return undefined; // Another program wrote the value.
      }
    },
    set(key, value) {
      const written = JSON.stringify(value);
      try {
        /** @type {Storage} */ (storage).setItem(prefix + key, written);
        own.delete(prefix + key);
        return true;
      } catch {
        // The storage is absent, full or forbidden.
        own.set(prefix + key, written);
        return false;
      }
    },
    remove(key) {
      own.delete(prefix + key);
      try {
        storage?.removeItem(prefix + key);
      } catch {
        // Nothing was kept.
      }
    },
    keys(begin) {
      const names = new Set(own.keys());
      try {
        for (let at = 0; at < (storage?.length ?? 0); at += 1) names.add(storage?.key(at) ?? '');
      } catch {
        // The keys of this page suffice.
      }
      const full = prefix + begin;
      return [...names].filter((name) => name.startsWith(full)).map((name) => name.slice(prefix.length)).sort();
    },
    onChange(fn) {
      if (typeof window === 'undefined') return () => {};
      /** @param {StorageEvent} event */
      const changed = (event) => { if (event.key?.startsWith(prefix)) fn(event.key.slice(prefix.length)); };
      window.addEventListener('storage', changed);
      return () => window.removeEventListener('storage', changed);
    },
  };
}

/** Returns localStorage, or null where it is forbidden. */
function browserStorage() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}
