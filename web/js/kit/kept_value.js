// A value of this browser that the pages and the chat program share.

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
    return null; // The choice ends with the page.
  }
}

/** The setting that switches single keys off, for speech input (WCAG 2.1.4): `1`. */
export const SINGLE_KEYS_OFF = 'keys-off';

/** Returns whether single keys are switched off. */
export const areKeysOff = () => keptValue(SINGLE_KEYS_OFF) === '1';
