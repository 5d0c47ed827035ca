// A browser whose pages report everything that must not happen.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const PATHS = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** Returns the path of a Chromium, if there is one. */
export const chromiumPath = () => PATHS.find((path) => path && existsSync(path));

export async function startBrowser() {
  return chromium.launch({ executablePath: chromiumPath(), args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** A visitor: a browser profile of its own. `problems` collects dialogs, errors and CSP violations. */
export async function visitor(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options });
  const problems = [];
  context.on('page', (page) => {
    page.on('dialog', (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on('pageerror', (error) => problems.push(`script error: ${error.message}`));
    page.on('console', (message) => {
      const text = message.text();
      if (/Content Security Policy|Trusted ?Type|TrustedHTML/i.test(text)) problems.push(`policy: ${text} at ${page.url()}`);
    });
  });
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  const page = await context.newPage();
  return { context, page, problems };
}

export async function logIn(page, server, username, password) {
  await page.goto(`${server.url}/login`);
  await page.fill('#username', username);
  await page.fill('#password', password);
  await page.click('form.card button.primary');
  if (new URL(page.url()).pathname === '/login') throw new Error(`${username} could not log in`);
}

/** Returns the accessibility problems of the page. The tool runs in a world of its own. */
export async function accessibility(page) {
  const session = await page.context().newCDPSession(page);
  try {
    await session.send('Page.enable');
    const { frameTree } = await session.send('Page.getFrameTree');
    const { executionContextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id, worldName: 'axe' });
    const run = async (expression) => {
      const { result, exceptionDetails } = await session.send('Runtime.evaluate', { expression, contextId: executionContextId, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    await run(`${axe};0`);
    const found = await run(`axe.run(document, { runOnly: ${JSON.stringify(RULES)} }).then((r) => r.violations.map((v) => v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.target.join(' ')).join(' | ')))`);
    return found;
  } finally {
    await session.detach();
  }
}

/** Returns whether the page can be scrolled sideways, which no page must. */
export const overflow = (page) => page.evaluate(() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return '';
  const wide = [...document.querySelectorAll('body *')].filter((node) => node.getBoundingClientRect().right > width + 1 && !node.closest('.scroll, pre, .tabs, .copy'));
  return `${document.documentElement.scrollWidth} px instead of ${width}: ${wide.slice(0, 3).map((node) => `${node.tagName}.${node.className}`).join(', ')}`;
});

const shots = new URL('../../target/ui/', import.meta.url).pathname;

/** Saves a picture of the page for inspection. */
export async function shot(page, name) {
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}
