import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fixture, holdRequest, sleep, startTestNode, type TestNode, until } from './node.ts';

type Decision = { at: string; kind: string; subject: string; tenant: string | null; choice: string; inputs: Record<string, unknown> };
type NodeView = {
  isolates: { id: number; state: string; tenant: string | null; pool: string | null; standing: string; holds: string[] }[];
  pools: { warm: number }[];
  subPools: { isolates: number; standby: number; active: number }[];
  queues: { waiting: number }[];
  fleets: { resident: string[]; onDemand: string[] };
};

const smallPool = JSON.stringify([{ name: 'standard', memoryMib: 256, bindings: '0.2', floor: 1, ceiling: 2 }]);
const args = [
  ...['--isolates-max', '6', '--isolates-slots', '2', '--isolates-idle-ms', '4000', '--isolates-instance-idle-ms', '2000', '--isolates-queue-ms', '4000'],
  ...['--isolates-configurations', smallPool],
  ...['--fleets-window-ms', '1000', '--fleets-resident-above', '40', '--fleets-on-demand-below', '10'],
];

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 2, args });
});

test.after(async () => {
  await node.end();
  cleanUp();
});

const view = async (): Promise<NodeView> => (await (await node.api('GET', '/v1/node')).json()) as NodeView;

const decisions = async (query: string): Promise<Decision[]> =>
  ((await (await node.api('GET', `/v1/decisions?${query}`)).json()) as { items: Decision[] }).items;

const call = async (path: string) => {
  const response = await fetch(`${node.url}${path}`, { headers: { connection: 'close' } });
  const text = await response.text();
  return { status: response.status, text, id: response.headers.get('nacelle-execution'), retryAfter: response.headers.get('retry-after') };
};

/** The record of a call of a function that answers. */
const placed = async (path: string) => {
  const { status, id, text } = await call(path);
  assert.is(status, 200, text);
  return node.execution(id);
};

test('ladder: each rung is hit, and says what it passed over', async () => {
  await node.deploy('rungs', 'hello', { capacity: { fleet: 'on-demand', idleMs: 1500 } });
  await node.deploy('other', 'hello', { capacity: { fleet: 'on-demand' } });
  await until(async () => ((await view()).pools[0]?.warm ?? 0) > 0 || undefined, 'a warm isolate');
  const third = await placed('/rungs/');
  assert.is(third.rung, 3);
  assert.is(third.decisions[0]?.kind, 'place');
  assert.ok((third.decisions[0]?.passedOver.length ?? 0) > 0, 'what was passed over');
  const first = await placed('/rungs/');
  assert.equal([first.rung, first.isolate, first.load], [1, third.isolate, 'thread']);
  const second = await placed('/other/');
  assert.equal([second.rung, second.isolate], [2, third.isolate]);
  const steps = second.timeline.map(({ step }) => step);
  assert.equal(steps, ['arrived', 'admitted', 'placed', 'instantiated', 'guest-started', 'response-started', 'ended', 'released']);
  assert.not.ok(
    first.timeline.some(({ step }) => step === 'instantiated'),
    'an idle instance was there already',
  );
  const [decision] = await decisions(`kind=place&subject=${second.id}`);
  assert.is(decision?.choice, `isolate-${second.isolate}`);
});

test('ladder: beyond all isolates requests wait, and are refused after their time with what to do', async () => {
  await node.deploy('slow', 'echo', { capacity: { fleet: 'on-demand' }, limits: { memoryMib: 128, timeMs: 60_000 } });
  const held = Array.from({ length: 16 }, () => holdRequest(`${node.url}/slow/`));
  const refused = await Promise.race(held.map(({ answer }) => answer));
  assert.is(refused.status, 503);
  assert.match(refused.text, 'capacity-exhausted');
  assert.ok(Number(refused.headers['retry-after']) >= 1);
  const waiting = call('/slow/');
  await until(async () => (await view()).queues.some(({ waiting: count }) => count > 0) || undefined, 'one that waits');
  for (const { status } of await Promise.all(held.map((one) => one.release()))) assert.ok([200, 503].includes(status));
  const { status, id } = await waiting;
  assert.equal([status, (await node.execution(id)).rung], [200, 4]);
  await node.api('DELETE', '/v1/functions/slow');
});

test('keep-alive: idle instances and then isolates are destroyed, and say how long they were unused', async () => {
  const gone = await until(async () => (await decisions('kind=idle')).find(({ subject }) => subject.startsWith('default/rungs@')), 'an idle decision');
  for (const key of ['lastUsedAt', 'timeoutMs', 'perMinute']) assert.ok(key in gone.inputs, key);
  await until(async () => !(await view()).isolates.some(({ tenant }) => tenant === 'default') || undefined, 'isolates to go');
});

