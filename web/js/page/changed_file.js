// A file of a page of changes.

/**
 * Returns the link to the new version of a changed file; undefined if the file was deleted.
 * @param {Element} file
 * @returns {HTMLAnchorElement | undefined}
 */
export function blobLink(file) {
  const links = /** @type {HTMLAnchorElement[]} */ ([...file.querySelectorAll('.links a')]);
  return links.find((link) => link.textContent === 'File');
}
