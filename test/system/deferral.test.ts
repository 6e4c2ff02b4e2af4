import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

const args = ['--deferral-period-ms', '60000', '--deferral-bucket-ms', '500'];

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1, args });
  await node.deploy('echo', 'echo');
});

test.after(async () => {
  await node.end();
  cleanUp();
});

const defer = (path: string, startBy: string, init: RequestInit = {}) =>
  fetch(`${node.url}${path}`, { method: 'POST', body: 'for later', ...init, headers: { 'prefer': 'respond-async', 'nacelle-start-by': startBy } });

const soon = (ms: number): string => new Date(Date.now() + ms).toISOString();

const recordOf = async (id: string): Promise<ExecutionRecord> => (await (await node.api('GET', `/v1/executions/${id}`)).json()) as ExecutionRecord;

const resultOf = (location: string, from = node): Promise<Response> =>
  until(async () => {
    const response = await from.api('GET', location);
    return response.status === 202 || response.status === 404 ? undefined : response;
  }, 'a result');

/** Keeps the node busy, so that it has a reason to wait. */
const busy = async (requests: number): Promise<void> => {
  for (let i = 0; i < requests; i++) await (await fetch(`${node.url}/echo/`, { method: 'POST', body: 'x' })).text();
  await new Promise((resolve) => setTimeout(resolve, 1200));
};

test('defer: answers 202 with where the result will be, and the result is what the guest answered', async () => {
  const response = await defer('/echo/', soon(1500));
  assert.is(response.status, 202);
  const id = response.headers.get('nacelle-execution') as string;
  const location = response.headers.get('location') as string;
  assert.is(location, `/v1/executions/${id}/result`);
  const result = await resultOf(location);
  assert.equal([result.status, await result.text()], [200, 'for later']);
  const record = await recordOf(id);
  assert.is(record.state, 'succeeded');
  const [decision] = record.decisions;
  assert.is(decision?.kind, 'defer');
  for (const key of ['loadNow', 'loadPredicted', 'startAt', 'startBy']) assert.ok(key in (decision?.inputs ?? {}), key);
  assert.ok(record.timeline.some(({ step }) => step === 'deferred'));
});

test('defer: a busy node puts it off, until its deadline at the latest', async () => {
  await busy(30);
  const load = busy(60);
  const startBy = Date.now() + 2500;
  const response = await defer('/echo/', new Date(startBy).toISOString());
  const id = response.headers.get('nacelle-execution') as string;
  await (await resultOf(response.headers.get('location') as string)).text();
  await load;
  const record = await recordOf(id);
  const begunAt = Date.parse(record.arrivedAt) + (record.timeline.find(({ step }) => step === 'guest-started')?.at ?? 0) / 1000;
  assert.ok(begunAt < startBy + 1000, `began ${begunAt - startBy} ms after its deadline`);
});

test('defer: capacity.deferMaxMs puts off what did not ask for it', async () => {
  await node.deploy('batch', 'echo', { capacity: { deferMaxMs: 200 } });
  const response = await fetch(`${node.url}/batch/`, { method: 'POST', body: 'job' });
  assert.is(response.status, 202);
  assert.is(await (await resultOf(response.headers.get('location') as string)).text(), 'job');
});

test('defer: a request whose attempts are judged is judged when it runs, however it was put off', async () => {
  const judged = { capabilities: { keyvalue: { '': 'work' } }, limits: { memoryMib: 16 }, onFailure: { backoffMs: 20, verdict: 'double-memory' } };
  await node.deploy('judged', 'deliver', judged);
  await node.deploy('judged-batch', 'deliver', { ...judged, capacity: { deferMaxMs: 200 } });
  for (const answer of [
    await defer('/judged/', soon(500), { body: 'grow-20' }),
    await fetch(`${node.url}/judged-batch/`, { method: 'POST', body: 'grow-20' }),
  ]) {
    assert.is(answer.status, 202);
    const result = await resultOf(answer.headers.get('location') as string);
    assert.equal([result.status, (await result.text()).split('\n').at(-1)], [200, 'grow-20']);
    const record = await recordOf(answer.headers.get('nacelle-execution') as string);
    assert.equal([record.state, record.trigger, record.attempts?.map(({ code }) => code)], ['succeeded', 'http', ['memory-limit', null]]);
    assert.ok(record.decisions.some(({ kind }) => kind === 'defer') && record.timeline.some(({ step }) => step === 'deferred'), JSON.stringify(record));
  }
  assert.is(await (await node.api('GET', '/v1/state/work/grow-20')).text(), '2', 'what failed has left nothing');
});

