// Makes the picture of README.md: `node screenshot.mjs --binary PATH`.
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
copy.remove();
const { page } = await visitor(browser, { viewport: { width: 1120, height: 700 } });
await logIn(page, server, 'alice', PASSWORD);
await page.goto(`${server.url}/alice/hello/web`);
await page.screenshot({ path: new URL('../../docs/images/repository.png', import.meta.url).pathname });
await browser.close();
await server.stop();