test('fleets: a function moves by its volume and loses no request', async () => {
  await node.deploy('hot', 'hello');
  const seen = new Map<string, number>();
  let going = true;
  const load = Array.from({ length: 4 }, async () => {
    while (going) {
      const response = await fetch(`${node.url}/hot/`);
      await response.text();
      const fleet = /fleet;desc="([a-z-]+)"/.exec(response.headers.get('server-timing') ?? '')?.[1];
      const kind = `${response.status} ${fleet}`;
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
      await sleep(5);
    }
  });
  await until(() => ((seen.get('200 resident') ?? 0) > 50 ? true : undefined), 'requests in the resident fleet');
  const { resident } = (await view()).fleets;
  going = false;
  await Promise.all(load);
  assert.equal([...seen.keys()].toSorted(), ['200 on-demand', '200 resident']);
  assert.ok(resident.includes('default/hot'));
  await until(async () => (await view()).fleets.onDemand.includes('default/hot') || undefined, 'its way back');
  // More than once each where a busy machine gave the load no time for a while.
  const moves = await decisions('kind=fleet&subject=default/hot');
  assert.ok(moves.length >= 2 && moves.length % 2 === 0);
  for (const [index, { choice }] of moves.entries()) assert.is(choice, index % 2 === 0 ? 'resident' : 'on-demand');
  assert.is((await placed('/hot/')).fleet, 'on-demand');
});

test('fleets: trust isolated never runs in a gateway thread, a pinned function always does', async () => {
  await node.deploy('apart', 'hello', { trust: 'isolated' });
  await node.deploy('pinned', 'hello', { capacity: { fleet: 'resident' } });
  for (let i = 0; i < 80; i++) await call('/apart/');
  await sleep(300);
  assert.is((await placed('/apart/')).fleet, 'on-demand');
  const { fleet, rung } = await placed('/pinned/');
  assert.equal([fleet, rung], ['resident', null]);
  const refused = await node.api('POST', '/v1/functions', {
    name: 'x',
    module: `sha256:${'0'.repeat(64)}`,
    trust: 'isolated',
    capacity: { fleet: 'resident' },
  });
  assert.is(refused.status, 422);
});

test('tenants: nothing of one runs in an isolate of another', async () => {
  for (const tenant of ['red', 'blue']) {
    await node.api('POST', '/v1/tenants', { name: tenant });
    const digest = ((await (await node.api('GET', '/v1/functions/pinned')).json()) as { version: { digest: string } }).version.digest;
    assert.is((await node.api('PUT', `/v1/modules?tenant=${tenant}`, fixture('hello'))).status < 300, true);
    assert.is((await node.api('POST', `/v1/functions?tenant=${tenant}`, { name: 'mine', module: digest, capacity: { fleet: 'on-demand' } })).status, 201);
  }
  await Promise.all(Array.from({ length: 12 }, (_, i) => call(`/~${i % 2 ? 'red' : 'blue'}/mine/`)));
  for (const { tenant, holds } of (await view()).isolates) for (const held of holds) assert.is(held.split('/')[0], tenant);
});

test('reservation: beyond the ceiling it is refused with both numbers; within, its isolates are used first', async () => {
  const refused = await node.api('PUT', '/v1/tenants/red/reservation', { isolates: 60, functions: ['mine'] });
  assert.is(refused.status, 400);
  assert.match(await refused.text(), /at most \d+ of the 6 isolates of this node can still be reserved, got 60/);
  assert.is((await node.api('PUT', '/v1/tenants/red/reservation', { isolates: 1, functions: ['nope'] })).status, 400);
  const put = await node.api('PUT', '/v1/tenants/red/reservation', { isolates: 1, functions: ['mine'] });
  assert.is(put.status, 200, await put.text());
  const held = await until(
    async () => (await view()).isolates.find(({ pool, holds }) => pool === 'reserved' && holds.some((key) => key.startsWith('red/mine@'))),
    'a reserved isolate with the function loaded',
  );
  await until(async () => {
    const { id } = await call('/~red/mine/');
    const record = (await (await node.api('GET', `/v1/executions/${id}?tenant=red`)).json()) as { isolate: number; rung: number };
    return (record.isolate === held.id && record.rung === 1) || undefined;
  }, 'an execution in the reserved isolate');
  assert.is((await view()).subPools[0]?.isolates, 1);
  assert.is((await node.api('DELETE', '/v1/tenants/red/reservation')).status, 204);
});

test('tenants: a suspended one is refused, also what it has waiting, and goes on when it is resumed', async () => {
  await node.api('POST', '/v1/tenants/blue/suspend');
  assert.is((await call('/~blue/mine/')).status, 403);
  await node.api('POST', '/v1/tenants/blue/resume');
  assert.is((await call('/~blue/mine/')).status, 200);
});

