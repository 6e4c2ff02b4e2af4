import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { load, poolOf, ports, send, start } from './harness.ts';

test('pool: a stop that comes before the guest runs is not lost', async () => {
  const loaded = await load('hello');
  const pool = poolOf(loaded);
  const { running, collector } = start(pool, loaded.handler);
  running.stop('client-gone', 'gone at once');
  const { ended } = await running.done;
  assert.is(ended?.code, 'client-gone');
  assert.is(collector.status, 0, 'the guest did not answer');
  assert.equal(pool.stats, { idle: 0, running: 0 });
});

test('pool: a stop that comes after the end does not reach the next execution on the instance', async () => {
  const loaded = await load('hello');
  const pool = poolOf(loaded);
  const first = start(pool, loaded.handler);
  await first.running.done;
  const second = start(pool, loaded.handler);
  first.running.stop('client-gone', 'too late');
  const { ended, fresh } = await second.running.done;
  assert.is(ended, undefined);
  assert.is(fresh, false, 'the instance was used again');
  assert.is(second.collector.status, 200);
});

test('pool: what an execution shares is attached before it has an instance, and says when', async () => {
  const loaded = await load('hello');
  const pool = poolOf(loaded);
  let idle: number | undefined;
  const attach = async (): Promise<void> => {
    idle = pool.stats.idle;
  };
  const first = await send(pool, loaded.handler, {}, { ...ports(), attach });
  assert.is(first.answer.status, 200);
  const { attachedMs = Number.NaN, instantiatedMs = Number.NaN } = first.outcome.steps ?? {};
  assert.ok(attachedMs <= instantiatedMs && instantiatedMs <= (first.outcome.startedMs ?? 0), JSON.stringify(first.outcome.steps));
  const second = await send(pool, loaded.handler, {}, { ...ports(), attach });
  assert.is(idle, 1, 'the kept instance was not taken yet');
  assert.equal(Object.keys(second.outcome.steps ?? {}), ['attachedMs']);
  assert.is((await send(pool, loaded.handler)).outcome.steps, undefined);
});

test('pool: what cannot be attached is why the guest did not run, and a stop meanwhile is not lost', async () => {
  const loaded = await load('hello');
  const pool = poolOf(loaded);
  const refused = async (): Promise<void> => {
    throw new Problem('unavailable', 'cannot attach the region');
  };
  const { ended } = (await send(pool, loaded.handler, {}, { ...ports(), attach: refused })).outcome;
  assert.equal([ended?.code, ended?.message], ['unavailable', 'cannot attach the region']);
  const { running } = start(pool, loaded.handler, {}, { ...ports(), attach: async () => undefined });
  running.stop('client-gone', 'gone at once');
  assert.is((await running.done).ended?.code, 'client-gone');
  assert.equal(pool.stats, { idle: 0, running: 0 });
});

test('pool: reuse keeps state between executions, pristine does not', async () => {
  const loaded = await load('router');
  for (const [mode, expected] of [
    ['reuse', ['{"count":1}', '{"count":2}', '{"count":3}']],
    ['pristine', ['{"count":1}', '{"count":1}', '{"count":1}']],
  ] as const) {
    const pool = poolOf(loaded, { mode });
    const seen: string[] = [];
    for (let i = 0; i < 3; i++) seen.push((await send(pool, loaded.handler, { path: '/count' })).answer.text.replace(/\s/g, ''));
    assert.equal(seen, expected as unknown as string[], mode);
    pool.close();
  }
});

test('pool: grows by demand, and sweep drops what has been idle for long', async () => {
  const loaded = await load('hello');
  const pool = poolOf(loaded);
  await Promise.all(Array.from({ length: 5 }, () => send(pool, loaded.handler)));
  assert.equal(pool.stats, { idle: 5, running: 0 });
  pool.sweep(60_000);
  await new Promise((resolve) => setTimeout(resolve, 5));
  pool.sweep(1);
  assert.equal(pool.stats, { idle: 0, running: 0 });
  await send(pool, loaded.handler);
  pool.close();
  assert.equal(pool.stats, { idle: 0, running: 0 });
});

test('pool: memory that begins above the limit is refused with both numbers', async () => {
  const loaded = await load('rust-std');
  const pool = poolOf(loaded, { limits: { memoryPages: 2, cpuMs: 100 } });
  const { outcome } = await send(pool, loaded.handler);
  assert.is(outcome.ended?.code, 'memory-limit');
  assert.match(outcome.ended?.message ?? '', /begin with .* MiB, the limit is 0\.125 MiB/);
});

test('pool: a refused memory.grow and then a trap is memory-limit; refused and answered is no error', async () => {
  const loaded = await load('leak');
  const pool = poolOf(loaded, { limits: { memoryPages: 64, cpuMs: 1000 } });
  const trapped = await send(pool, loaded.handler, { path: '/trap' });
  assert.is(trapped.outcome.ended?.code, 'memory-limit');
  const answered = await send(pool, loaded.handler, { path: '/' });
  assert.is(answered.outcome.ended, undefined);
  assert.ok(answered.outcome.meter.memoryRefused);
  assert.ok(answered.outcome.meter.memoryBytesPeak <= 64 * 65536);
});

test('pool: a trap names the function in its backtrace', async () => {
  const loaded = await load('trap');
  const { outcome } = await send(poolOf(loaded), loaded.handler, { path: '/unreachable' });
  assert.is(outcome.ended?.code, 'guest-trap');
  assert.match(outcome.ended?.message ?? '', /unreachable/);
  assert.match(outcome.ended?.stack ?? '', /wasm/);
});

test('pool: the heap stays flat over 20,000 executions', async () => {
  const loaded = await load('hello');
  const pool = poolOf(loaded);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = async (): Promise<number> => {
    for (let i = 0; i < 4; i++) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return process.memoryUsage().heapUsed;
  };
  for (let i = 0; i < 2000; i++) await send(pool, loaded.handler);
  const before = await used();
  for (let i = 0; i < 20_000; i++) await send(pool, loaded.handler);
  const grown = (await used()) - before;
  assert.ok(grown < 300_000, `the heap grew by ${grown} bytes`);
});

test.run();
