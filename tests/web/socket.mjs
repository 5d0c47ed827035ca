// A WebSocket client for tests: Node 20 has none. Text messages only.
import net from 'node:net';
import { createHash, randomBytes } from 'node:crypto';

const FRAME = { text: 1, close: 8, ping: 9, pong: 10, more: 0 };

/**
 * Connects to /ws of a port on this host.
 * @param {number} port
 * @param {{ opened: () => void, message: (text: string) => void, closed: () => void }} events
 * @param {number} [lingerMs] a closed socket passes on what still arrives for this time
 */
export function openSocket(port, events, lingerMs = 0) {
  const key = randomBytes(16).toString('base64');
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  const socket = net.connect(port, '127.0.0.1');
  let isOpen = false;
  let bytes = Buffer.alloc(0);
  let text = Buffer.alloc(0);
  socket.on('connect', () => socket.write(`GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`));
  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (!isOpen) {
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = bytes.subarray(0, end).toString();
      if (!head.startsWith('HTTP/1.1 101') || !head.toLowerCase().includes(accept.toLowerCase())) return void socket.destroy();
      bytes = bytes.subarray(end + 4);
      isOpen = true;
      events.opened();
    }
    for (let frame = take(); frame && !socket.destroyed; frame = take()) handle(frame);
  });
  socket.on('error', () => {});
  socket.on('close', () => { isOpen = false; events.closed(); });

  /** Takes one whole frame from the bytes. */
  function take() {
    if (bytes.length < 2) return undefined;
    const [kind, first] = [bytes[0] & 15, bytes[1] & 127];
    const start = first === 126 ? 4 : first === 127 ? 10 : 2;
    if (bytes.length < start) return undefined;
    const length = first === 126 ? bytes.readUInt16BE(2) : first === 127 ? Number(bytes.readBigUInt64BE(2)) : first;
    if (bytes.length < start + length) return undefined;
    const frame = { kind, isLast: (bytes[0] & 128) !== 0, body: bytes.subarray(start, start + length) };
    bytes = bytes.subarray(start + length);
    return frame;
  }

  /** @param {{ kind: number, isLast: boolean, body: Buffer }} frame */
  function handle({ kind, isLast, body }) {
    if (kind === FRAME.ping) return write(FRAME.pong, body);
    if (kind === FRAME.close) return void socket.end();
    if (kind !== FRAME.text && kind !== FRAME.more) return;
    text = Buffer.concat([text, body]);
    if (!isLast) return;
    const whole = text.toString();
    text = Buffer.alloc(0);
    events.message(whole);
  }

  /** @param {number} kind @param {Buffer} body */
  function write(kind, body) {
    if (!isOpen || socket.destroyed) return;
    const mask = randomBytes(4);
    const head = body.length < 126 ? Buffer.from([128 | kind, 128 | body.length]) : Buffer.from([128 | kind, 128 | 126, body.length >> 8, body.length & 255]);
    const masked = Buffer.from(body.map((byte, at) => byte ^ mask[at % 4]));
    socket.write(Buffer.concat([head, mask, masked]));
  }

  function close() {
    socket.removeAllListeners('close');
    if (lingerMs === 0) return void socket.destroy();
    setTimeout(() => socket.destroy(), lingerMs);
  }

  return { send: (/** @type {string} */ message) => write(FRAME.text, Buffer.from(message)), close };
}
