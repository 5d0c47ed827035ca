// UUIDs of version 7: in the order of their creation, so that the server's index grows at its end.
// `crypto.randomUUID` does not exist on http://host.lan.

let uuidMs = 0;
let uuidCount = 0;

/**
 * Returns a new UUID. Later ones of one page are larger.
 * @param {number} [nowMs]
 */
export function uuid7(nowMs = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  if (nowMs > uuidMs) {
    uuidMs = nowMs;
    uuidCount = (((bytes[6] ?? 0) & 0x7) << 8) | (bytes[7] ?? 0);
  } else {
    uuidCount += 1;
    if (uuidCount > 0xfff) { uuidMs += 1; uuidCount = 0; }
  }
  const high = Math.floor(uuidMs / 0x10000);
  const parts = [high >>> 24, high >>> 16, high >>> 8, high, uuidMs >>> 8, uuidMs, 0x70 | (uuidCount >>> 8), uuidCount];
  parts.forEach((part, at) => { bytes[at] = part & 0xff; });
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
