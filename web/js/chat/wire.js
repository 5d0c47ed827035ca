// The connection of the session: opens it, opens it again after a pause, and matches answers with
// requests. It has no DOM and no timers of its own.

/**
 * A connection that is being opened or is open.
 * @typedef {{ send: (text: string) => void, close: () => void }} Transport
 * @typedef {{ opened: () => void, message: (text: string) => void, closed: () => void }} TransportEvents
 */

/**
 * @typedef {object} WireOptions
 * @property {(events: TransportEvents) => Transport} connect
 * @property {() => number} clock milliseconds for durations
 * @property {(ms: number, fn: () => void) => () => void} after returns the function that cancels it
 * @property {() => number} random 0 to 1
 * @property {() => Record<string, any>} hello the first packet
 * @property {(packet: any) => void} received
 * @property {() => void} ended the connection is closed; nothing of it arrives any more
 * @property {(connection: import('./types.js').Connection) => void} show
 */

/** @typedef {{ packet: Record<string, any>, done: (answer: any) => void, failed: (problem: RequestProblem) => void }} Waiting */

const WIRE_WAITING_MAX = 1000;
const WIRE_HELLO_MS = 10_000;
const WIRE_BACKOFF_MAX_S = 60;
/** Codes of refusals that end when the same packet is sent again later. */
export const LATER_CODES = new Set(['rate_limited', 'overloaded', 'read_only', 'internal']);

/** A request without a success. `code` is `offline` when its outcome is unknown. */
export class RequestProblem extends Error {
  /** @param {string} code @param {string} detail @param {number} [retryAfterMs] */
  constructor(code, detail, retryAfterMs) {
    super(detail);
    this.code = code;
    this.detail = detail;
    this.retryAfterMs = retryAfterMs;
  }
}

export const offlineProblem = () => new RequestProblem('offline', 'The connection was lost. Try again when it is back.');

