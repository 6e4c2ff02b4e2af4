import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import type { Fault } from './faults.ts';
import { cleanUp, fixture, startTestNode, type TestNode, until } from './node.ts';

const configurations = JSON.stringify([{ name: 'standard', memoryMib: 256, bindings: '0.2', floor: 1, ceiling: 3 }]);
const args = ['--isolates-max', '4', '--isolates-slots', '2', '--isolates-queue-ms', '15000', '--isolates-configurations', configurations];
const capacity = { fleet: 'on-demand' };
const limits = { memoryMib: 64, timeMs: 20_000, cpuMs: 20_000 };

let node: TestNode;
let slow: Server;
const asked = Promise.withResolvers<void>();

test.before(async () => {
  slow = createServer(() => asked.resolve()).listen(0, '127.0.0.1');
  await new Promise((resolve) => slow.once('listening', resolve));
  node = await startTestNode({ gateways: 1, args: [...args, '--cache-ttl-ms', '2000'], preload: new URL('./faults.ts', import.meta.url).href });
  await node.deploy('burn', 'burn', { capacity, limits });
  await node.deploy('drip', 'drip', { capacity, limits });
});

test.after(async () => {
  await node.end();
  slow.closeAllConnections();
  slow.close();
  cleanUp();
});

const cause = (fault: Fault): Promise<unknown> =>
  new Promise((resolve) => {
    node.process.once('message', resolve);
    node.process.send(fault);
  });

type Isolate = { id: number; state: string; tenant: string | null; inFlight: number };

const isolates = async (): Promise<Isolate[]> => ((await (await node.api('GET', '/v1/node')).json()) as { isolates: Isolate[] }).isolates;
const isolateThat = (is: (isolate: Isolate) => boolean, what: string): Promise<Isolate> => until(async () => (await isolates()).find(is), what);

type Decision = { kind: string; subject: string; choice: string; passedOver: { candidate: string; reason: string }[] };
const decisions = async (query: string): Promise<Decision[]> =>
  ((await (await node.api('GET', `/v1/decisions?${query}`)).json()) as { items: Decision[] }).items;

const call = async (path: string, tenant?: string): Promise<{ status: number; text: string; record: ExecutionRecord }> => {
  const response = await fetch(`${node.url}${path}`, { headers: { connection: 'close' } });
  return { status: response.status, text: await response.text(), record: await node.execution(response.headers.get('nacelle-execution'), tenant) };
};

test('isolate ended while it stands by, and the next while it starts: both are replaced, and a request is answered', async () => {
  const { id } = await isolateThat(({ state }) => state === 'warm', 'an isolate that stands by');
  await cause({ kind: 'endAt', when: 'start' });
  await cause({ kind: 'end', isolate: id });
  const other = await isolateThat(({ state, id: of }) => state === 'warm' && of > id + 1, 'a third');
  const refills = await decisions('kind=refill');
  for (const gone of [id, id + 1, other.id])
    assert.ok(
      refills.some(({ choice }) => choice === `isolate-${gone}`),
      JSON.stringify(refills),
    );
  assert.is((await call('/burn/')).status, 200);
});

/** What a lost isolate leaves in the record of an execution: which it was, and whether the execution went on. */
const losses = ({ decisions: made }: ExecutionRecord): string[] =>
  made.flatMap(({ choice, passedOver }) =>
    passedOver.filter(({ reason }) => reason.startsWith('was lost')).map(({ candidate }) => `${choice} after ${candidate}`),
  );

/** A tenant that has no isolate yet, so that its first request goes through every step. */
let tenants = 0;
const freshTenant = async (): Promise<string> => {
  const tenant = `t${++tenants}`;
  await node.api('POST', '/v1/tenants', { name: tenant });
  const { digest } = (await (await node.api('PUT', `/v1/modules?tenant=${tenant}`, fixture('burn'))).json()) as { digest: string };
  assert.is((await node.api('POST', `/v1/functions?tenant=${tenant}`, { name: 'burn', module: digest, capacity, limits })).status, 201);
  return tenant;
};

