// Bytes and requests of a code page have limits; times are reported.
import assert from 'node:assert/strict';
import { visitor } from '../browser.mjs';
import { fill } from '../world.mjs';

const BYTES_COLD_MAX = 40 * 1024;
const REQUESTS_COLD_MAX = 8;
const BYTES_WARM_MAX = 15 * 1024;

async function load(page, url) {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  let [bytes, requests] = [0, 0];
  session.on('Network.loadingFinished', (event) => { bytes += event.encodedDataLength; requests += 1; });
  const begun = performance.now();
  await page.goto(url, { waitUntil: 'load' });
  const ms = performance.now() - begun;
  await page.waitForTimeout(200);
  await session.detach();
  return { bytes, requests, ms: Math.round(ms) };
}

export default async function journey({ server, browser }) {
  await fill(server);
  const { page, context, problems } = await visitor(browser);
  const code = `${server.url}/alice/hello/web/-/blob/main/src/main.rs`;
  const cold = await load(page, code);
  const warm = await load(page, `${server.url}/alice/hello/web/-/tree/main/src`);
  const long = await load(page, `${server.url}/alice/hello/web/-/blob/main/src/long.rs`);
  console.log(`   code page cold ${JSON.stringify(cold)}, next page ${JSON.stringify(warm)}, 10,000 lines ${JSON.stringify(long)}`);
  assert.ok(cold.bytes <= BYTES_COLD_MAX && cold.requests <= REQUESTS_COLD_MAX, `cold: ${JSON.stringify(cold)}`);
  assert.ok(warm.bytes <= BYTES_WARM_MAX, `warm: ${JSON.stringify(warm)}`);
  assert.deepEqual(problems, []);
  await context.close();
}
