// Fills a chat with messages of mixed lengths over sessions, many requests at a time. The server
// should run without rate limits (NETBIT_LIMITS__RATES=false).
import assert from 'node:assert/strict';
import { openSocket } from './socket.mjs';
import { randomOf } from './units/fake.mjs';
import { uuid7 } from '../../web/js/kit/uuid7.js';

/** Requests of a session without an answer: fewer than the server reads ahead. */
const IN_FLIGHT = 48;
const WORDS = 'the quick brown fox jumps over a lazy dog and finds that every reader of this chat goes on to its very end'.split(' ');

/**
 * Returns the text of a message: mostly a sentence, sometimes a page, a list or code.
 * @param {number} n
 * @param {() => number} random
 */
export function mixedText(n, random) {
  const words = (/** @type {number} */ count) => Array.from({ length: count }, () => WORDS[Math.floor(random() * WORDS.length)]).join(' ');
  const kind = random();
  if (kind < 0.6) return `message ${n} ${words(2 + random() * 18)}`;
  if (kind < 0.86) return `message ${n} ${words(20 + random() * 60)}`;
  if (kind < 0.9) return `message ${n} **${words(2)}** and \`${words(1)}\`\n- ${words(6)}\n- ${words(9)}\n> ${words(8)}`;
  if (kind < 0.95) return `message ${n}\n\`\`\`rust\n${Array.from({ length: 3 + random() * 12 }, (_, line) => `let line_${line} = "${words(4)}";`).join('\n')}\n\`\`\``;
  return `message ${n} ${Array.from({ length: 4 }, () => words(30 + random() * 60)).join('\n\n')}`;
}

/**
 * Opens a session, and returns it once it is welcomed.
 * @param {number} port
 * @param {string} token
 */
async function openSession(port, token) {
  /** @type {Map<number, (packet: any) => void>} */
  const waiting = new Map();
  let lastId = 1;
  /** @type {(problem: Error) => void} */
  let fail = () => {};
  const over = new Promise((_, failed) => { fail = failed; });
  over.catch(() => {});
  const socket = await new Promise((done) => {
    const opened = openSocket(port, {
      opened: () => opened.send(JSON.stringify({ request_id: 1, packet_type: 'Hello', token, echo: false })),
      message(text) {
        // Events of others are not read: only answers count.
        if (text.startsWith('{"packet_type":"Event"')) return;
        const packet = JSON.parse(text);
        if (packet.packet_type === 'Welcome') return done(opened);
        waiting.get(packet.request_id)?.(packet);
        waiting.delete(packet.request_id);
      },
      closed: () => fail(new Error('the session ended')),
    });
  });
  return {
    close: () => socket.close(),
    /** @param {Record<string, any>} packet @returns {Promise<any>} */
    request(packet) {
      lastId += 1;
      const id = lastId;
      socket.send(JSON.stringify({ request_id: id, ...packet }));
      return Promise.race([new Promise((done) => { waiting.set(id, done); }), over]);
    },
  };
}

/**
 * Writes messages in turn by the users of the tokens; returns the seq of the last one.
 * @param {{ port: number, tokens: string[], chat: number, messages: number, seed?: number }} options
 */
export async function fillChat({ port, tokens, chat, messages, seed = 1 }) {
  const random = randomOf(seed);
  const sessions = [];
  for (const token of tokens) sessions.push(await openSession(port, token));
  let [n, last] = [0, 0];
  const send = async (/** @type {any} */ session) => {
    while (n < messages) {
      n += 1;
      const answer = await session.request({ packet_type: 'SendMessage', chat_id: chat, message: { client_id: uuid7(), content: mixedText(n, random) } });
      assert.ok(answer.success, JSON.stringify(answer));
      last = Math.max(last, answer.seq);
    }
  };
  await Promise.all(sessions.flatMap((session) => Array.from({ length: IN_FLIGHT }, () => send(session))));
  for (const session of sessions) session.close();
  return last;
}