const steps: Record<string, Extract<Fault, { kind: 'endAt' }>> = {
  'when it is assigned': { kind: 'endAt', when: 'to', message: 'assign' },
  'while it is given the module': { kind: 'endAt', when: 'to', message: 'hold' },
  'when it holds the module': { kind: 'endAt', when: 'from', message: 'held' },
};

for (const [when, fault] of Object.entries(steps))
  test(`isolate ended ${when}: the request is answered by another, and both are in its record`, async () => {
    const tenant = await freshTenant();
    await isolateThat(({ state }) => state === 'warm', 'an isolate that stands by');
    await cause(fault);
    const { status, record } = await call(`/~${tenant}/burn/`, tenant);
    assert.is(status, 200);
    const places = record.decisions.map(({ choice }) => choice).filter((choice) => choice.startsWith('isolate-'));
    assert.is(new Set(places).size, 2, JSON.stringify(record.decisions));
    assert.is(places.at(-1), `isolate-${record.isolate}`);
    assert.match(losses(record).join(), `after ${places[0]}`);
    const logged = (await decisions(`kind=place&subject=${record.id}`)).map(({ choice }) => choice);
    assert.ok(
      places.every((choice) => logged.includes(choice)),
      logged.join(),
    );
    assert.ok((await isolates()).some(({ id, tenant: of }) => id === record.isolate && of === tenant));
  });

test('isolate ended while the guest runs without effect: the request is answered by another, and says why', async () => {
  const answer = call('/burn/?ms=2000');
  const { id } = await isolateThat(({ inFlight }) => inFlight > 0, 'the run');
  await cause({ kind: 'end', isolate: id });
  const { status, record } = await answer;
  assert.is(status, 200);
  assert.is.not(record.isolate, id);
  assert.equal(losses(record), [`again after isolate-${id}`]);
});

test('isolate ended when a part of the response is out: it breaks off, and the execution was lost with its isolate', async () => {
  const response = await fetch(`${node.url}/drip/?chunks=50&ms=100`);
  const reader = response.body?.getReader();
  await reader?.read();
  const { id } = await isolateThat(({ inFlight }) => inFlight > 0, 'the run');
  await cause({ kind: 'end', isolate: id });
  const rest = (async () => {
    while (!(await reader?.read())?.done);
    return 'whole';
  })().catch(() => 'broken off');
  assert.is(await rest, 'broken off');
  const record = await node.execution(response.headers.get('nacelle-execution'));
  assert.equal([record.state, record.code, record.isolate], ['failed', 'isolate-lost', id]);
  assert.equal(losses(record), [`isolate-lost after isolate-${id}`]);
});

test('isolate ended after the guest made a request: it is not run again, and the client is told', async () => {
  const authority = `127.0.0.1:${(slow.address() as AddressInfo).port}`;
  await node.deploy('caller', 'caller', { capacity, limits, capabilities: { http: [authority] } });
  const answer = call(`/caller/http://${authority}/`);
  await asked.promise;
  const { id } = await isolateThat(({ inFlight }) => inFlight > 0, 'the run');
  await cause({ kind: 'end', isolate: id });
  const { status, text, record } = await answer;
  assert.equal([status, (JSON.parse(text) as { code: string }).code], [503, 'isolate-lost']);
  assert.match(text, 'cannot run the execution again');
  assert.equal(losses(record), [`isolate-lost after isolate-${id}`]);
});

test('isolate ended when its requests are over: the next request is answered by another', async () => {
  const before = (await call('/burn/')).record.isolate as number;
  await cause({ kind: 'end', isolate: before });
  const { status, record } = await call('/burn/');
  assert.is(status, 200);
  assert.is.not(record.isolate, before);
});

test('isolate ended while it drains: what ran there is refused as its tenant is, and nothing waits for it', async () => {
  const tenant = await freshTenant();
  const answer = call(`/~${tenant}/burn/?ms=3000`, tenant);
  const { id } = await isolateThat(({ inFlight, tenant: of }) => inFlight > 0 && of === tenant, 'the run');
  await cause({ kind: 'endAt', when: 'to', message: 'drain' });
  await node.api('POST', `/v1/tenants/${tenant}/suspend`);
  const { status, record } = await answer;
  assert.is(status, 403);
  assert.is(record.code, 'tenant-suspended');
  await until(async () => (await isolates()).every((isolate) => isolate.id !== id) || undefined, 'it to be forgotten');
  await node.api('POST', `/v1/tenants/${tenant}/resume`);
  assert.is((await call(`/~${tenant}/burn/`, tenant)).status, 200);
});

