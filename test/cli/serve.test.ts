import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, freshDirectory, until } from '../system/node.ts';

const launcher = fileURLToPath(new URL('../../bin/nacelle.js', import.meta.url));
const fixtures = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const started: ChildProcess[] = [];

type Running = { child: ChildProcess; output: () => string; exited: Promise<number | null> };

/** Runs `nacelle WORDS` as a user does, through the launcher. */
function start(words: string[], data: string): Running {
  const env = { ...process.env, NACELLE_DATA: data };
  const child = spawn(process.execPath, [launcher, ...words], { cwd: data, env, stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  return { child, output: () => output, exited: once(child, 'close').then(([code]) => code) };
}

async function serve(data: string): Promise<Running & { http: string }> {
  const running = start(['serve', '--http', '127.0.0.1:0', '--control', '127.0.0.1:0', '--gateways', '1', '--logs-level', 'warn', '--json'], data);
  const urls = await until(() => (running.output().includes('}') ? JSON.parse(running.output()) : undefined), 'the URLs of the node', 60_000);
  return { ...running, http: urls.httpUrl };
}

async function deploy(fixture: string, data: string): Promise<void> {
  const { exited, output } = start(['deploy', join(fixtures, `${fixture}.wasm`)], data);
  assert.is(await exited, 0, output());
}

const isGone = (url: string): Promise<true | undefined> =>
  fetch(url).then(
    () => undefined,
    () => true,
  );

function hasEnded(pid: number): true | undefined {
  try {
    process.kill(pid, 0);
    return undefined;
  } catch {
    return true;
  }
}

test('logs -f: prints lines as they come, and ends with SIGINT', async () => {
  const data = freshDirectory();
  const node = await serve(data);
  await deploy('printer', data);
  const follower = start(['logs', 'printer', '-f'], data);
  await until(async () => {
    await fetch(`${node.http}/printer/`);
    return follower.output().includes('stderr to stderr') || undefined;
  }, 'a line');
  follower.child.kill('SIGINT');
  assert.is(await follower.exited, 0);
  node.child.kill('SIGTERM');
  assert.is(await node.exited, 0);
});

test('serve: when the launcher is killed the node ends in order, and the next one finds everything', async () => {
  const data = freshDirectory();
  const first = await serve(data);
  const { http, pid } = JSON.parse(readFileSync(join(data, 'node.json'), 'utf8'));
  assert.is(http, first.http);
  await deploy('hello', data);
  first.child.kill('SIGKILL');
  await until(() => isGone(first.http), 'the end of the node');
  await until(() => hasEnded(pid), 'the process of the node to end');
  assert.not(existsSync(join(data, 'node.json')));
  const second = await serve(data);
  assert.is(await (await fetch(`${second.http}/hello/`)).text(), 'Hello from nacelle!\n');
  second.child.kill('SIGTERM');
  assert.is(await second.exited, 0);
});

test('serve: lists every problem of its configuration and starts nothing', async () => {
  const data = join(freshDirectory(), 'never-made');
  const { output, exited } = start(['serve', '--gateways', '999', '--cache-ttl-ms', 'long', '--http', 'here', '--data', data], freshDirectory());
  assert.is(await exited, 1);
  for (const flag of ['--gateways', '--cache-ttl-ms', '--http']) assert.match(output(), `(${flag})`);
  assert.not(existsSync(data));
});

test.after(() => {
  for (const child of started) child.kill('SIGTERM');
  cleanUp();
});
test.run();