test('defer: a request whose attempts are judged waits over a restart, and is judged then', async () => {
  await busy(30);
  const response = await defer('/judged/', soon(4000), { body: 'grow-21' });
  assert.is(response.status, 202);
  await node.end('SIGKILL');
  node = await startTestNode({ gateways: 1, args, data: node.data });
  const result = await resultOf(response.headers.get('location') as string);
  assert.equal([result.status, (await result.text()).split('\n').at(-1)], [200, 'grow-21']);
});

const main = fileURLToPath(new URL('../../host/cli/main.ts', import.meta.url));
const nacelle = (...command: string[]) => promisify(execFile)(process.execPath, [main, ...command, '--data', node.data]);

test('nacelle invoke --async: prints the execution, whose result can be had later', async () => {
  const environment = { ...process.env, NACELLE_DATA: node.data };
  const { stdout } = await promisify(execFile)(process.execPath, [main, 'invoke', 'echo', '--async', '--data', 'from the shell'], { env: environment });
  const id = stdout.trim();
  const answer = await until(async () => (await nacelle('result', id).catch(() => undefined))?.stdout, 'the result');
  assert.is(answer, 'from the shell');
  const { stdout: shown } = await nacelle('explain', id, '--json');
  assert.is((JSON.parse(shown) as ExecutionRecord).state, 'succeeded');
});

test('nacelle invoke --start-by: puts the execution off until then at the latest; without --async it is wrong usage', async () => {
  const environment = { ...process.env, NACELLE_DATA: node.data };
  const run = (...more: string[]) => promisify(execFile)(process.execPath, [main, 'invoke', 'echo', '--data', 'x', ...more], { env: environment });
  const { stdout } = await run('--async', '--start-by', soon(60_000), '--json');
  const { status, execution, location } = JSON.parse(stdout) as { status: number; execution: string; location: string };
  assert.equal([status, location], [202, `/v1/executions/${execution}/result`]);
  const failed = await run('--start-by', soon(60_000)).catch((error: { code: number }) => error);
  assert.is((failed as { code: number }).code, 2);
});

test('defer: wrong times and bodies that are too large are refused', async () => {
  assert.is((await defer('/echo/', 'tomorrow')).status, 400);
  assert.is((await defer('/echo/', soon(1000), { body: 'x'.repeat(600_000) })).status, 413);
  assert.is((await node.api('GET', '/v1/executions/nothing/result')).status, 404);
});

test('defer: what waits is not lost when the node is killed', async () => {
  await busy(30);
  const response = await defer('/echo/', soon(6000));
  const location = response.headers.get('location') as string;
  assert.is(response.status, 202);
  await node.end('SIGKILL');
  node = await startTestNode({ gateways: 1, args, data: node.data });
  const result = await resultOf(location);
  assert.ok([200, 503].includes(result.status));
  if (result.status === 200) assert.is(await result.text(), 'for later');
});

test('defer: when the node is stopped, what runs has time to end, and what waits is run after the restart', async () => {
  await node.deploy('drip', 'drip');
  await busy(30);
  const running = await defer('/drip/?chunks=10&ms=200', soon(0));
  const id = running.headers.get('nacelle-execution') as string;
  await until(async () => (await recordOf(id)).state === 'running' || undefined, 'one that runs');
  const waiting = await defer('/echo/', soon(200));
  assert.equal([running.status, waiting.status], [202, 202]);
  assert.is(await node.end(), 0);
  node = await startTestNode({ gateways: 1, args, data: node.data });
  const ran = await resultOf(running.headers.get('location') as string);
  assert.equal([ran.status, (await ran.text()).trim().split('\n').length], [200, 10]);
  const result = await resultOf(waiting.headers.get('location') as string);
  assert.equal([result.status, await result.text()], [200, 'for later']);
});

test.run();
