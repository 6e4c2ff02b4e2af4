import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const script = fileURLToPath(new URL('../run.ts', import.meta.url));
const uvu = "import { test } from 'uvu';\n";
// Inside the checkout, so that the files find uvu.
const base = fileURLToPath(new URL('../../.nacelle/', import.meta.url));

function runOver(files: Record<string, string>, ...args: string[]): { code: number | null; output: string; lastLine: string } {
  mkdirSync(base, { recursive: true });
  const root = mkdtempSync(join(base, 'runner-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--root', root, ...args], { encoding: 'utf8' });
    return { code: status, output: stdout + stderr, lastLine: stdout.trimEnd().split('\n').at(-1) ?? '' };
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** As long as several files take to start on this machine now. */
const hangMs = (): string => {
  const startMs = performance.now();
  runOver({ 'a.test.ts': passing });
  return String(Math.round(Math.max(1500, 4 * (performance.now() - startMs))));
};

const passing = `${uvu}test('one', () => {}); test('two', () => {}); test.run();`;
const failing = `${uvu}test('good', () => {}); test('bad', () => { throw new Error('the reason'); }); test.run();`;

test('run: counts tests that pass and ends with the count', () => {
  const { code, lastLine } = runOver({ 'a.test.ts': passing, 'b.test.ts': passing, 'helper.ts': 'throw 1;' });
  assert.is(lastLine, '4 passed, 0 failed');
  assert.is(code, 0);
});

test('run: a failed test is counted and its output printed', () => {
  const { code, lastLine, output } = runOver({ 'a.test.ts': passing, 'b.test.ts': failing });
  assert.is(lastLine, '3 passed, 1 failed');
  assert.is(code, 1);
  assert.match(output, 'the reason');
  assert.match(output, 'failed: b.test.ts');
});

test('run: a file that crashes, hangs, runs nothing or cannot be read counts as a failure', () => {
  const files = {
    'crash.test.ts': `${uvu}test('one', () => { process.kill(process.pid, 'SIGKILL'); }); test.run();`,
    'hang.test.ts': `${uvu}test('one', () => {}); test.run(); setInterval(() => {}, 1000);`,
    'nothing.test.ts': 'console.log("no tests");',
    'syntax.test.ts': 'const const;',
    'late.test.ts': `${uvu}test('one', () => { setTimeout(() => { throw new Error('late'); }, 20); }); test.run();`,
  };
  const { code, lastLine, output } = runOver(files, '--timeout-ms', hangMs());
  assert.is(code, 1);
  assert.match(output, 'crash.test.ts was ended by SIGKILL');
  assert.match(output, 'hang.test.ts did not end within');
  assert.match(output, 'nothing.test.ts ran no test');
  assert.match(output, 'syntax.test.ts ran no test');
  assert.match(output, 'late.test.ts exited with code');
  assert.is(lastLine, '2 passed, 5 failed');
});

test('run: a hanging file takes the processes that it began with it', async () => {
  const listener = "require('net').createServer().listen(0, '127.0.0.1', function () { console.log('PORT=' + this.address().port); });";
  const files = {
    'a.test.ts': `import { spawn } from 'node:child_process';\nspawn(process.execPath, ['-e', ${JSON.stringify(listener)}], { stdio: 'inherit' });`,
  };
  const port = Number(/PORT=(\d+)/.exec(runOver(files, '--timeout-ms', hangMs()).output)?.[1]);
  assert.ok(port > 0);
  const outcome = await new Promise((resolve) => {
    connect(port, '127.0.0.1')
      .on('connect', () => resolve('connected'))
      .on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  assert.is(outcome, 'ECONNREFUSED');
});

test('run: what was skipped is said and counted', () => {
  const skipping = `${uvu}test('one', () => { console.log('SKIPPED: no such tool here'); }); test.skip('two', () => {}); test('three', () => {}); test.run();`;
  const { code, lastLine, output } = runOver({ 'a.test.ts': skipping });
  assert.is(lastLine, '1 passed, 0 failed, 2 skipped');
  assert.is(code, 0);
  assert.match(output, '!!! a.test.ts: SKIPPED: no such tool here');
});

test('run: a filter picks files, and one that matches nothing is a failure', () => {
  assert.is(runOver({ 'a.test.ts': passing, 'b.test.ts': failing }, 'a.test').lastLine, '2 passed, 0 failed');
  const none = runOver({ 'a.test.ts': passing }, 'zzz');
  assert.is(none.lastLine, '0 passed, 1 failed');
  assert.is(none.code, 1);
});

test.run();
