import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const directory = mkdtempSync(join(tmpdir(), 'nacelle-readme-'));
const data = join(directory, 'data');

type Block = { commands: string; expected: string[] };
type Ran = { code: number; output: string };

/** Each `sh` block with the lines of the `text` block behind it, where there is one. */
function blocksOf(text: string): Block[] {
  const blocks = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, body = '']) => ({ language, body }));
  return blocks.flatMap(({ language, body }, index) => {
    const next = blocks[index + 1];
    return language === 'sh' ? [{ commands: body, expected: next?.language === 'text' ? next.body.trimEnd().split('\n') : [] }] : [];
  });
}

/** `npx` takes a second to find what lies here anyway; one call of the real one is tested by itself. */
function makeShim(): string {
  const bin = join(directory, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'npx'), `#!/bin/sh\nshift\nexec "${process.execPath}" "${join(root, 'bin', 'nacelle.js')}" "$@"\n`);
  chmodSync(join(bin, 'npx'), 0o755);
  return bin;
}

async function run(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<Ran> {
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const [code] = await once(child, 'close');
  return { code, output };
}

/** Starts a node as `npm start` does, on free ports, with nothing but its examples. */
async function startNode(): Promise<{ child: ChildProcess; http: string }> {
  const args = ['start', '--silent', '--', '--http', '127.0.0.1:0', '--control', '127.0.0.1:0', '--data', data];
  const child = spawn('npm', args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const file = join(data, 'node.json');
  while (!existsSync(file) || !/curl/.test(output)) {
    assert.is(child.exitCode, null, output);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { http } = JSON.parse(readFileSync(file, 'utf8'));
  assert.match(output, `curl ${http}/hello/`);
  return { child, http };
}

/** `…` stands for anything. */
const matches = (line: string, pattern: string): boolean =>
  new RegExp(
    `^${pattern
      .split('…')
      .map((part) => RegExp.escape(part))
      .join('.*')}$`,
  ).test(line.trimEnd());

function checkOutput(output: string, expected: readonly string[], commands: string): void {
  const lines = output.split('\n');
  for (const pattern of expected)
    assert.ok(
      lines.some((line) => matches(line, pattern)),
      `"${pattern}" in the output of\n${commands}\n${output}`,
    );
}

let node: Awaited<ReturnType<typeof startNode>>;
test.before(async () => {
  node = await startNode();
});
test.after(async () => {
  node.child.kill('SIGTERM');
  await once(node.child, 'exit');
  rmSync(directory, { recursive: true });
});

/** Runs the commands of a page in their order, each block against what it says is printed. */
async function runPage(text: string): Promise<number> {
  const origin = new URL(node.http);
  const here = (text: string): string => text.replaceAll('http://127.0.0.1:8080', origin.origin).replaceAll('localhost:8080', `localhost:${origin.port}`);
  // curl shows its progress where nobody watches.
  writeFileSync(join(directory, '.curlrc'), 'silent\nshow-error\n');
  const env = { ...process.env, CURL_HOME: directory, PATH: `${makeShim()}:${process.env.PATH}`, NACELLE_DATA: data };
  const blocks = blocksOf(text);
  for (const { commands, expected } of blocks) {
    const { output } = await run('bash', ['-c', `set -eo pipefail\n${here(commands)}`], env);
    checkOutput(output, expected.map(here), commands);
  }
  return blocks.length;
}

test('README: the commands of the tour do what it says', async () => {
  assert.ok((await runPage(readme)) >= 8);
});

test('docs/objects.md: its examples do what they say', async () => {
  assert.is(await runPage(readFileSync(join(root, 'docs', 'objects.md'), 'utf8')), 3);
});

test('docs/guarantees.md: its example does what it says', async () => {
  assert.is(await runPage(readFileSync(join(root, 'docs', 'guarantees.md'), 'utf8')), 1);
});

test('docs/state.md: its example does what it says', async () => {
  assert.is(await runPage(readFileSync(join(root, 'docs', 'state.md'), 'utf8')), 4);
});

test('docs/sidecars.md: its examples do what they say', async () => {
  assert.is(await runPage(readFileSync(join(root, 'docs', 'sidecars.md'), 'utf8')), 4);
});

test('docs/events.md: its examples do what they say', async () => {
  assert.is(await runPage(readFileSync(join(root, 'docs', 'events.md'), 'utf8')), 2);
});

test('docs/control-functions.md: its example does what it says', async () => {
  assert.is(await runPage(readFileSync(join(root, 'docs', 'control-functions.md'), 'utf8')), 1);
});

test('README: npx runs the command line of the checkout', async () => {
  const { code, output } = await run('npx', ['nacelle', 'show', 'hello'], { ...process.env, NACELLE_DATA: data });
  assert.is(code, 0, output);
  assert.match(output, 'sha256:');
});

test('README: its links lead somewhere', () => {
  for (const [, target = ''] of readme.matchAll(/\]\(([^)#]+)[^)]*\)/g)) assert.ok(target.startsWith('https://') || existsSync(join(root, target)), target);
});

test.run();
