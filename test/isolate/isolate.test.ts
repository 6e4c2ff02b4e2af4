import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ByteSink, ByteSource } from '../../host/base/stream.ts';
import type { IsolateEnd } from '../../host/isolate/client.ts';
import { allocateHoldings } from '../../host/isolate/holdings.ts';
import { Isolate } from '../../host/isolate/isolate.ts';
import type { GuestRequest } from '../../host/wasi/context.ts';
import { type Captured, Collector, ports, type Sent } from '../instance/harness.ts';
import { until } from '../system/node.ts';
import { begin, type Kit, startIsolate } from './harness.ts';

class Bytes implements ByteSource {
  private readonly chunks: Uint8Array[];
  readonly ready = true;

  constructor(chunks: Uint8Array[]) {
    this.chunks = chunks;
  }

  read(max: number): Uint8Array | null {
    const chunk = this.chunks.shift();
    if (!chunk) return null;
    if (chunk.length > max) this.chunks.unshift(chunk.subarray(max));
    return chunk.subarray(0, max);
  }

  async readable(): Promise<void> {}
  trailers(): undefined {}
  cancel(): void {}
}

const requestOf = ({ method = 'GET', path = '/', headers = [] }: Sent, body: ByteSource | null): GuestRequest => ({
  method,
  scheme: 'http',
  authority: 'localhost',
  pathWithQuery: path,
  headers: headers.map(([name, value]) => [name, Buffer.from(value)]),
  body,
});

async function send(
  kit: Kit,
  cell: number,
  sent: Sent = {},
  body: ByteSource | null = null,
  captured: Captured = { stdout: '', records: [] },
  collector = new Collector(),
) {
  const run = begin(kit.client, cell, ['first'], requestOf(sent, body), collector, ports(captured));
  const end = await run.ended;
  return { answer: collector.answer(), end, captured };
}

const codeOf = (end: IsolateEnd): string | undefined => (end.kind === 'ended' ? end.end.failure?.problem.code : end.kind);

test('isolate: answers, keeps the instance and says so in the shared cell', async () => {
  const kit = await startIsolate();
  await kit.hold('hello', 5);
  assert.is(kit.cells.idle(5), 0);
  const { answer, end } = await send(kit, 5);
  assert.is(answer.status, 200);
  assert.is(answer.text, 'Hello from nacelle!\n');
  assert.is(end.kind, 'ended');
  assert.ok(end.kind === 'ended' && end.end.meter.cpuUs > 0 && end.end.response === 'finished');
  assert.is(kit.cells.idle(5), 1);
  assert.ok(kit.cells.take(5));
  assert.not.ok(kit.cells.take(5), 'one instance can be taken once');
  await send(kit, 5);
  assert.is(kit.cells.idle(5), 1);
  await kit.isolate.terminate();
});

test('isolate: bodies of megabytes stream both ways, logs come along', async () => {
  const kit = await startIsolate();
  await kit.hold('echo', 1);
  await kit.hold('printer', 2);
  const chunks = Array.from({ length: 64 }, (_, i) => new Uint8Array(100_000).fill(i));
  const whole = Buffer.concat(chunks);
  const { answer } = await send(kit, 1, { method: 'POST' }, new Bytes(chunks));
  assert.is(Buffer.compare(answer.body, whole), 0, 'every byte came back');
  assert.ok(answer.complete);
  const { captured } = await send(kit, 2);
  assert.ok(captured.stdout.length > 256);
  assert.ok(captured.records.length >= 6, 'one record of each level');
  await kit.isolate.terminate();
});

/** Takes a few bytes at a time. */
class Narrow extends Collector {
  override respond(...head: Parameters<Collector['respond']>): ByteSink {
    return { ...super.respond(...head), capacity: 100 };
  }
}

test('isolate: a response arrives whole, in one frame or in several, whatever there is room for', async () => {
  const kit = await startIsolate();
  await kit.hold('echo', 1);
  for (const bytes of [0, 1, 64, 65, 1000, 16 * 1024, 16 * 1024 + 1, 300_000]) {
    for (const collector of [new Collector(), new Narrow()]) {
      const body = Buffer.alloc(bytes, 'é0123456789');
      const { answer, end } = await send(kit, 1, { method: 'POST' }, new Bytes([body]), undefined, collector);
      assert.is(Buffer.compare(answer.body, body), 0, `${bytes} bytes`);
      assert.ok(answer.complete && end.kind === 'ended' && end.end.meter.hostCalls.counts.some((count) => count > 0));
      if (collector instanceof Narrow) assert.ok(collector.chunks.every(({ length }) => length <= 100));
    }
  }
  await kit.isolate.terminate();
});

test('isolate: 200 runs at once on one channel are all right', async () => {
  const kit = await startIsolate();
  await kit.hold('echo', 1);
  const all = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const text = `${i} `.repeat(20_000);
      const { answer } = await send(kit, 1, { method: 'POST' }, new Bytes([Buffer.from(text)]));
      return answer.text === text;
    }),
  );
  assert.equal(new Set(all), new Set([true]));
  assert.is(kit.client.inFlight, 0);
  await kit.isolate.terminate();
});

