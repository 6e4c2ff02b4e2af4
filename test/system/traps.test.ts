import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, startTestNode, type TestNode } from './node.ts';

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  const limits = { cpuMs: 200, timeMs: 600, memoryMib: 4 };
  for (const name of ['hello', 'trap', 'silent', 'exit', 'leak', 'twice', 'disorder', 'failing', 'burn', 'printer', 'drip'])
    await node.deploy(name, name, { limits: name === 'burn' ? { ...limits, timeMs: 60_000 } : limits });
  for (const name of [
    'loop',
    'catch-all',
    'try-table',
    'recursion',
    'recursion-deep',
    'fill',
    'grow',
    'handles',
    'poll',
    'post-return',
    'realloc',
    'start',
    'body',
  ])
    await node.deploy(name, `stop/${name}`, { limits });
});
test.after(cleanUp);

type Told = { status: number; code: string | undefined; detail: string };

const ask = async (path: string): Promise<Told & { id: string | null }> => {
  const response = await fetch(node.url + path);
  const id = response.headers.get('nacelle-execution');
  const text = await response.text().catch((error: Error) => `broken: ${error.message}`);
  const problem = response.headers.get('content-type') === 'application/problem+json' ? (JSON.parse(text) as { code: string; detail: string }) : undefined;
  return { status: response.status, code: problem?.code, detail: problem?.detail ?? text, id };
};

const expectProblem = async (path: string, status: number, code: string): Promise<string | null> => {
  const told = await ask(path);
  assert.equal([told.status, told.code], [status, code], `${path}: ${told.detail}`);
  const record = await node.execution(told.id);
  assert.equal([record.state, record.code], ['failed', code], path);
  return told.id;
};

for (const kind of [
  'unreachable',
  'out-of-bounds',
  'divide-by-zero',
  'overflow',
  'float-to-int',
  'stack-overflow',
  'bad-handle',
  'indirect-type',
  'indirect-null',
  'indirect-bounds',
])
  test(`trap: ${kind} answers guest-trap, and the log names function, version, trap and backtrace`, async () => {
    const id = await expectProblem(`/trap/${kind}`, 502, 'guest-trap');
    const [line] = await node.lines('trap', 1, ({ stream, text, execution }) => stream === 'node' && execution === id && text.includes('trap@1 guest-trap'));
    assert.is(line?.level, 'error');
  });

test('trap: the backtrace of the log has names', async () => {
  const [line] = await node.lines('trap', 1, ({ stream, text }) => stream === 'node' && text.includes('wasm-function'));
  assert.match(line?.text ?? '', /\S+ \(wasm:\/\/|at \S+/);
});

test('trap: after a response that has not left yet answers guest-trap too', async () => {
  await expectProblem('/trap/late/unreachable', 502, 'guest-trap');
});

test('stop: in the middle of a response the client sees an error, not an end', async () => {
  const response = await fetch(`${node.url}/drip/?chunks=1000&ms=20`);
  assert.is(response.status, 200);
  assert.instance(await response.text().catch((error: Error) => error), Error);
  assert.is((await node.execution(response.headers.get('nacelle-execution'))).code, 'time-limit');
});

test('silent: no response in each way', async () => {
  for (const way of ['return', 'drop', 'headless']) await expectProblem(`/silent/${way}`, 502, 'guest-no-response');
  await expectProblem('/silent/sleep', 504, 'time-limit');
});

test('exit: before, in the middle of and after the response', async () => {
  await expectProblem('/exit/ok', 502, 'guest-exit');
  await expectProblem('/exit/err', 502, 'guest-exit');
  const late = await ask('/exit/late-ok');
  assert.is(late.status, 200);
  assert.is((await node.execution(late.id)).state, 'succeeded');
});

test('leak: a trap after refused memory is memory-limit', async () => {
  await expectProblem('/leak/trap', 502, 'memory-limit');
  const told = await ask('/leak/');
  assert.is(told.status, 200);
  const record = await node.execution(told.id);
  assert.ok(record.meter.memoryRefused);
  assert.ok(record.meter.memoryBytesPeak <= 4 * 1024 * 1024);
});

test('twice: the first response stands, the execution failed', async () => {
  const told = await ask('/twice/');
  assert.is(told.status, 200);
  assert.is((await node.execution(told.id)).code, 'guest-trap');
});

test('failing: an error-code is guest-error and named', async () => {
  await expectProblem('/failing/', 502, 'guest-error');
  assert.match((await ask('/failing/')).detail, /internal-error.*no luck today/);
});

test('burn: an endless loop ends at its CPU limit, and others go on meanwhile', async () => {
  await ask('/hello/');
  let looping = true;
  const loop = ask('/burn/loop').finally(() => {
    looping = false;
  });
  let beside = 0;
  for (; looping; beside++) assert.is((await ask('/hello/')).status, 200);
  assert.ok(beside >= 5, `${beside} requests were answered beside the loop`);
  const told = await loop;
  assert.equal([told.status, told.code], [504, 'cpu-limit']);
  const { cpuUs } = (await node.execution(told.id)).meter;
  assert.ok(cpuUs >= 200_000 && cpuUs < 300_000, `${cpuUs}`);
});

for (const name of ['loop', 'catch-all', 'try-table', 'recursion', 'fill', 'realloc', 'start', 'post-return', 'poll', 'grow', 'handles', 'recursion-deep'])
  test(`stop: ${name} ends, and the node goes on`, async () => {
    const told = await ask(`/${name}/`);
    const record = await node.execution(told.id);
    assert.is(record.state, 'failed');
    assert.ok(['cpu-limit', 'time-limit', 'guest-trap', 'memory-limit'].includes(record.code ?? ''), record.code);
    assert.is((await ask('/hello/')).status, 200);
  });

test('logs: whole lines by stream, with the execution and levels', async () => {
  const { id } = await ask('/printer/');
  const lines = await node.lines('printer', 4, ({ execution }) => execution === id);
  assert.ok(lines.some(({ stream }) => stream === 'stdout'));
  assert.ok(lines.some(({ stream }) => stream === 'stderr'));
  assert.equal(
    lines.filter(({ stream }) => stream === 'log').map(({ level }) => level),
    ['trace', 'debug', 'info', 'warn', 'error', 'critical'].flatMap((level) => [level, level]),
    'a record of two lines is two lines of the log',
  );
});

test('logs: a flood is bounded and the node answers on', async () => {
  await ask('/printer/?bytes=2000000');
  const response = await node.api('GET', '/v1/functions/printer/logs?limit=1000');
  const { items } = (await response.json()) as { items: unknown[] };
  assert.ok(items.length <= 1000);
  assert.is((await ask('/hello/')).status, 200);
});

test.run();
