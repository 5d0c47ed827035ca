// A user at home: profile, appearance, an access token, logins, a new password; then a project with
// members, and the administration. Each page is checked for accessibility and sideways scrolling.
import assert from 'node:assert/strict';
import { accessibility, logIn, overflow, shot, visitor } from '../browser.mjs';

const PASSWORD = 'a correct horse';
const NEW_PASSWORD = 'another long password';

/** Problems of all pages, so that one run names them all. */
const found = [];

/** Checks the page that is open, and saves a picture. */
async function look(page, name) {
  for (const problem of await accessibility(page)) found.push(`${name}: ${problem}`);
  const wide = await overflow(page);
  if (wide) found.push(`${name}: scrolls sideways: ${wide}`);
  await shot(page, name);
}

const path = (page) => new URL(page.url()).pathname;
const text = (page) => page.textContent('main');
const press = (page, name) => page.getByRole('main').getByRole('button', { name, exact: true }).click();

export default async function settings({ server, browser }) {
  const { page, problems, context } = await visitor(browser);
  const open = (address) => page.goto(server.url + address);
  await page.goto(`${server.url}/setup#code=${server.code}`);
  await page.fill('#username', 'alice');
  await page.fill('#password', PASSWORD);
  await page.click('main button.primary');
  await look(page, 'settings-01-new-project');

  await open('/settings/profile');
  await page.fill('#display_name', 'Alice Liddell');
  await page.fill('#email', 'alice@example.org');
  await press(page, 'Save');
  assert.match(await text(page), /Your changes are saved/);
  assert.equal(await page.textContent('header .avatar'), 'AL');
  await look(page, 'settings-02-profile');

  await open('/settings/appearance');
  await page.check('#dark');
  await press(page, 'Save');
  assert.equal(await page.getAttribute('html', 'class'), 'dark');
  await look(page, 'settings-03-appearance-dark');
  await page.check('#system');
  await press(page, 'Save');
  assert.equal(await page.getAttribute('html', 'class'), null);

  await open('/settings/tokens');
  await look(page, 'settings-04-no-tokens');
  await page.click('main >> text=New access token');
  await page.fill('#name', 'laptop');
  await page.uncheck('[name="repo:read"]');
  await page.uncheck('[name="repo:write"]');
  await press(page, 'Create token');
  assert.match(await text(page), /The token must name at least one scope/);
  assert.equal(await page.inputValue('#name'), 'laptop');
  await look(page, 'settings-05-token-without-scope');
  await page.check('[name="repo:write"]');
  await press(page, 'Create token');
  const secret = await page.textContent('#token');
  assert.match(await page.textContent('#clone'), new RegExp(`^git clone http://alice:${secret}@`));
  await look(page, 'settings-06-token');
  await page.click('main >> text=I have copied it');
  assert.ok(!(await page.content()).includes(secret));
  await look(page, 'settings-07-tokens');
  await press(page, 'Revoke laptop');
  assert.match(await text(page), /You have no access tokens/);

  const other = await visitor(browser);
  await logIn(other.page, server, 'alice', PASSWORD);
  await open('/settings/logins');
  assert.equal(await page.locator('main .rows > li').count(), 2);
  await look(page, 'settings-08-logins');
  await press(page, 'End all others');
  assert.equal(await page.locator('main .rows > li').count(), 1);
  await other.page.goto(`${server.url}/settings/profile`);
  assert.equal(path(other.page), '/login');
  await logIn(other.page, server, 'alice', PASSWORD);

  await open('/settings/password');
  await page.fill('#current_password', PASSWORD);
  await page.fill('#new_password', NEW_PASSWORD);
  await look(page, 'settings-09-password');
  await press(page, 'Change password');
  assert.match(await text(page), /Your password is changed/);
  await other.page.goto(`${server.url}/settings/profile`);
  assert.equal(path(other.page), '/login', 'the other login has ended');
  await other.context.close();

  const bob = await visitor(browser);
  await bob.page.goto(`${server.url}/register`);
  await bob.page.fill('#username', 'bob');
  await bob.page.fill('#password', PASSWORD);
  await bob.page.click('main button.primary');
  await look(bob.page, 'settings-10-start-without-projects');

  await open('/projects/new');
  await page.fill('#name', 'hello');
  await page.fill('#description', 'Says hello.');
  await page.click('main button.primary');
  await look(page, 'settings-11-empty-project');
  await page.click('main >> text=New repository');
  await page.fill('#name', 'web');
  await page.click('main button.primary');
  await open('/alice/hello');
  await look(page, 'settings-12-project');
  await page.click('main >> text=Members (1)');
  await page.fill('#username', 'bob');
  await page.selectOption('#role', 'reader');
  await press(page, 'Add member');
  await look(page, 'settings-13-members');
  await bob.page.goto(`${server.url}/alice/hello`);
  assert.match(await text(bob.page), /your role: reader/);
  await page.selectOption('#role-2', 'writer');
  await press(page, 'Set the role of bob');
  await bob.page.reload();
  assert.match(await text(bob.page), /your role: writer/);

  await page.click('main >> text=Settings');
  await page.fill('#pattern', 'main');
  await press(page, 'Add rule');
  assert.match(await text(page), /maintainer and above/);
  await page.fill('#confirm_public', 'wrong');
  await press(page, 'Make public');
  assert.match(await text(page), /The typed name must be exactly hello/);
  await look(page, 'settings-14-project-settings');
  await page.fill('#confirm_public', 'hello');
  await press(page, 'Make public');
  const stranger = await visitor(browser);
  await stranger.page.goto(server.url);
  assert.match(await text(stranger.page), /alice\/hello/);
  await look(stranger.page, 'settings-15-start-of-a-stranger');
  await stranger.context.close();
  await open('/alice/hello/web/-/settings');
  await look(page, 'settings-16-repository-settings');

  for (const [name, address] of [['start', '/'], ['projects', '/projects'], ['people', '/people'], ['person', '/people/bob'],
    ['users', '/admin/users'], ['user', '/admin/users/bob'], ['audit', '/admin/audit'], ['health', '/admin/health'], ['about', '/about']]) {
    await open(address);
    await look(page, `settings-17-${name}`);
  }
  // The page of the server's state measures again by itself, until that is switched off.
  await open('/admin/health');
  const uptime = () => page.textContent('[data-value="uptime"]');
  const before = await uptime();
  await page.waitForFunction((shown) => document.querySelector('[data-value="uptime"]')?.textContent !== shown, before, { timeout: 10_000 });
  assert.match(await uptime() ?? '', /^\d+ (s|min)/);
  await page.uncheck('[data-measure] input');
  await open('/admin/users/bob');
  await page.fill('#confirm_name', 'bob');
  await press(page, 'Deactivate');
  assert.match(await text(page), /Reactivate bob/);
  await bob.page.goto(`${server.url}/settings/profile`);
  assert.equal(path(bob.page), '/login');
  await bob.context.close();

  const phone = await visitor(browser, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: 'dark' });
  await logIn(phone.page, server, 'alice', NEW_PASSWORD);
  for (const [name, address] of [['start', '/'], ['project', '/alice/hello'], ['members', '/alice/hello/-/members'], ['project-settings', '/alice/hello/-/settings'],
    ['profile', '/settings/profile'], ['logins', '/settings/logins'], ['token', '/settings/tokens/new'], ['people', '/people'], ['person', '/people/alice'],
    ['users', '/admin/users'], ['audit', '/admin/audit'], ['health', '/admin/health'], ['about', '/about']]) {
    await phone.page.goto(server.url + address);
    await look(phone.page, `settings-18-phone-${name}`);
  }
  assert.deepEqual([...problems, ...bob.problems, ...phone.problems], []);
  await phone.context.close();

  const plain = await visitor(browser, { javaScriptEnabled: false });
  await logIn(plain.page, server, 'alice', NEW_PASSWORD);
  await plain.page.goto(`${server.url}/projects`);
  await plain.page.click('main >> text=New project');
  await plain.page.fill('#name', 'without-scripts');
  await plain.page.click('main button.primary');
  assert.equal(path(plain.page), '/alice/without-scripts');
  await plain.page.click('main button:text-is("Stop watching")');
  assert.equal(await plain.page.textContent('main .head button'), 'Watch');
  await plain.context.close();
  assert.deepEqual(found, []);
  await context.close();
}
