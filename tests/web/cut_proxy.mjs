// A TCP proxy with the faults of a bad network. It cuts, delays and stalls connections, keeps them
// half open, and can be a line with a round-trip time and a rate. A seed gives the same decisions
// again.
//
// A half-open connection has ended for the client only: the server keeps it, and receives the rest
// of its bytes later, in parallel with the next connection of the client.
import net from 'node:net';

/** A half-open connection ends after this time at most (milliseconds). */
const LATE_MS_MAX = 3000;
/** Bytes that cross a line of limited rate at once. */
const SEGMENT_BYTES = 4096;

/** @typedef {{ rttMs: number, bytesPerSecond: number }} Line */

/**
 * Sends chunks in their order, each at its time.
 * @param {(chunk: Buffer) => void} send
 */
function createLane(send) {
  /** @type {{ at: number, chunk: Buffer }[]} */
  const waiting = [];
  let last = 0;
  let isFrozen = false;
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  /** @type {(() => void)[]} */
  let whenEmpty = [];

  function pump() {
    timer = undefined;
    while (!isFrozen && waiting.length > 0 && waiting[0].at <= performance.now()) send(/** @type {any} */ (waiting.shift()).chunk);
    if (isFrozen) return;
    if (waiting.length > 0) timer = setTimeout(pump, Math.max(1, waiting[0].at - performance.now()));
    else for (const fn of whenEmpty.splice(0)) fn();
  }

  return {
    /** @param {Buffer} chunk @param {number} at */
    push(chunk, at) {
      last = Math.max(last, at);
      waiting.push({ at: last, chunk });
      if (timer === undefined) pump();
    },
    /** Sends nothing before a time. @param {number} at */
    delay(at) { last = Math.max(last, at); for (const entry of waiting) entry.at = Math.max(entry.at, at); },
    freeze() { isFrozen = true; },
    thaw() { isFrozen = false; if (timer === undefined) pump(); },
    /** Calls the function when everything was sent. @param {() => void} fn */
    drained(fn) { if (waiting.length === 0 && !isFrozen) fn(); else whenEmpty.push(fn); },
    bytes: () => waiting.reduce((sum, { chunk }) => sum + chunk.length, 0),
  };
}

/**
 * Starts the proxy. `faults.isOn` switches random faults; `hold` keeps what the server sends.
 * @param {number} port of the server, on this host
 * @param {() => number} random
 * @param {Line} [line] the way between the client and the server; both directions have its rate
 */
