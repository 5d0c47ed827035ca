// The names under which files are uploaded: the server accepts one visible line that is not a path.

const FILE_NAME_CHARS = 255;
/**
 * Control characters, separators of paths, and characters that are invisible or turn the direction:
 * those that the server refuses, and halves of characters. `tests/web/file_names.json` has them, too.
 */
const REFUSED_CHARS = /[\p{Cc}\p{Cs}/\\\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]/gu;
/** A name of only these is blank: the server refuses it. */
const BLANK_NAME = /^[\p{White_Space}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\uffff\u{1bca0}-\u{1bca3}\u{1d159}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]*$/u;
/** Browsers give this name to a picture of the clipboard. */
const CLIPBOARD_IMAGE = /^image\.(png|jpe?g|gif|webp)$/;

/**
 * Returns the name of a file as the server accepts it. A long one keeps its ending.
 * @param {string} name
 */
export function sentName(name) {
  // The server counts characters in form C.
  const line = name.trim().normalize('NFC').replace(REFUSED_CHARS, '_');
  const chars = [...line];
  const [ending = ''] = /\.[^.]{1,16}$/u.exec(line) ?? [];
  const sent = chars.length <= FILE_NAME_CHARS ? line : chars.slice(0, FILE_NAME_CHARS - [...ending].length).join('') + ending;
  return BLANK_NAME.test(sent) || sent === '.' || sent === '..' ? 'file' : sent;
}

/**
 * Returns the name of a file from the clipboard: a screenshot has no name of its own.
 * @param {string} name
 * @param {Date} at
 */
export function pastedName(name, at) {
  const ending = CLIPBOARD_IMAGE.exec(name)?.[1];
  if (!ending) return name;
  const two = (/** @type {number} */ number) => String(number).padStart(2, '0');
  return `screenshot-${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}-${two(at.getHours())}${two(at.getMinutes())}.${ending}`;
}
