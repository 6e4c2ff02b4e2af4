import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import type { ByteSource } from '../../host/base/stream.ts';
import { closeFleets, compileFixture, type FleetKit, openFleet, until, version } from './harness.ts';

test.after(closeFleets);

const assigned = ({ driver }: FleetKit): number | undefined => driver.snapshot().isolates.find(({ state }) => state === 'assigned')?.id;

/** Gives its chunks, and ends when it is told to. */
class SlowBody implements ByteSource {
  chunks: Uint8Array[];
  private readonly waiters: (() => void)[] = [];
  private ended = false;

  constructor(...chunks: Uint8Array[]) {
    this.chunks = chunks;
  }

  finish(): void {
    this.ended = true;
    for (const wake of this.waiters.splice(0)) wake();
  }

  get ready(): boolean {
    return this.chunks.length > 0 || this.ended;
  }

  read(max: number): Uint8Array | null {
    const chunk = this.chunks.shift();
    if (!chunk) return this.ended ? null : new Uint8Array(0);
    if (chunk.length > max) this.chunks.unshift(chunk.subarray(max));
    return chunk.subarray(0, max);
  }

  readable(): Promise<void> {
    return this.ready ? Promise.resolve() : new Promise((resolve) => this.waiters.push(resolve));
  }

  trailers(): undefined {}
  cancel(): void {}
}

test('driver: the first request finds a standby isolate, the next an idle instance', async () => {
  const kit = openFleet();
  kit.driver.addVersion(version('hello'));
  const first = kit.begin('t/hello@1');
  assert.is((await first.end).failure, undefined);
  assert.is(first.collector.answer().text, 'Hello from nacelle!\n');
  assert.ok((first.run.place?.rung ?? 0) >= 3);
  const second = kit.begin('t/hello@1');
  await second.end;
  assert.equal([second.run.place?.rung, second.run.place?.isolate, second.run.decisions?.length], [1, first.run.place?.isolate, 0]);
  await kit.close();
});

test('driver: the next attempt at an execution finds a place, also when the isolate has not yet told of the end of the last one', async () => {
  const kit = openFleet();
  const versions = ['hello', 'echo', 'trap'];
  for (const name of versions) kit.driver.addVersion(version(name));
  for (let round = 0; round < 10; round++) {
    for (const name of versions) {
      const { end, run } = kit.begin(`t/${name}@1`, { id: `again-${round}`, path: '/' });
      const late = setTimeout(() => run.stop('time-limit', 'it found no place'), 8000);
      assert.is((await end).failure, undefined, `${name} in round ${round}`);
      clearTimeout(late);
    }
  }
  await kit.close();
});

test('kill: an isolate that stands by is replaced', async () => {
  const kit = openFleet();
  await until(() => kit.driver.snapshot().pools[0]?.warm === 1, 'a warm isolate');
  const standing = kit.driver.snapshot().isolates[0]?.id as number;
  await kit.driver.kill(standing);
  await until(() => kit.driver.snapshot().isolates.some(({ id, state }) => id !== standing && state === 'warm'), 'another one');
  await kit.close();
});

test('kill: while the module is on its way, the request is placed again', async () => {
  const loading = Promise.withResolvers<void>();
  let loads = 0;
  const kit = openFleet({}, async (digest) => {
    if (loads++ === 0) await loading.promise;
    return compileFixture(digest);
  });
  kit.driver.addVersion(version('hello'));
  const begun = kit.begin('t/hello@1');
  await until(() => loads === 1 && assigned(kit) !== undefined, 'the load');
  const killed = assigned(kit) as number;
  await kit.driver.kill(killed);
  loading.resolve();
  assert.is((await begun.end).failure, undefined);
  assert.is.not(begun.run.place?.isolate, killed);
  await kit.close();
});

test('kill: while the guest runs without effect, the run begins again elsewhere', async () => {
  const kit = openFleet();
  kit.driver.addVersion(version('stop/poll'));
  const begun = kit.begin('t/stop/poll@1');
  await until(() => begun.run.place !== undefined, 'a place');
  await new Promise((resolve) => setTimeout(resolve, 100));
  const killed = begun.run.place?.isolate as number;
  await kit.driver.kill(killed);
  await until(() => begun.run.place?.isolate !== killed, 'another place');
  begun.run.stop('time-limit', 'enough');
  assert.is((await begun.end).failure?.problem.code, 'time-limit');
  await kit.close();
});

