// Copies text. `navigator.clipboard` does not exist on http addresses of other machines.

/**
 * Returns whether the text was copied.
 * @param {string} value
 * @returns {Promise<boolean>}
 */
export async function copyText(value) {
  try {
    if (!navigator.clipboard) return copyBySelection(value);
    await navigator.clipboard.writeText(value);
    return true;
  } catch {
    return copyBySelection(value);
  }
}

/** @param {string} value */
function copyBySelection(value) {
  const before = document.activeElement;
  const field = document.createElement('textarea');
  field.className = 'sr';
  field.value = value;
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand('copy');
  field.remove();
  if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  return isCopied;
}
