// A server for one run: its own directory, free ports, real git.
import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const START_SECONDS_MAX = 60;

/** Starts the binary, and waits until it prints its address. */
export async function startServer(binary, extra = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'netbit-web-'));
  const env = { ...process.env, NETBIT_DATA_DIR: join(dir, 'data'), ...extra };
  for (const part of ['HTTP', 'TCP', 'UDP', 'OPS']) env[`NETBIT_${part}__LISTEN`] ??= '127.0.0.1:0';
  let child = spawn(binary, ['serve'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const base = await new Promise((resolve, reject) => {
    const late = setTimeout(() => { child.kill('SIGKILL'); reject(new Error(`no address after ${START_SECONDS_MAX} s:\n${output}`)); }, START_SECONDS_MAX * 1000);
    const read = (chunk) => {
      output += chunk;
      const found = output.match(/Set up: (http:\/\/[^/\s]+)\/setup#code=(\S+)/);
      if (found) { clearTimeout(late); resolve({ url: found[1], code: found[2] }); }
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}:\n${output}`)));
  });
  return {
    ...base, dir,
    log: () => output,
    /** Kills the server without a warning. */
    async kill() {
      const ended = new Promise((resolve) => { child.once('exit', resolve); });
      child.kill('SIGKILL');
      await ended;
    },
    /** Starts it again after `kill`, at the same address with the same data. */
    async restart() {
      env.NETBIT_HTTP__LISTEN = new URL(base.url).host;
      child = spawn(binary, ['serve'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += chunk; });
      for (let tries = 0; tries < START_SECONDS_MAX * 10; tries += 1) {
        const answer = await fetch(`${base.url}/api/server`).catch(() => null);
        if (answer?.ok) return;
        if (child.exitCode !== null) break;
        await new Promise((resolve) => { setTimeout(resolve, 100); });
      }
      throw new Error(`the server did not start again:\n${output.slice(-2000)}`);
    },
    /** Ends the server, and returns the panics of its log. */
    async stop() {
      const hasEnded = child.exitCode !== null || child.signalCode !== null;
      const code = hasEnded ? child.exitCode ?? child.signalCode : await new Promise((resolve) => {
        child.once('exit', (status, signal) => resolve(status ?? signal));
        child.kill('SIGTERM');
      });
      rmSync(dir, { recursive: true, force: true });
      const problems = output.split('\n').filter((line) => line.includes('panicked'));
      return hasEnded || code !== 0 ? [...problems, `the server ended with ${code}`] : problems;
    },
  };
}

/** A working copy that pushes over HTTP. */
export function workingCopy(server, user, password, repository) {
  const dir = mkdtempSync(join(tmpdir(), 'netbit-copy-'));
  const remote = new URL(`${server.url}/${repository}.git`);
  remote.username = user;
  remote.password = password;
  const git = (...args) => execFileSync('git', args, {
    cwd: dir, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null', GIT_TERMINAL_PROMPT: '0',
      GIT_AUTHOR_NAME: 'Alice Liddell', GIT_AUTHOR_EMAIL: 'alice@example.org', GIT_COMMITTER_NAME: 'Alice Liddell', GIT_COMMITTER_EMAIL: 'alice@example.org' },
  });
  git('init', '-q', '-b', 'main');
  git('remote', 'add', 'origin', remote.href);
  return {
    dir, git,
    write(path, content) {
      mkdirSync(join(dir, dirname(path)), { recursive: true });
      writeFileSync(join(dir, path), content);
    },
    commit(message) { git('add', '-A'); git('commit', '-q', '--allow-empty', '-m', message); return git('rev-parse', 'HEAD').trim(); },
    push(...refs) { return git('push', '-q', 'origin', ...(refs.length ? refs : ['main'])); },
    remove() { rmSync(dir, { recursive: true, force: true }); },
  };
}
