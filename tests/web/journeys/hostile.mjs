// Hostile texts in every place that users can fill: no dialog, no violation, no foreign element.
import assert from 'node:assert/strict';
import { logIn, visitor } from '../browser.mjs';
import { HOSTILE, PASSWORD, fill } from '../world.mjs';

export default async function journey({ server, browser }) {
  await fill(server);
  const { page, problems, context } = await visitor(browser);
  await logIn(page, server, 'alice', PASSWORD);
  const requests = [];
  page.on('request', (request) => { if (!request.url().startsWith(server.url) && !request.url().startsWith('blob:')) requests.push(request.url()); });
  for (const text of HOSTILE) {
    await page.goto(`${server.url}/settings/profile`);
    await page.fill('#display_name', text.slice(0, 60));
    await page.click('main button.primary');
  }
  const repository = '/alice/hello/web';
  const file = encodeURIComponent('<img src=x onerror=alert(30)>.md');
  const paths = ['/', '/projects', '/alice/hello', '/alice/secret', '/alice/hello/-/members', '/people/bob', '/people/alice', repository, `${repository}/-/commits/main`,
    `${repository}/-/branches`, `${repository}/-/tags`, `${repository}/-/blob/main/README.md`, `${repository}/-/blob/main/README.md?plain=1`, `${repository}/-/blob/main/${file}`,
    `${repository}/-/blob/main/src/hidden.c`, `${repository}/-/blame/main/src/main.rs`, `${repository}/-/compare/feature/with-slash...main`, '/admin/users', '/admin/audit',
    `/login?next=${encodeURIComponent('javascript:alert(40)')}`, `/people?q=${encodeURIComponent(HOSTILE[1])}`, `${repository}/-/find/main?q=${encodeURIComponent(HOSTILE[1])}`];
  const foreign = [];
  for (const path of paths) {
    const response = await page.goto(server.url + path);
    assert.equal(response?.status(), 200, path);
    const found = await page.evaluate(() => [...document.querySelectorAll('*')].flatMap((node) => [
      ...[...node.attributes].filter((attribute) => attribute.name.startsWith('on') || attribute.name === 'style' || attribute.name === 'srcdoc').map((attribute) => `${node.tagName} ${attribute.name}`),
      ...(/^\s*(javascript|data|vbscript):/i.test(node.getAttribute('href') ?? node.getAttribute('src') ?? node.getAttribute('action') ?? '') ? [`${node.tagName} address`] : []),
      ...(['IFRAME', 'OBJECT', 'EMBED', 'BASE', 'MATH', 'STYLE'].includes(node.tagName) ? [node.tagName] : []),
    ]));
    foreign.push(...found.map((what) => `${path}: ${what}`));
  }
  // A drawing with a script, opened by itself, runs nothing.
  const drawing = await page.goto(`${server.url}${repository}/-/image/main/pictures/drawing.svg`);
  assert.deepEqual([drawing?.status(), drawing?.headers()['content-type']], [200, 'image/svg+xml']);
  await page.goto(`${server.url}/login?next=${encodeURIComponent('//evil.example/')}`);
  assert.equal(new URL(page.url()).host, new URL(server.url).host);
  const allowed = problems.filter((problem) => !(problem.startsWith('policy:') && problem.includes('drawing.svg')));
  assert.deepEqual({ foreign, requests, allowed }, { foreign: [], requests: [], allowed: [] });
  await context.close();
}