test('isolate: traps, limits and stops end one run with its code; others go on', async () => {
  const kit = await startIsolate();
  await kit.hold('trap', 1);
  await kit.hold('stop/loop', 2);
  await kit.hold('stop/poll', 3);
  await kit.hold('hello', 4);
  const collector = new Collector();
  const waiting = begin(kit.client, 3, [], requestOf({}, null), collector, ports());
  assert.is(codeOf((await send(kit, 1, { path: '/unreachable' })).end), 'guest-trap');
  const looping = send(kit, 2);
  assert.is((await send(kit, 4)).answer.status, 200, 'another run is served while a guest loops');
  assert.is(codeOf((await looping).end), 'cpu-limit');
  assert.is(kit.cells.idle(1) + kit.cells.idle(2), 0, 'an ended instance is not offered');
  waiting.stop('time-limit', 'too long');
  assert.is(codeOf(await waiting.ended), 'time-limit');
  await kit.isolate.terminate();
});

test('isolate: a version that was let go answers not-held', async () => {
  const kit = await startIsolate();
  await kit.hold('hello', 1);
  kit.isolate.release(1);
  assert.is((await send(kit, 1)).end.kind, 'not-held');
  assert.is((await send(kit, 77)).end.kind, 'not-held');
  await kit.isolate.terminate();
});

test('isolate: when it is lost, runs without effect may be repeated and others may not', async () => {
  const kit = await startIsolate();
  await kit.hold('stop/poll', 1);
  await kit.hold('drip', 2);
  const before = send(kit, 1);
  const answering = new Collector();
  const begun = send(kit, 2, { path: '/?chunks=1000&ms=20' }, null, undefined, answering);
  await until(() => answering.chunks.length > 0 || undefined, 'a first chunk');
  await kit.isolate.terminate();
  assert.equal((await before).end, { kind: 'lost', repeatable: true });
  assert.equal((await begun).end, { kind: 'lost', repeatable: false });
  assert.equal((await send(kit, 1)).end, { kind: 'lost', repeatable: true }, 'later runs learn it at once');
});

test('isolate: prepares instances before anybody asks, and drops those that the supervisor has taken', async () => {
  const kit = await startIsolate();
  await kit.hold('hello', 1);
  kit.isolate.prepare(1, 3);
  assert.equal(await kit.next('prepared'), { kind: 'prepared', cell: 1, instances: 3, failed: 0 });
  await until(() => kit.cells.idle(1) === 3 || undefined, 'three idle instances');
  assert.ok(kit.cells.take(1));
  kit.isolate.drop(1);
  assert.is((await send(kit, 1)).answer.status, 200);
  await kit.isolate.terminate();
});

test('isolate: tells of the runs that gateways began by themselves, and of placed ones by name', async () => {
  const kit = await startIsolate();
  await kit.hold('hello', 1);
  await send(kit, 1);
  const { cells, placed } = await kit.next('activity');
  const peakBytes = cells[0]?.peakBytes ?? 0;
  assert.ok(peakBytes >= 65_536 && peakBytes <= 64 * 1024 * 1024, `${peakBytes} bytes at most`);
  assert.equal(cells, [{ cell: 1, taken: 1, kept: 1, gone: 0, withheld: 0, peakBytes }]);
  assert.equal(placed, []);
  kit.isolate.withhold(true);
  const before = kit.cells.idle(1);
  const run = begin(kit.client, 1, [], requestOf({}, null), new Collector(), ports(), true);
  await run.ended;
  const told = await kit.next('activity');
  assert.is(told.placed.length, 1);
  assert.ok(told.placed[0]?.kept && told.placed[0]?.withheld);
  assert.is(kit.cells.idle(1), before, 'it is not offered yet');
  await kit.isolate.terminate();
});

test('isolate: drain ends it when its last run has ended', async () => {
  const kit = await startIsolate();
  await kit.hold('drip', 1);
  const answering = new Collector();
  const slow = send(kit, 1, { path: '/?chunks=3&ms=50' }, null, undefined, answering);
  await until(() => answering.chunks.length > 0 || undefined, 'a first chunk');
  kit.isolate.drain();
  const { answer, end } = await slow;
  assert.is(end.kind, 'ended');
  assert.ok(answer.complete, 'the response came whole');
  assert.is(await kit.exited, undefined);
});

test('isolate: a heap out of memory ends the isolate and nothing else', async () => {
  const kit = await startIsolate({ heapMib: 16 });
  await kit.hold('stop/handles', 1, { limits: { memoryMib: 64, cpuMs: 60_000, concurrency: 1000 } });
  const runs = Array.from({ length: 40 }, () => send(kit, 1));
  const reason = await kit.exited;
  assert.match(String(reason), /memory/i);
  const ends = await Promise.all(runs);
  assert.ok(ends.some(({ end }) => end.kind === 'lost'));
});

test('isolate: one that is slow to start is not taken for one that hangs', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'nacelle-isolate-'));
  const program = join(directory, 'slow.cjs');
  const blockedMs = 6500;
  const block = `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${blockedMs});`;
  writeFileSync(program, `${block} require('node:worker_threads').parentPort.postMessage({ kind: 'warm' }); setInterval(() => {}, 1000);`);
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const isolate = new Isolate(
    { id: 1, cells: allocateHoldings(), reservedPorts: [], heapMib: 64, program },
    { onMessage: ({ kind }) => resolve(kind), onExit: (reason) => resolve(reason) },
  );
  assert.is(await promise, 'warm');
  await isolate.terminate();
  rmSync(directory, { recursive: true });
});

test.run();