/** @param {WireOptions} options */
export function createWire({ connect, clock, after, random, hello, received, ended, show }) {
  /** @type {Transport | null} */
  let transport = null;
  /** Counts connections: callbacks of earlier ones are ignored. */
  let attempt = 0;
  let isWelcomed = false;
  let isStopped = true;
  let backoff = 1;
  let receivedAt = 0;
  let windowMax = 64;
  let nextId = 1;
  /** @type {string | undefined} */
  let notice;
  /** @type {Map<number, Waiting>} */
  const inFlight = new Map();
  /** @type {Waiting[]} */
  let waiting = [];
  /** Cancel functions of the timers of this connection. @type {Set<() => void>} */
  const timers = new Set();
  /** @type {(() => void) | null} */
  let cancelRetry = null;

  /** @param {number} ms @param {() => void} fn */
  function later(ms, fn) {
    const cancel = after(ms, () => { timers.delete(cancel); fn(); });
    timers.add(cancel);
  }

  /** @param {import('./types.js').Connection} connection */
  const showState = (connection) => show(notice ? { ...connection, notice } : connection);

  function open() {
    cancelRetry?.();
    cancelRetry = null;
    drop();
    isStopped = false;
    attempt += 1;
    const mine = attempt;
    showState({ state: 'connecting' });
    receivedAt = clock();
    later(WIRE_HELLO_MS, () => { if (!isWelcomed) lost({}); });
    transport = connect({
      opened() { if (mine === attempt) write(hello(), { done: () => {}, failed: refused }); },
      message(text) { if (mine === attempt) read(text); },
      closed() { if (mine === attempt) lost({}); },
    });
  }

  /** The first packet was refused. @param {RequestProblem} problem */
  function refused(problem) {
    if (problem.code !== 'offline') lost({ code: problem.code, after_ms: problem.retryAfterMs });
  }

  /** Closes the connection; requests without an answer fail. */
  function drop() {
    for (const cancel of timers) cancel();
    timers.clear();
    const closing = transport;
    transport = null;
    attempt += 1;
    isWelcomed = false;
    closing?.close();
    const failed = [...inFlight.values(), ...waiting];
    inFlight.clear();
    waiting = [];
    for (const request of failed) request.failed(offlineProblem());
    ended();
  }

  /**
   * The connection ended: opens another one after a pause, unless the login ended.
   * @param {{ code?: string, after_ms?: number }} bye
   */
  function lost(bye) {
    drop();
    if (bye.code === 'revoked' || bye.code === 'unauthenticated') return end('logged_out');
    const wait = Math.min(backoff * (1 + random()), WIRE_BACKOFF_MAX_S) * 1000;
    retry(Math.max(wait, bye.after_ms ?? 0));
    backoff = Math.min(backoff * 2, WIRE_BACKOFF_MAX_S);
  }

  /** @param {number} ms */
  function retry(ms) {
    showState({ state: 'waiting', retry_at: clock() + ms });
    cancelRetry = after(ms, () => { cancelRetry = null; open(); });
  }

  /** Ends the session until `start`. @param {'logged_out' | 'replaced' | 'waiting'} state */
  function end(state) {
    cancelRetry?.();
    cancelRetry = null;
    if (transport) drop();
    isStopped = true;
    showState({ state });
  }

  /**
   * Writes a packet with a new request_id.
   * @param {Record<string, any>} packet
   * @param {{ done: (answer: any) => void, failed: (problem: RequestProblem) => void }} to
   */
  function write(packet, to) {
    const id = nextId;
    nextId += 1;
    inFlight.set(id, { packet, ...to });
    // The id comes first: a refusal repeats it only if it is found early.
    transport?.send(JSON.stringify({ request_id: id, ...packet }));
  }

  function pump() {
    // Two places stay free: for the heartbeat and a Resume.
    while (isWelcomed && waiting.length > 0 && inFlight.size < windowMax - 2) {
      const next = waiting.shift();
      if (next) write(next.packet, next);
    }
  }

  /** @param {string} text */
  function read(text) {
    receivedAt = clock();
    /** @type {any} */
    let packet;
    try {
      packet = JSON.parse(text);
    } catch {
      return lost({});
    }
    settle(packet);
    received(packet);
    pump();
  }

  /** Ends the request that a packet answers. @param {any} packet */
  function settle(packet) {
    const found = inFlight.get(packet.request_id);
    if (!found) return;
    inFlight.delete(packet.request_id);
    if (packet.packet_type !== 'Ack' || packet.success) {
      if (found.packet.packet_type === 'SendMessage') setNotice(undefined);
      return found.done(packet);
    }
    const problem = new RequestProblem(packet.code ?? 'bad_request', packet.error ?? 'The server refused the request.', packet.retry_after_ms);
    if (problem.code === 'read_only') setNotice('The disk of the server is full. Reading works; messages are sent later.');
    found.failed(problem);
  }

  /** @param {string | undefined} text */
  function setNotice(text) {
    if (notice === text) return;
    notice = text;
    showState({ state: 'online' });
  }

  /** Reconnects at once. */
  function again() {
    drop();
    open();
  }

  return {
    later, write, lost, end, again,
    /** Writes a packet whose answer needs no handling of its own. @param {Record<string, any>} packet */
    sendOnly(packet) { write(packet, { done: () => {}, failed: () => {} }); },
    /** The server accepted `Hello`. @param {number} [places] packets that may be in flight */
    welcome(places = 64) {
      isWelcomed = true;
      backoff = 1;
      notice = undefined;
      windowMax = Math.max(4, Math.min(places, 64));
      showState({ state: 'online' });
    },
    /**
     * Sends a packet; resolves with its answer.
     * @param {Record<string, any>} packet
     * @returns {Promise<any>}
     */
    request(packet) {
      return new Promise((done, failed) => {
        if (!isWelcomed) return failed(offlineProblem());
        if (waiting.length >= WIRE_WAITING_MAX) return failed(new RequestProblem('overloaded', 'Too many requests are waiting.', 1000));
        waiting.push({ packet, done, failed });
        pump();
      });
    },
    isWelcomed: () => isWelcomed,
    isStopped: () => isStopped,
    receivedAt: () => receivedAt,
    /** Connects, unless the session is connected or connecting. */
    start() {
      if (!isStopped) return;
      backoff = 1;
      open();
    },
    /** Tries at once instead of after the pause. */
    nudge() {
      if (isStopped || isWelcomed) return;
      backoff = 1;
      open();
    },
  };
}
