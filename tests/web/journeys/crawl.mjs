// Follows every link of every kind of page, as an administrator, a reader and an anonymous visitor.
// Each page is loaded without errors, is accessible, and fits a phone. Pictures are for people.
import assert from 'node:assert/strict';
import { accessibility, logIn, overflow, shot, visitor } from '../browser.mjs';
import { PASSWORD, fill } from '../world.mjs';

const PAGES_MAX = 220;
/** Kinds of pages that every walk reaches. */
const KINDS_OF_ALL = ['place 2?', 'place 3?', 'repository/tree?', 'repository/blob?', 'repository/blame?', 'repository/commit?', 'repository/commits?', 'repository/branches?', 'repository/tags?', 'repository/find?'];
const KINDS_OF_ADMIN = ['search/1?', 'settings/logins?', 'settings/tokens?', 'admin/users?', 'admin/audit?', 'admin/health?', 'project/settings?', 'project/members?'];
/** Pages of one kind that are visited. */
const KIND_MAX = 3;

/** The kind of a page: its path without names and ids. */
function kind(url) {
  const parts = url.pathname.split('/').filter(Boolean);
  const at = parts.indexOf('-');
  const query = [...url.searchParams.keys()].sort().join('&');
  if (at >= 0) return `${at === 3 ? 'repository' : 'project'}/${parts[at + 1] ?? ''}?${query}`;
  const first = parts[0] ?? '';
  if (['settings', 'admin'].includes(first)) return `${parts.slice(0, 2).join('/')}?${query}`;
  if (['people', 'projects', 'search', 'login', 'register', 'setup', 'about'].includes(first)) return `${first}/${parts.length}?${query}`;
  return `place ${parts.length}?${query}`;
}

const isFile = (url) => /^\/(docs|api|assets)(\/|$)|^\/admin\/audit\.csv$|\/-\/(raw|archive|image)\//.test(url.pathname);

async function crawl(server, browser, name, login) {
  const { context, page, problems } = await visitor(browser);
  if (login) await logIn(page, server, login, PASSWORD);
  const [queue, seen, kinds, found] = [[`${server.url}/`], new Set(), new Map(), []];
  while (queue.length > 0 && seen.size < PAGES_MAX) {
    const href = queue.shift();
    const url = new URL(href);
    url.hash = '';
    const count = kinds.get(kind(url)) ?? 0;
    if (seen.has(url.href) || count >= KIND_MAX) continue;
    seen.add(url.href);
    kinds.set(kind(url), count + 1);
    if (isFile(url)) {
      const answer = await context.request.head(url.href);
      if (answer.status() >= 400) found.push(`${url.pathname}: ${answer.status()}`);
      continue;
    }
    const response = await page.goto(url.href);
    // The inbox draws its heading when its part of the program is there.
    if (url.pathname === '/inbox') await page.waitForSelector('h1:visible');
    if (!response || response.status() >= 400) { found.push(`${url.pathname}${url.search}: ${response?.status()}`); continue; }
    const facts = await page.evaluate(() => ({
      links: [...document.querySelectorAll('a[href]')].map((link) => /** @type {HTMLAnchorElement} */ (link).href),
      headings: [...document.querySelectorAll('h1')].filter((heading) => heading.checkVisibility()).length,
      inline: document.querySelectorAll('[style], script:not([src]):not([type="application/json"]), style').length,
      forms: [...document.querySelectorAll('form')].map((form) => `${form.method} ${new URL(form.action).origin}`),
      language: document.documentElement.lang,
    }));
    const expect = (holds, what) => { if (!holds) found.push(`${url.pathname}${url.search}: ${what}`); };
    expect(facts.headings === 1, `${facts.headings} h1`);
    expect(facts.inline === 0, `${facts.inline} inline styles or scripts`);
    expect(facts.language === 'en', 'no language');
    expect(facts.forms.every((form) => form.endsWith(server.url)), `form elsewhere: ${facts.forms}`);
    if (count === 0) {
      for (const violation of await accessibility(page)) found.push(`${url.pathname}${url.search}: ${violation}`);
      await page.setViewportSize({ width: 360, height: 700 });
      const wide = await overflow(page);
      if (wide) found.push(`${url.pathname}${url.search} at 360: ${wide}`);
      for (const [width, scheme] of [[360, 'light'], [768, 'light'], [1280, 'light'], [1280, 'dark']]) {
        await page.setViewportSize({ width, height: 800 });
        await page.emulateMedia({ colorScheme: scheme });
        await shot(page, `${name}-${kind(url).replaceAll(/[^a-z0-9]+/gi, '-')}-${width}-${scheme}`);
        if (scheme === 'dark') {
          for (const violation of await accessibility(page)) found.push(`${url.pathname}${url.search} dark: ${violation}`);
        }
      }
      await page.emulateMedia({ colorScheme: 'light' });
    }
    for (const link of facts.links) if (link.startsWith(`${server.url}/`)) queue.push(link);
  }
  for (const wanted of KINDS_OF_ALL.concat(name === 'admin' ? KINDS_OF_ADMIN : [])) {
    if (!kinds.has(wanted)) found.push(`no page of the kind ${wanted}`);
  }
  await context.close();
  console.log(`   ${name}: ${seen.size} pages of ${kinds.size} kinds`);
  return [...found, ...problems].map((problem) => `${name}: ${problem}`);
}

export default async function journey({ server, browser }) {
  await fill(server);
  const found = [];
  for (const [name, login] of [['admin', 'alice'], ['reader', 'carol'], ['anonymous', '']]) {
    found.push(...await crawl(server, browser, name, login));
  }
  assert.deepEqual(found, [], found.join('\n'));
}
