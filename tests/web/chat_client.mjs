// The session, store, outbox and actions of the browser, in node: for tests with a real server.
import { createStore } from '../../web/js/chat/store.js';
import { createSession } from '../../web/js/chat/session.js';
import { createOutbox } from '../../web/js/chat/outbox.js';
import { createActions } from '../../web/js/chat/actions.js';
import { addActions } from '../../web/js/chat/actions_more.js';
import { createLocal } from '../../web/js/kit/local.js';
import { openSocket } from './socket.mjs';

/** A connection that the client has closed is read for this time (milliseconds): its frames come late. */
const LINGER_MS = 4000;

/** A browser of one user. Its storage survives `reload`. */
export class ChatClient {
  /** @param {{ port: number, token: string, random: () => number }} options `port` of the server or a proxy */
  constructor(options) {
    this.options = options;
    /** @type {Map<string, string>} */
    const values = new Map();
    this.storage = /** @type {Storage} */ (/** @type {unknown} */ ({
      get length() { return values.size; },
      key: (/** @type {number} */ at) => [...values.keys()][at] ?? null,
      getItem: (/** @type {string} */ key) => values.get(key) ?? null,
      setItem: (/** @type {string} */ key, /** @type {string} */ value) => values.set(key, value),
      removeItem: (/** @type {string} */ key) => values.delete(key),
    }));
    /** The chat of each message that was written, by client_id, in order. @type {Map<string, number>} */
    this.written = new Map();
    /** Frames that arrived on connections that were closed before. */
    this.lateFrames = 0;
    this.page = this.load();
  }

  load() {
    const { port, token, random } = this.options;
    const now = () => Date.now();
    const after = (/** @type {number} */ ms, /** @type {() => void} */ fn) => {
      const timer = setTimeout(fn, ms);
      return () => clearTimeout(timer);
    };
    const store = createStore({ now });
    const session = createSession({
      store, now, after, random,
      connect: (events) => {
        let isClosed = false;
        const message = (/** @type {string} */ text) => {
          if (isClosed) this.lateFrames += 1;
          events.message(text);
        };
        const socket = openSocket(port, { ...events, message }, LINGER_MS);
        // A page logs in by its cookie. Here the token of `Hello` takes its place.
        return { close: () => { isClosed = true; socket.close(); }, send: (text) => socket.send(text.includes('"Hello"') ? JSON.stringify({ ...JSON.parse(text), token }) : text) };
      },
      welcomed: (epoch, user) => outbox.open(epoch, user),
    });
    const outbox = createOutbox({ store, local: createLocal('test:', this.storage), now, after, request: session.request, isOnline: session.isOnline });
    const actions = addActions(createActions({ store, session, outbox, now, call: () => Promise.reject(new Error('no HTTP here')) }));
    session.start();
    return { store, session, outbox, actions };
  }

  get store() { return this.page.store; }

  /** Closes the page and opens it again: only what is stored remains. */
  reload() {
    this.page.session.stop();
    this.page = this.load();
  }

  /** @param {number} chat @param {string} text */
  async send(chat, text) {
    this.written.set(await this.page.actions.send(chat, text), chat);
  }

  /** Leaves the page and returns: the old connection is closed, a new one is opened. */
  reconnect() {
    this.page.session.stop();
    this.page.session.start();
  }

  stop() { this.page.session.stop(); }
}

/**
 * Waits until `isTrue` returns true.
 * @param {string} what
 * @param {() => boolean} isTrue
 * @param {number} [seconds]
 */
export async function until(what, isTrue, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  while (!isTrue()) {
    if (Date.now() > end) throw new Error(`after ${seconds} s not yet: ${what}`);
    await new Promise((done) => { setTimeout(done, 50); });
  }
}
