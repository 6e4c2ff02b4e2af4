import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, exitOf, fixture, holdRequest, spawnNode, startTestNode, type TestNode, until } from './node.ts';

/** A node with room for four executions in isolates: two isolates of two. */
const configurations = (floor: number): string => JSON.stringify([{ name: 'standard', memoryMib: 128, bindings: '0.2', floor, ceiling: 2 }]);
const args = ['--isolates-max', '2', '--isolates-slots', '2', '--isolates-queue-ms', '20000', '--isolates-configurations', configurations(0)];
const limits = { memoryMib: 64, concurrency: 1000, timeMs: 40_000 };

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1, args });
});

test.after(async () => {
  await node.end();
  cleanUp();
});

type Queues = { queues: { tenant: string; waiting: number }[] };

const waiting = async (): Promise<number> => {
  const { queues } = (await (await node.api('GET', '/v1/node')).json()) as Queues;
  return queues.reduce((sum, queue) => sum + queue.waiting, 0);
};

const call = async (path: string): Promise<{ status: number; text: string; retryAfter: number }> => {
  const response = await fetch(`${node.url}${path}`, { headers: { connection: 'close' } });
  return { status: response.status, text: await response.text(), retryAfter: Number(response.headers.get('retry-after')) };
};

/** Requests that hold all isolates until they are released, and others that wait for them. */
const occupy = async (name: string, more: number) => {
  const held = Array.from({ length: 4 }, () => holdRequest(`${node.url}/${name}/`));
  await until(async () => {
    const { isolates } = (await (await node.api('GET', '/v1/node')).json()) as { isolates: { inFlight: number }[] };
    return isolates.reduce((sum, { inFlight }) => sum + inFlight, 0) === 4 || undefined;
  }, 'full isolates');
  const others = Array.from({ length: more }, () => call(`/${name}/`));
  await until(async () => (await waiting()) > 0 || undefined, 'requests that wait');
  const release = async (): Promise<void> => {
    for (const { status, text } of await Promise.all(held.map((one) => one.release()))) assert.equal([status, text], [200, 'held and released']);
  };
  return { others, release };
};

test('remove: what waits for a function that is removed is refused, what runs ends as it would have', async () => {
  await node.deploy('going', 'echo', { capacity: { fleet: 'on-demand' }, limits });
  const { others, release } = await occupy('going', 3);
  assert.is((await node.api('DELETE', '/v1/functions/going')).status, 204);
  for (const { status, text } of await Promise.all(others)) {
    assert.is(status, 404);
    assert.match(text, 'function-not-found');
  }
  await release();
});

test('suspend: what waits is refused, what runs ends as it would have, and nothing is left of the tenant in isolates', async () => {
  const { digest } = (await (await node.api('PUT', '/v1/modules', fixture('echo'))).json()) as { digest: string };
  await node.api('POST', '/v1/tenants', { name: 'red' });
  await node.api('PUT', '/v1/modules?tenant=red', fixture('echo'));
  assert.is((await node.api('POST', '/v1/functions?tenant=red', { name: 'echo', module: digest, capacity: { fleet: 'on-demand' }, limits })).status, 201);
  const { others, release } = await occupy('~red/echo', 3);
  assert.is((await node.api('POST', '/v1/tenants/red/suspend')).status, 200);
  for (const { status, text } of await Promise.all(others)) {
    assert.is(status, 403);
    assert.match(text, 'tenant-suspended');
  }
  await release();
  await until(async () => {
    const { isolates } = (await (await node.api('GET', '/v1/node')).json()) as { isolates: { tenant: string | null }[] };
    return !isolates.some(({ tenant }) => tenant === 'red') || undefined;
  }, 'its isolates to go');
  await node.api('POST', '/v1/tenants/red/resume');
  assert.is((await call('/~red/echo/')).status, 200);
});

test('queue: when it is full, more requests are refused at once with both numbers and when to come again', async () => {
  await node.deploy('many', 'echo', { capacity: { fleet: 'on-demand' }, limits });
  const { others, release } = await occupy('many', 300);
  const refused: Awaited<ReturnType<typeof call>>[] = [];
  for (const other of others) other.then((answer) => answer.status === 200 || refused.push(answer));
  await until(() => refused.length === 300 - 256 || undefined, 'all that find it full to be refused');
  await release();
  for (const { status } of await Promise.all(others)) assert.ok(status === 200 || status === 503);
  assert.is(refused.length, 300 - 256, 'and no others');
  for (const { status, text, retryAfter } of refused) {
    assert.is(status, 503);
    assert.match(text, /at most 256 requests of a tenant wait, 256 do/);
    assert.ok(retryAfter >= 1);
  }
  assert.is((await call('/many/')).status, 200);
});

test('serve: settings of isolates that contradict each other are refused, all of them', async () => {
  const wrong = ['--isolates-max', '1', '--isolates-queue-ms', '0', '--isolates-configurations', configurations(2)];
  const { child, errors } = spawnNode({ gateways: 1, args: wrong });
  assert.is.not(await exitOf(child), 0);
  assert.match(errors(), /the floors together are at most isolates.max 1, got 2/);
  assert.match(errors(), /cannot set isolates.queueMs/);
});

test.run();