export async function startProxy(port, random, line = { rttMs: 0, bytesPerSecond: Infinity }) {
  const faults = { isOn: false, isHeld: false, cuts: 0, stalls: 0, halfOpen: 0, lateBytes: 0 };
  /** @type {Set<ReturnType<typeof pairOf>>} */
  const pairs = new Set();
  /** When the line is free again, by direction. */
  const free = { up: 0, down: 0 };

  /** Returns when a chunk arrives. @param {number} bytes @param {'up' | 'down'} way */
  function arrival(bytes, way) {
    free[way] = Math.max(free[way], performance.now()) + bytes / line.bytesPerSecond * 1000;
    return free[way] + line.rttMs / 2;
  }

  /** @param {net.Socket} client */
  function pairOf(client) {
    const upstream = net.connect(port, '127.0.0.1');
    client.setNoDelay(true);
    upstream.setNoDelay(true);
    /** @type {Buffer[]} */
    let held = [];
    let stalledUntil = 0;
    /** Whether the client has ended the connection, and whether the server still receives the rest. */
    let [isOver, isLate, isFrozen] = [false, false, false];
    const up = createLane((chunk) => {
      if (isLate) faults.lateBytes += chunk.length;
      else if (isCutBy(upstream, chunk)) return;
      if (!upstream.destroyed) upstream.write(chunk);
    });
    const down = createLane((chunk) => {
      if (faults.isHeld) held.push(chunk);
      else if (!client.destroyed && !isCutBy(client, chunk)) client.write(chunk);
    });
    // The handshake of TCP takes a round trip.
    up.delay(performance.now() + line.rttMs);

    /** A part of a frame arrives, then the connection ends. @param {net.Socket} to @param {Buffer} chunk */
    function isCutBy(to, chunk) {
      if (!faults.isOn || random() >= 0.002) return false;
      to.write(chunk.subarray(0, Math.floor(chunk.length / 2)));
      pair.cut();
      return true;
    }

    /** The client has ended the connection: the server receives the rest late, or nothing more. */
    function leave() {
      client.destroy();
      if (isOver) return;
      isOver = true;
      if (isFrozen) return;
      if (!faults.isOn || random() < 0.5) return void upstream.destroy();
      isLate = true;
      faults.halfOpen += 1;
      const wait = random() * LATE_MS_MAX;
      up.delay(performance.now() + wait);
      setTimeout(() => up.drained(() => upstream.end()), wait);
    }

    /** @param {Buffer} chunk @param {'up' | 'down'} way */
    function forward(chunk, way) {
      const now = performance.now();
      if (faults.isOn && random() < 0.004) { stalledUntil = now + random() * 3000; faults.stalls += 1; }
      const fault = faults.isOn ? Math.max(now + random() * 40, stalledUntil) : 0;
      const size = line.bytesPerSecond < Infinity ? SEGMENT_BYTES : chunk.length;
      for (let at = 0; at < chunk.length; at += size) {
        const part = chunk.subarray(at, at + size);
        (way === 'up' ? up : down).push(part, Math.max(fault, arrival(part.length, way)));
      }
    }

    client.on('data', (chunk) => forward(chunk, 'up'));
    upstream.on('data', (chunk) => forward(chunk, 'down'));
    client.on('error', leave);
    client.on('close', leave);
    upstream.on('error', () => client.destroy());
    // The last bytes of the server arrive before its end.
    upstream.on('end', () => down.drained(() => client.end()));
    upstream.on('close', () => { down.drained(() => client.destroy()); pairs.delete(pair); });
    const pair = {
      cut() { faults.cuts += 1; leave(); },
      end() { client.destroy(); upstream.destroy(); },
      flush() {
        const waiting = held;
        held = [];
        for (const chunk of waiting) if (!client.destroyed) client.write(chunk);
      },
      /** Delivers nothing in either direction until `thaw`, also when the client has ended. */
      freeze() { isFrozen = true; up.freeze(); down.freeze(); },
      thaw() {
        isFrozen = false;
        faults.lateBytes += up.bytes();
        up.thaw();
        down.thaw();
        if (isOver) up.drained(() => upstream.end());
      },
    };
    return pair;
  }

  const server = net.createServer((client) => { pairs.add(pairOf(client)); });
  await new Promise((done) => { server.listen(0, '127.0.0.1', () => done(undefined)); });
  const cutter = setInterval(() => {
    if (!faults.isOn || random() > 0.25) return;
    for (const pair of pairs) if (random() < 0.5) pair.cut();
  }, 500);
  return {
    port: /** @type {net.AddressInfo} */ (server.address()).port,
    faults,
    /** Keeps everything that the server sends, until `release`. */
    hold() { faults.isHeld = true; },
    release() { faults.isHeld = false; for (const pair of pairs) pair.flush(); },
    /**
     * The connections that are open now become silent, and stay open. Returns the function that
     * delivers what they hold: to the server, and to clients that still read them.
     */
    freeze() {
      const frozen = [...pairs];
      for (const pair of frozen) pair.freeze();
      return () => { for (const pair of frozen) pair.thaw(); };
    },
    cutAll() { for (const pair of [...pairs]) pair.cut(); },
    stop() {
      clearInterval(cutter);
      for (const pair of [...pairs]) pair.end();
      server.close();
    },
  };
}
