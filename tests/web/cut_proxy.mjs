// A TCP proxy that cuts, delays and stalls connections. A seed gives the same decisions again.
import net from 'node:net';

/**
 * Starts the proxy. `faults.isOn` switches random faults; `hold` keeps what the server sends.
 * @param {number} port of the server, on this host
 * @param {() => number} random
 */
export async function startProxy(port, random) {
  const faults = { isOn: false, isHeld: false, cuts: 0, stalls: 0 };
  /** @type {Set<{ cut: () => void, flush: () => void }>} */
  const pairs = new Set();

  const server = net.createServer((client) => {
    const upstream = net.connect(port, '127.0.0.1');
    /** @type {Buffer[]} */
    let held = [];
    let stalledUntil = 0;
    const pair = {
      cut() {
        faults.cuts += 1;
        client.destroy();
        upstream.destroy();
      },
      flush() {
        const waiting = held;
        held = [];
        for (const chunk of waiting) if (!client.destroyed) client.write(chunk);
      },
    };
    pairs.add(pair);
    // Bytes stay in order: each chunk waits for the chunk before it.
    const lane = (/** @type {net.Socket} */ to, /** @type {boolean} */ isDown) => {
      let free = 0;
      return (/** @type {Buffer} */ chunk) => {
        const now = Date.now();
        if (faults.isOn && random() < 0.004) { stalledUntil = now + random() * 3000; faults.stalls += 1; }
        const delay = faults.isOn ? random() * 40 : 0;
        free = Math.max(free, now + delay, faults.isOn ? stalledUntil : 0);
        const write = () => {
          if (to.destroyed) return;
          if (isDown && faults.isHeld) held.push(chunk);
          // A part of a frame arrives, then the connection ends.
          else if (faults.isOn && random() < 0.002) { to.write(chunk.subarray(0, Math.floor(chunk.length / 2))); pair.cut(); }
          else to.write(chunk);
        };
        if (free > now) setTimeout(write, free - now);
        else write();
      };
    };
    client.on('data', lane(upstream, false));
    upstream.on('data', lane(client, true));
    for (const [one, other] of [[client, upstream], [upstream, client]]) {
      one.on('error', () => other.destroy());
      one.on('close', () => { other.destroy(); pairs.delete(pair); });
      one.on('end', () => other.end());
    }
  });
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
    cutAll() { for (const pair of [...pairs]) pair.cut(); },
    stop() {
      clearInterval(cutter);
      for (const pair of [...pairs]) pair.cut();
      server.close();
    },
  };
}
