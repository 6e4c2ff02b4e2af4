import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const launcher = fileURLToPath(new URL('../../bin/node26.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'nacelle-runtime-'));

function script(text: string): string {
  const file = join(directory, `${crypto.randomUUID()}.mts`);
  writeFileSync(file, text);
  return file;
}

/** A program that listens, prints its port and never ends by itself. */
const listening = (more = '') =>
  script(
    `import { createServer } from 'node:net'; const server = createServer().listen(0, '127.0.0.1', () => console.log((server.address() as any).port)); ${more}`,
  );

async function startListening(file: string): Promise<{ child: ChildProcess; port: number }> {
  const child = spawn(process.execPath, [launcher, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [data] = await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data');
  return { child, port: Number(data) };
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });

async function closesSoon(port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 1500; attempt++) {
    if (!(await isOpen(port))) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

test('runOnNode26: runs TypeScript on Node 26 with its arguments', () => {
  const file = script('const major: string = process.versions.node.split(".")[0]!; console.log(major, ...process.argv.slice(2));');
  const { stdout, stderr, status } = spawnSync(process.execPath, [launcher, file, 'a b', '--flag'], { encoding: 'utf8' });
  assert.is(stdout, '26 a b --flag\n');
  assert.is(stderr, '');
  assert.is(status, 0);
});

test('runOnNode26: ends with the exit code of the program', () => {
  assert.is(spawnSync(process.execPath, [launcher, script('process.exit(7);')]).status, 7);
  assert.is(spawnSync(process.execPath, [launcher, script('process.kill(process.pid, "SIGKILL");')]).status, 128 + 9);
});

test('runOnNode26: hands SIGTERM on and waits for the orderly end', async () => {
  const { child, port } = await startListening(listening("process.on('SIGTERM', () => setTimeout(() => process.exit(5), 50));"));
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  assert.is(code, 5);
  assert.not(await isOpen(port));
});

test('runOnNode26: the program ends when the launcher is killed', async () => {
  const { child, port } = await startListening(listening());
  child.kill('SIGKILL');
  assert.ok(await closesSoon(port));
});

test.after(() => rmSync(directory, { recursive: true }));
test.run();
