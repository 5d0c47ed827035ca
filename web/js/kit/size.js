// Sizes, as the server writes them.

const SIZE_UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/**
 * Returns a size as the server writes it: `812 bytes`, `4.5 KiB`.
 * @param {number} bytes
 */
export function sizeText(bytes) {
  if (bytes < 1024) return `${bytes} ${bytes === 1 ? 'byte' : 'bytes'}`;
  let [size, unit] = [bytes / 1024, 0];
  while (size >= 1024 && unit < SIZE_UNITS.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${size.toFixed(1)} ${SIZE_UNITS[unit]}`;
}
