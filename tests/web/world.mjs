// A server with everything that pages show: people, projects, repositories with odd contents.
import assert from 'node:assert/strict';
import { deflateSync } from 'node:zlib';
import { workingCopy } from './server.mjs';

export const PASSWORD = 'a correct horse';

/** Texts that become scripts, links or frames where they are not escaped. */
export const HOSTILE = [
  '<script>alert(1)</script>', '"><img src=x onerror=alert(2)>', "'-alert(3)-'", '<svg onload=alert(4)>', 'javascript:alert(5)',
  '{{7*7}}${7*7}<%= 7*7 %>', '</textarea><script>alert(6)</script>', '<a href="javascript:alert(7)">x</a>', '&lt;script&gt;alert(8)&lt;/script&gt;',
  '<iframe srcdoc="<script>alert(9)</script>">', '<math><mtext><table><mglyph><style><img src=x onerror=alert(10)>', '\u202Etxt.exe', 'a\u200Bb\u00ADc',
  '<base href="https://evil.example/">', '<form action="https://evil.example"><input name=q>', '<style>*{display:none}</style>', '<meta http-equiv=refresh content="0;url=https://evil.example">',
  '<object data="data:text/html,<script>alert(11)</script>">', '[x](javascript:alert(12))', '![x](x" onerror="alert(13))', '<details open ontoggle=alert(14)>', '<input autofocus onfocus=alert(15)>',
];

/** Returns a small PNG. */
function png() {
  const crc = (bytes) => {
    let c = ~0;
    for (const byte of bytes) { c ^= byte; for (let k = 0; k < 8; k += 1) c = (c >>> 1) ^ (0xedb88320 & -(c & 1)); }
    return ~c >>> 0;
  };
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0); body.copy(out, 4); out.writeUInt32BE(crc(body), body.length + 4);
    return out;
  };
  const head = Buffer.from([0, 0, 0, 32, 0, 0, 0, 32, 8, 2, 0, 0, 0]);
  const rows = Buffer.alloc(32 * 97, 120);
  for (let row = 0; row < 32; row += 1) rows[row * 97] = 0;
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

/** Sends a request with JSON, again after `Retry-After` when a rate is exceeded; fails unless the status is below 400. */
export async function api(server, token, method, path, body) {
  const send = () => fetch(server.url + path, {
    // A push blocks this process, and the server ends connections that were idle meanwhile.
    method, headers: { 'content-type': 'application/json', connection: 'close', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  let response = await send();
  for (let tries = 0; response.status === 429 && tries < 20; tries += 1) {
    await response.text();
    await new Promise((done) => { setTimeout(done, Number(response.headers.get('retry-after') ?? 1) * 1000); });
    response = await send();
  }
  const text = await response.text();
  assert.ok(response.status < 400, `${method} ${path}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

async function account(server, username, more = {}) {
  await api(server, '', 'POST', '/api/users/register', { username, password: PASSWORD, ...more });
  return (await api(server, '', 'POST', '/api/users/login', { username, password: PASSWORD })).token;
}

/** Fills the server. alice administers; bob writes, carol reads, mallory sees public things only. */
export async function fill(server) {
  const alice = await account(server, 'alice', { setup_code: server.code, display_name: 'Alice Liddell' });
  const bob = await account(server, 'bob', { display_name: HOSTILE[1] });
  await account(server, 'carol');
  await account(server, 'mallory');
  await account(server, `z${'o'.repeat(37)}e`, { display_name: 'A user whose display name is as long as the server lets it be ok' });
  for (const [name, visibility, description] of [['hello', 'public', 'A public project with code'], ['secret', 'private', HOSTILE[0]], ['empty', 'public', '']]) {
    await api(server, alice, 'POST', '/api/projects/create', { name, visibility, description });
  }
  for (const project of ['hello', 'secret']) {
    await api(server, alice, 'PUT', `/api/projects/alice/${project}/members/bob`, { role: 'writer' });
    await api(server, alice, 'PUT', `/api/projects/alice/${project}/members/carol`, { role: 'reader' });
    await api(server, alice, 'POST', `/api/projects/alice/${project}/repos/create`, { name: 'web', description: HOSTILE[3] });
  }
  await api(server, alice, 'POST', '/api/projects/alice/hello/repos/create', { name: 'nothing' });
  const copy = workingCopy(server, 'alice', PASSWORD, 'alice/hello/web');
  try {
    copy.write('README.md', `# Hello\n\nSee [the code](src/main.rs), ![a picture](pictures/dot.png) and https://example.org.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- [x] done\n- [ ] open\n\n\`\`\`rust\nfn main() { println!("hi"); }\n\`\`\`\n\n${HOSTILE.join('\n\n')}\n`);
    copy.write('src/main.rs', `// ${HOSTILE[0]}\nfn main() {\n    println!("hello");\n}\n`);
    copy.write('src/long.rs', Array.from({ length: 10_000 }, (_, n) => `pub const VALUE_${n}: &str = "line ${n}"; // a comment`).join('\n') + '\n');
    copy.write('src/hidden.c', `if (user\u202E) { /* \u2066 */ }\n`);
    copy.write('docs/guide.md', '# Guide\n\n[up](../README.md) [anchor](#guide)\n');
    copy.write('docs/wide.txt', `${'wide '.repeat(600)}\n`);
    copy.write('pictures/dot.png', png());
    copy.write('pictures/drawing.svg', '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="alert(20)"><script>alert(21)</script><circle cx="4" cy="4" r="3"/></svg>');
    copy.write('binary.dat', Buffer.from([0, 1, 2, 255, 254]));
    copy.write('a file with spaces & signs? #1 %41.txt', 'text\n');
    copy.write('<img src=x onerror=alert(30)>.md', HOSTILE.join('\n\n'));
    copy.write('Cargo.lock', '# generated\n'.repeat(500));
    copy.commit(`Begin ${HOSTILE[1]}\n\nSee https://example.org and @bob.\n\nSigned-off-by: ${HOSTILE[3]} <a@b.c>`);
    for (let n = 0; n < 12; n += 1) {
      copy.write('src/main.rs', `// change ${n}\nfn main() {\n    println!("hello ${n}");\n}\n`);
      copy.commit(n === 5 ? HOSTILE.join(' ') : `Change ${n}: print another number`);
    }
    copy.git('branch', 'feature/with-slash', 'HEAD~3');
    copy.git('branch', 'topic', 'HEAD~1');
    copy.git('tag', '-a', '-m', `The first release ${HOSTILE[0]}`, 'v1.0');
    copy.git('tag', 'light', 'HEAD~2');
    copy.push('main', 'feature/with-slash', 'topic', 'v1.0', 'light');
    copy.git('push', '-q', new URL(copy.git('remote', 'get-url', 'origin').trim().replace('/hello/', '/secret/')).href, 'main');
  } finally {
    copy.remove();
  }
  // The commands of git block this process: it notices now which connections the server closed.
  await new Promise((done) => { setTimeout(done, 100); });
  return { alice, bob };
}