test('kill: a body that was read in part is given again from its start', async () => {
  const kit = openFleet();
  kit.driver.addVersion(version('stop/poll'));
  const body = new SlowBody(Buffer.from('first half, '));
  const begun = kit.begin('t/stop/poll@1', { body });
  await until(() => body.chunks.length === 0 && begun.run.place !== undefined, 'the body to be read');
  const killed = begun.run.place?.isolate as number;
  await kit.driver.kill(killed);
  await until(() => begun.run.place?.isolate !== killed, 'another place');
  body.chunks.push(Buffer.from('second half'));
  body.finish();
  begun.run.stop('time-limit', 'enough');
  assert.is((await begun.end).failure?.problem.code, 'time-limit');
  await kit.close();
});

test('kill: a run that has begun to answer is isolate-lost', async () => {
  const kit = openFleet();
  kit.driver.addVersion(version('drip'));
  const begun = kit.begin('t/drip@1', { path: '/?chunks=100&ms=50' });
  await until(() => begun.collector.chunks.length > 0, 'a first chunk');
  await kit.driver.kill(begun.run.place?.isolate as number);
  assert.is((await begun.end).failure?.problem.code, 'isolate-lost');
  await kit.close();
});

test('kill: a run whose body is too large to be held is isolate-lost', async () => {
  const kit = openFleet();
  kit.driver.addVersion(version('stop/poll'));
  const body = new SlowBody(new Uint8Array(100_000));
  const begun = kit.begin('t/stop/poll@1', { body });
  await until(() => body.chunks.length === 0, 'the body to be read');
  await kit.driver.kill(begun.run.place?.isolate as number);
  assert.is((await begun.end).failure?.problem.code, 'isolate-lost');
  await kit.close();
});

test('kill: a run that made an effect is isolate-lost, though it has sent no byte', async () => {
  const asked = Promise.withResolvers<void>();
  const server = createServer(() => asked.resolve()).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const authority = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const kit = openFleet();
  kit.driver.addVersion(version('caller', { outboundHosts: [authority] }));
  const begun = kit.begin('t/caller@1', { path: `/http://${authority}/` });
  await asked.promise;
  await kit.driver.kill(begun.run.place?.isolate as number);
  assert.is((await begun.end).failure?.problem.code, 'isolate-lost');
  await kit.close();
  server.closeAllConnections();
  server.close();
});

test('kill: while an isolate drains, the function runs elsewhere and nothing waits for it', async () => {
  const kit = openFleet({ max: 2 });
  kit.driver.addVersion(version('stop/poll'));
  kit.driver.addVersion(version('hello', { key: 'u/hello@1', tenant: 'u' }));
  const held = kit.begin('t/stop/poll@1');
  await until(() => held.run.place !== undefined, 'a place');
  const killed = held.run.place?.isolate as number;
  kit.driver.feed({ type: 'tenant-suspended', tenant: 't' });
  await until(() => kit.driver.snapshot().isolates.some(({ id, state }) => id === killed && state === 'draining'), 'it to drain');
  await kit.driver.kill(killed);
  assert.ok((await held.end).failure, 'its tenant is suspended: no other place');
  assert.is((await kit.begin('u/hello@1').end).failure, undefined);
  await until(() => kit.driver.snapshot().isolates.every(({ id }) => id !== killed), 'it to be forgotten');
  await kit.close();
});

test('start: threads that the system refuses are tried again, and who waits is served', async () => {
  let refusals = 3;
  const kit = openFleet({}, compileFixture, () => {
    if (refusals-- > 0) throw new Error('ERR_WORKER_INIT_FAILED: EAGAIN');
    return { reservedPorts: [] };
  });
  kit.driver.addVersion(version('hello'));
  const begun = kit.begin('t/hello@1');
  assert.is((await begun.end).failure, undefined);
  assert.is(begun.run.place?.rung, 4);
  assert.ok(refusals < 0);
  await kit.close();
});

test('start: when no thread can be had at all, requests are refused after their time', async () => {
  const kit = openFleet({ queueMs: 300 }, compileFixture, () => {
    throw new Error('EAGAIN');
  });
  kit.driver.addVersion(version('hello'));
  const { failure } = await kit.begin('t/hello@1').end;
  assert.is(failure?.problem.code, 'capacity-exhausted');
  assert.ok((failure?.problem.retryAfterMs ?? 0) >= 1000);
  await kit.close();
});

