// Requests to the HTTP API: the server is the test.
import test from 'node:test';
import assert from 'node:assert/strict';
import { API_BYTES_MAX, api } from '../../../web/js/kit/api.js';

/** @param {() => Response} answer */
function serverOf(answer) {
  globalThis.fetch = async () => answer();
}

test('answer_is_read_whatever_its_pieces_are', async () => {
  const bytes = new TextEncoder().encode('{"name":"später"}');
  serverOf(() => new Response(new ReadableStream({
    start(control) {
      for (const byte of bytes) control.enqueue(Uint8Array.of(byte));
      control.close();
    },
  })));
  assert.deepEqual(await api('GET', '/api/x'), { name: 'später' });
  serverOf(() => new Response(null, { status: 204 }));
  assert.equal(await api('DELETE', '/api/x'), null);
  serverOf(() => new Response('{"code":"forbidden","detail":"no"}', { status: 403 }));
  await assert.rejects(api('GET', '/api/x'), { status: 403, code: 'forbidden', detail: 'no' });
});

test('answer_without_end_is_cancelled_at_its_limit', async () => {
  let [sent, isCancelled] = [0, false];
  serverOf(() => new Response(new ReadableStream({
    pull(control) {
      sent += 65_536;
      control.enqueue(new Uint8Array(65_536).fill(32));
    },
    cancel() { isCancelled = true; },
  })));
  await assert.rejects(api('GET', '/api/x'), { code: 'internal' });
  assert.ok(isCancelled && sent <= API_BYTES_MAX + 3 * 65_536);
});