test('threads that the system refuses: starts are tried again, and who waits is answered on rung 4', async () => {
  const tenant = await freshTenant();
  const { id } = await isolateThat(({ state }) => state === 'warm', 'an isolate that stands by');
  await cause({ kind: 'refuse', threads: 'isolate', count: Number.MAX_SAFE_INTEGER });
  await cause({ kind: 'end', isolate: id });
  const answer = call(`/~${tenant}/burn/`, tenant);
  await until(async () => {
    const { queues } = (await (await node.api('GET', '/v1/node')).json()) as { queues: { tenant: string; waiting: number }[] };
    return queues.some((queue) => queue.tenant === tenant && queue.waiting > 0) || undefined;
  }, 'the request to wait');
  await cause({ kind: 'refuse', threads: 'isolate', count: 0 });
  const { status, record } = await answer;
  assert.equal([status, record.rung], [200, 4]);
  const choices = (await decisions(`kind=place&subject=${record.id}`)).map(({ choice }) => choice);
  assert.equal(choices, ['queue', `isolate-${record.isolate}`]);
});

test('a module that cannot be loaded on rung 3: the request is told, and the next one is answered', async () => {
  const tenant = await freshTenant();
  await isolateThat(({ state }) => state === 'warm', 'an isolate that stands by');
  await until(async () => {
    const { cache } = (await (await node.api('GET', '/v1/node')).json()) as { cache: { entries: number } };
    return cache.entries === 0 || undefined;
  }, 'the cache to forget the module');
  await cause({ kind: 'refuse', threads: 'prepare', count: 1 });
  const failed = await call(`/~${tenant}/burn/`, tenant);
  assert.equal([failed.status, failed.record.code, failed.record.rung], [503, 'unavailable', null]);
  assert.match(failed.text, 'the system gives no thread');
  const [place, refusal] = failed.record.decisions;
  assert.equal([place?.inputs.rung, refusal?.choice], [3, 'reject']);
  assert.equal(refusal?.passedOver[0]?.candidate, place?.choice);
  const { status, record } = await call(`/~${tenant}/burn/`, tenant);
  assert.equal([status, record.load], [200, 'prepared']);
});

test('node that is stopped for longer than a thread may hang: what runs goes on when it continues, and has used no CPU time meanwhile', async () => {
  await node.deploy('brief', 'burn', { capacity, limits: { ...limits, cpuMs: 4000 } });
  const running = call('/brief/?ms=7500');
  const { id } = await isolateThat(({ inFlight }) => inFlight > 0, 'the run');
  node.process.kill('SIGSTOP');
  await new Promise((resolve) => setTimeout(resolve, 6500));
  node.process.kill('SIGCONT');
  const { status, record } = await running;
  assert.equal([status, record.isolate, losses(record)], [200, id, []]);
  assert.ok(record.meter.cpuUs < 4_000_000 && record.meter.wallUs > 6_000_000, JSON.stringify(record.meter));
});

for (const [direction, ms] of [
  ['forward', 86_400_000],
  ['back', -2 * 86_400_000],
] as const)
  test(`clock that jumps ${direction} by days: what runs and what waits goes on, and nothing is destroyed for it`, async () => {
    const running = Array.from({ length: 8 }, () => call('/drip/?chunks=3&ms=600'));
    await until(async () => (await isolates()).some(({ inFlight }) => inFlight > 0) || undefined, 'runs');
    await cause({ kind: 'jump', ms });
    for (const { status, record } of await Promise.all(running)) assert.equal([status, record.state], [200, 'succeeded']);
    assert.is((await call('/burn/')).status, 200);
    assert.is((await call(`/~${await freshTenant()}/burn/`, `t${tenants}`)).status, 200);
  });

test.run();
