// Makes the pictures of README.md: `node screenshot.mjs --binary PATH`.
import { chromiumPath, logIn, startBrowser, visitor } from './browser.mjs';
import { startServer, workingCopy } from './server.mjs';
import { PASSWORD, api } from './world.mjs';

const at = process.argv.indexOf('--binary');
if (at < 0 || !chromiumPath()) throw new Error('usage: node screenshot.mjs --binary PATH; needs Chromium');
const server = await startServer(process.argv[at + 1]);
const browser = await startBrowser();
await api(server, '', 'POST', '/api/users/register', { username: 'alice', password: PASSWORD, display_name: 'Alice Liddell', setup_code: server.code });
const { token } = await api(server, '', 'POST', '/api/users/login', { username: 'alice', password: PASSWORD });
await api(server, token, 'POST', '/api/projects/create', { name: 'hello', visibility: 'public' });
await api(server, token, 'POST', '/api/projects/alice/hello/repos/create', { name: 'web', description: 'The web site of the tea party' });
const copy = workingCopy(server, 'alice', PASSWORD, 'alice/hello/web');
const steps = [
  ['README.md', '# Tea party\n\nServes tea to **every guest**, at six o\'clock.\n\n```rust\nlet party = Party::at(6).with(Guest::named("Hatter"));\nparty.serve(Tea::Darjeeling)?;\n```\n\nSee [the guests](src/guest.rs).\n', 'Describe the party'],
  ['src/guest.rs', '/// A guest of the party.\npub struct Guest {\n    pub name: String,\n}\n', 'Add guests'],
  ['src/party.rs', 'pub struct Party {\n    hour: u8,\n}\n', 'Start the party at a given hour'],
  ['Cargo.toml', '[package]\nname = "party"\n', 'Name the package'],
  ['docs/menu.md', '# Menu\n\n- Tea\n- Bread and butter\n', 'Write the menu'],
];
for (const [path, content, message] of steps) { copy.write(path, content); copy.commit(message); }
copy.push();
await api(server, '', 'POST', '/api/users/register', { username: 'hatter', password: PASSWORD, display_name: 'The Hatter' });
const hatter = (await api(server, '', 'POST', '/api/users/login', { username: 'hatter', password: PASSWORD })).token;
await api(server, token, 'PUT', '/api/projects/alice/hello/members/hatter', { role: 'writer' });
const { channel_id: channel } = await api(server, token, 'GET', '/api/projects/alice/hello');
const say = (as, chat, content, more = {}) => api(server, as, 'POST', `/api/chats/${chat}/messages`, { client_id: crypto.randomUUID(), content, ...more });
const { id: direct } = await api(server, hatter, 'POST', '/api/chats', { kind: 'direct', participants: ['alice'] });
await api(server, token, 'POST', '/api/chats', { kind: 'group', name: 'tea time', participants: ['hatter'] });
await say(hatter, channel, 'The party starts at six. Who brings the `Darjeeling`?');
const { id: answer } = await say(token, channel, '@hatter I do. The menu is in alice/hello/web, please look at **bread and butter**.');
await say(hatter, channel, 'Done, one guest was missing:\n```rust\nlet guest = Guest::named("March Hare");\n```', { reply_to: answer });
await api(server, hatter, 'PUT', `/api/chats/${channel}/messages/${answer}/reactions/%E2%98%95`);
copy.write('src/guest.rs', steps[1][1] + '\nimpl Guest {\n    pub fn named(name: &str) -> Self {\n        Self { name: name.into() }\n    }\n}\n');
copy.commit('Name the guests');
copy.push();
await say(hatter, direct, 'A word in private?');
copy.remove();
const { page } = await visitor(browser, { viewport: { width: 1120, height: 700 } });
await logIn(page, server, 'alice', PASSWORD);
await page.goto(`${server.url}/alice/hello/web`);
await page.screenshot({ path: new URL('../../docs/images/repository.png', import.meta.url).pathname });
await page.goto(`${server.url}/chat/${channel}`);
await page.waitForSelector('.push-card');
await page.waitForTimeout(500);
await page.screenshot({ path: new URL('../../docs/images/chat.png', import.meta.url).pathname });
await browser.close();
await server.stop();
