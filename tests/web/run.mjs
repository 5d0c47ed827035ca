// Runs the journeys: `node run.mjs [--binary PATH] [NAME…]`. Times are reported, never checked.
import { readdirSync } from 'node:fs';
import assert from 'node:assert/strict';
import { chromiumPath, startBrowser } from './browser.mjs';
import { startServer } from './server.mjs';

const args = process.argv.slice(2);
const at = args.indexOf('--binary');
const binary = at < 0 ? new URL('../../target/release/netbit', import.meta.url).pathname : args.splice(at, 2)[1];
if (!chromiumPath()) {
  console.log('SKIPPED: no Chromium; install it (Debian: apt install chromium) or set CHROMIUM to its path');
  process.exit(0);
}
const all = readdirSync(new URL('journeys/', import.meta.url)).filter((name) => name.endsWith('.mjs')).sort();
const chosen = all.filter((name) => args.length === 0 || args.some((arg) => name.includes(arg)));
assert.ok(chosen.length > 0, `no journey matches ${args}; there are ${all}`);
const browser = await startBrowser();
/** Name and first line of each failure: the beginning of a long log may be cut. @type {string[]} */
const failures = [];
for (const name of chosen) {
  const begun = performance.now();
  // A journey may name settings of its server.
  const { default: journey, environment = {} } = await import(`./journeys/${name}`);
  const server = await startServer(binary, environment);
  try {
    await journey({ server, browser });
    assert.deepEqual(await server.stop(), [], 'the server panicked');
    console.log(`ok ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
  } catch (error) {
    const report = `FAILED ${name}: ${error.stack ?? error}`;
    failures.push(report.split('\n', 1)[0]);
    console.log(report);
    await server.stop().catch(() => []);
  }
}
await browser.close();
for (const failure of failures) console.log(failure);
console.log(`${chosen.length - failures.length} passed, ${failures.length} failed`);
process.exit(failures.length ? 1 : 0);
