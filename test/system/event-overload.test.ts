import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import { commandLine, succeed } from '../cli/harness.ts';
import { cleanUp, fixture, holdRequest, sleep, startTestNode, type TestNode, until } from './node.ts';

/** One isolate with room for two executions, for which others wait at most a second. */
const configurations = JSON.stringify([{ name: 'standard', memoryMib: 128, bindings: '0.2', floor: 0, ceiling: 1 }]);
const args = ['--isolates-max', '1', '--isolates-slots', '2', '--isolates-queue-ms', '1000', '--isolates-configurations', configurations];
const onDemand = { capacity: { fleet: 'on-demand' }, limits: { memoryMib: 64, timeMs: 40_000 } };

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1, args });
  await node.deploy('echo', 'echo', onDemand);
  await node.api('POST', '/v1/tenants', { name: 'acme' });
  const { digest } = (await (await node.api('PUT', '/v1/modules?tenant=acme', fixture('deliver'))).json()) as { digest: string };
  const manifest = { name: 'fn', module: digest, ...onDemand, capabilities: { keyvalue: { '': 'done' } }, onFailure: { retries: 0 } };
  assert.is((await node.api('POST', '/v1/functions?tenant=acme', manifest)).status, 201);
});

test.after(async () => {
  await node.end();
  cleanUp();
});

const json = async <T>(path: string): Promise<T> => (await (await node.api('GET', path)).json()) as T;

/** Requests that hold the isolate until they are released. */
const occupy = async (): Promise<() => Promise<void>> => {
  const held = [1, 2].map(() => holdRequest(`${node.url}/echo/`));
  await until(async () => {
    const { isolates } = await json<{ isolates: { inFlight: number }[] }>('/v1/node');
    return isolates.some(({ inFlight }) => inFlight === 2) || undefined;
  }, 'a full isolate');
  return async () => {
    for (const one of held) assert.is((await one.release()).status, 200);
  };
};

const waits = async (): Promise<number> => {
  const { queues } = await json<{ queues: { waiting: number }[] }>('/v1/node');
  return queues.reduce((sum, { waiting }) => sum + waiting, 0);
};

const send = async (payload: string): Promise<string> => {
  const event = { specversion: '1.0', id: payload, source: '/test', type: 'made', data: payload, datacontenttype: 'text/plain' };
  const headers = { 'authorization': `Bearer ${node.token}`, 'content-type': 'application/cloudevents+json' };
  const response = await fetch(`${node.control}/v1/events?tenant=acme&function=fn`, { method: 'POST', headers, body: JSON.stringify(event) });
  assert.is(response.status, 202);
  return ((await response.json()) as { items: { id: string }[] }).items[0]?.id as string;
};

const recordOf = (id: string): Promise<ExecutionRecord> => json<ExecutionRecord>(`/v1/executions/${id}?tenant=acme`);

const ended = (id: string): Promise<ExecutionRecord> =>
  until(async () => {
    const record = await recordOf(id);
    return record.state === 'queued' || record.state === 'running' ? undefined : record;
  }, `the end of ${id}`);

const assertFirstAttempt = async (id: string): Promise<void> => {
  const { state, attempts } = await ended(id);
  assert.equal([state, attempts?.map(({ attempt, code }) => [attempt, code])], ['succeeded', [[1, null]]]);
};

/** Whoever looks sees that it waits, since when, why, and when it is tried next. */
const assertPutOff = async (id: string): Promise<void> => {
  const waits = await until(async () => (await recordOf(id)).waits, 'an execution that waits');
  assert.equal([waits.putOff?.code, (waits.putOff?.times ?? 0) > 0], ['capacity-exhausted', true], JSON.stringify(waits));
  assert.ok(Date.parse(waits.nextAt) > (waits.putOff?.since ?? Number.POSITIVE_INFINITY));
  const run = commandLine(node.control, node.token, '.');
  const { out } = await succeed(run, ['events', 'show', id, '--tenant', 'acme']);
  assert.match(out, /(next at|was due) +20.*\nput off +(once|\d+ times) since 20.*, capacity-exhausted: /);
  assert.match(out, '\none\n', 'its payload');
  assert.not.match(out, 'attempt 1');
};

test('events: for which there is no isolate wait until there is one, though they have no retries', async () => {
  const release = await occupy();
  const ids = await Promise.all(['one', 'two', 'three'].map(send));
  await sleep(4000);
  for (const id of ids) assert.not.ok(['failed', 'dead-lettered'].includes((await recordOf(id)).state));
  await assertPutOff(ids[0] as string);
  await release();
  for (const id of ids) await assertFirstAttempt(id);
  const text = await (await node.api('GET', '/metrics')).text();
  const [all, quick] = [/nacelle_request_seconds_count (\d+)/, /nacelle_request_seconds_bucket\{le="3"\} (\d+)/].map((what) => Number(what.exec(text)?.[1]));
  assert.is((all as number) - (quick as number), 2, 'those that held the isolate: what an event waits is no latency of its function');
});

test('events: one that is under way when its tenant is suspended waits until it is resumed', async () => {
  const release = await occupy();
  const id = await send('suspended');
  await until(async () => (await waits()) > 0 || undefined, 'an event that waits for the isolate');
  assert.is((await node.api('POST', '/v1/tenants/acme/suspend')).status, 200);
  await release();
  await sleep(1500);
  assert.is((await recordOf(id)).state, 'queued');
  assert.is((await node.api('POST', '/v1/tenants/acme/resume')).status, 200);
  await assertFirstAttempt(id);
});

test('dead-letters: one that there is no isolate for is not redriven, and has no attempt more', async () => {
  const id = await send('trap now');
  assert.is((await ended(id)).state, 'dead-lettered');
  const redrive = async (body: object) =>
    (await (await node.api('POST', `/v1/dead-letters/${id}/redrive?tenant=acme`, body)).json()) as { succeeded: boolean; attempts: number; code?: string };
  const release = await occupy();
  const refused = await redrive({});
  assert.equal([refused.succeeded, refused.attempts, refused.code], [false, 1, 'capacity-exhausted']);
  const { attempts, tries } = await json<{ attempts: number; tries: { code: string }[] }>(`/v1/dead-letters/${id}?tenant=acme`);
  assert.equal([attempts, tries.map(({ code }) => code)], [1, ['guest-trap']]);
  await release();
  assert.equal([(await redrive({ body: Buffer.from('mended').toString('base64') })).succeeded], [true]);
});

test.run();
