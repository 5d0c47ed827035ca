// Texts as they are compared when a user searches.

/**
 * Returns a text without the difference of upper and lower case: `Straße` as `STRASSE`, and `İ`
 * begins as `i` does. The result may be longer than the text, so positions in it are its own.
 * @param {string} text
 */
export const folded = (text) => text.normalize('NFKC').toUpperCase().toLowerCase().replaceAll('\u03c2', '\u03c3');
