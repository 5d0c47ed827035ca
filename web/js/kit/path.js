// Paths in addresses.

/**
 * Returns a path for an address: its parts are encoded, its slashes stay.
 * @param {string} path
 */
export const encodedPath = (path) => path.split('/').map(encodeURIComponent).join('/');