test('remove: a function that is gone is gone from its isolates', async () => {
  await call('/other/');
  await node.api('DELETE', '/v1/functions/other');
  assert.is((await call('/other/')).status, 404);
  await until(async () => !(await view()).isolates.some(({ holds }) => holds.some((key) => key.startsWith('default/other@'))) || undefined, 'it to be gone');
});

const main = fileURLToPath(new URL('../../host/cli/main.ts', import.meta.url));
const nacelle = async (...command: string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...command, '--data', node.data])).stdout;

/** What kind of value each key has; of a list, its first item. */
const shapeOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, shapeOf(of)]));
};

test('explain --json: the record of an execution, with its steps, decisions and meter', async () => {
  await node.deploy('explained', 'hello', { capacity: { fleet: 'on-demand' } });
  const { id } = await call('/explained/');
  await node.execution(id);
  const { meter, decisions: made, timeline, ...rest } = JSON.parse(await nacelle('explain', String(id), '--json'));
  assert.equal(shapeOf(rest), {
    ...{ id: 'string', tenant: 'string', function: 'string', version: 'number', trigger: 'string', state: 'string', arrivedAt: 'string' },
    ...{ fleet: 'string', rung: 'number', isolate: 'number', load: 'string', sidecars: [], result: { status: 'number', bytes: 'number' } },
  });
  const { hostCalls, ...metered } = meter;
  assert.equal(Object.keys(metered), ['cpuUs', 'wallUs', 'memoryBytesPeak', 'memoryRefused', 'bytesIn', 'bytesOut']);
  assert.ok(Object.values(hostCalls).every((count) => typeof count === 'number'));
  assert.equal(shapeOf(timeline), [{ at: 'number', step: 'string' }]);
  const [{ inputs, ...decision }] = made;
  assert.equal(shapeOf(decision), { at: 'number', kind: 'string', choice: 'string', passedOver: [{ candidate: 'string', reason: 'string' }] });
  assert.is(inputs.version.split('@')[0], 'default/explained');
  const text = await nacelle('explain', String(id));
  for (const part of [/fleet +on-demand/, /guest-started/, /passed over/, new RegExp(String(id))]) assert.match(text, part);
});

test('top --json: isolates by state, pools, reservations, queues, fleets, gateways and the cache', async () => {
  await call('/explained/');
  const top = JSON.parse(await nacelle('top', '--json'));
  const isolate = top.isolates.find(({ holds }: { holds: string[] }) => holds.length > 0);
  assert.equal(shapeOf(isolate), {
    ...{ id: 'number', state: 'string', tenant: 'string', pool: 'string', reservation: 'null', standing: 'string', configuration: 'string' },
    ...{ holds: ['string'], attached: [], inFlight: 'number', since: 'number' },
  });
  assert.equal(shapeOf(top.pools[0]), { configuration: 'string', floor: 'number', ceiling: 'number', target: 'number', warm: 'number', warming: 'number' });
  assert.equal([Array.isArray(top.subPools), Array.isArray(top.queues)], [true, true]);
  assert.equal(shapeOf(top.fleets), { resident: ['string'], onDemand: ['string'] });
  for (const key of ['id', 'inFlight', 'instances']) assert.is(typeof top.gateways[0][key], 'number', key);
  for (const key of ['entries', 'bytes', 'hits', 'misses', 'evicted', 'expired']) assert.is(typeof top.cache[key], 'number', key);
});

test('limits: a guest that loops in an isolate is ended and its isolate goes on', async () => {
  await node.deploy('looping', 'stop/loop', { capacity: { fleet: 'on-demand' }, limits: { cpuMs: 100 } });
  const { status, text, id } = await call('/looping/');
  assert.is(status, 504);
  assert.match(text, 'cpu-limit');
  assert.is((await node.execution(id)).fleet, 'on-demand');
  assert.is((await call('/apart/')).status, 200);
});

test('fleets: where an admin must approve, only what was approved becomes resident', async () => {
  const strict = await startTestNode({ gateways: 1, args: [...args, '--fleets-resident', 'admin-approved'] });
  await strict.deploy('pinned', 'hello', { capacity: { fleet: 'resident' } });
  const fleet = async (): Promise<string> => (await fetch(`${strict.url}/pinned/`)).headers.get('server-timing') ?? '';
  assert.match(await fleet(), 'on-demand');
  assert.is((await strict.api('PUT', '/v1/functions/pinned/resident')).status, 204);
  await until(async () => (await fleet()).includes('"resident"') || undefined, 'the resident fleet');
  await strict.end();
});

test.run();