test('clock: a jump of the time of day, forward or back, ends nobody and holds nobody', async () => {
  const kit = openFleet({ max: 1, configurations: [{ name: 'standard', memoryMib: 128, bindings: '0.2', floor: 0, ceiling: 1 }] });
  kit.driver.addVersion(version('stop/poll', { limits: { memoryMib: 64, cpuMs: 500, timeMs: 5000, bodyMib: 1, concurrency: 100 } }));
  const running = [kit.begin('t/stop/poll@1'), kit.begin('t/stop/poll@1')];
  await until(() => running.every(({ run }) => run.place !== undefined), 'two places');
  const waiting = kit.begin('t/stop/poll@1');
  await until(() => kit.driver.snapshot().queues[0]?.waiting === 1, 'one that waits');
  const { now } = Date;
  try {
    for (const jumpMs of [86_400_000, -86_400_000]) {
      Date.now = () => now() + jumpMs;
      kit.driver.feed({ type: 'tick' });
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.is(kit.driver.snapshot().queues[0]?.waiting, 1);
      assert.is(kit.driver.snapshot().isolates.length, 1);
    }
    running[0]?.run.stop('time-limit', 'enough');
    await until(() => waiting.run.place !== undefined, 'its place');
  } finally {
    Date.now = now;
  }
  for (const { run } of [...running, waiting]) run.stop('time-limit', 'enough');
  await waiting.end;
  await kit.close();
});

test('load: a module that cannot be had refuses its requests with the reason', async () => {
  const kit = openFleet({}, async () => {
    throw new Problem('module-not-found', 'there is no such module');
  });
  kit.driver.addVersion(version('gone'));
  const { failure } = await kit.begin('t/gone@1').end;
  assert.equal([failure?.problem.code, failure?.problem.message], ['module-not-found', 'there is no such module']);
  await kit.close();
});

test('queue: requests beyond all isolates wait their turn, and a function removed meanwhile refuses them', async () => {
  const kit = openFleet({ max: 1, configurations: [{ name: 'standard', memoryMib: 128, bindings: '0.2', floor: 1, ceiling: 1 }] });
  kit.driver.addVersion(version('hello'));
  kit.driver.addVersion(version('stop/poll'));
  const blocking = [kit.begin('t/stop/poll@1'), kit.begin('t/stop/poll@1')];
  await until(() => blocking.every(({ run }) => run.place !== undefined), 'both to run');
  const [waits, leaves] = [kit.begin('t/hello@1'), kit.begin('t/hello@1')];
  await until(() => kit.driver.snapshot().queues[0]?.waiting === 2, 'a queue');
  leaves.run.stop('client-gone', 'gone');
  await until(() => kit.driver.snapshot().queues[0]?.waiting === 1, 'one to leave it');
  blocking[0]?.run.stop('time-limit', 'enough');
  assert.is((await waits.end).failure, undefined);
  assert.is(waits.run.place?.rung, 4);
  const removed = [kit.begin('t/hello@1'), kit.begin('t/stop/poll@1'), kit.begin('t/hello@1')];
  await until(() => (kit.driver.snapshot().queues[0]?.waiting ?? 0) > 0, 'a queue again');
  kit.driver.removeVersion('t/hello@1');
  kit.driver.removeVersion('t/stop/poll@1');
  for (const { run } of [...removed, ...blocking]) setTimeout(() => run.stop('time-limit', 'enough'), 500);
  const ends = await Promise.all([...removed, ...blocking].map(({ end }) => end));
  assert.ok(ends.some(({ failure }) => failure?.problem.code === 'function-not-found'));
  await kit.close();
});

test('leave: what a gateway had is forgotten, and its places are free again', async () => {
  const kit = openFleet({ max: 1, configurations: [{ name: 'standard', memoryMib: 128, bindings: '0.2', floor: 1, ceiling: 1 }] });
  kit.driver.addVersion(version('stop/poll'));
  const runs = [kit.begin('t/stop/poll@1'), kit.begin('t/stop/poll@1'), kit.begin('t/stop/poll@1')];
  await until(() => runs.filter(({ run }) => run.place !== undefined).length === 2 && kit.driver.snapshot().queues[0]?.waiting === 1, 'runs and a queue');
  kit.driver.leave(0);
  await until(() => kit.driver.snapshot().isolates[0]?.inFlight === 0 && kit.driver.snapshot().queues.length === 0, 'all to be forgotten');
  await kit.close();
});

test.run();
