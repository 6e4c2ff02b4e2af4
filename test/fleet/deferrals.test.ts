import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { bareRecord } from '../../host/execution/record.ts';
import type { StoredEnd, StoredRequest } from '../../host/execution/stored-run.ts';
import { Deferrals, type DeferralsOptions, type DeferredEnd, findLater } from '../../host/fleet/deferrals.ts';
import { StoredLog } from '../../host/fleet/stored-log.ts';
import { failedEnd } from '../../host/fleet/stored-runs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { Json, ScanOptions, Write } from '../../host/store/table.ts';
import { sleep, until } from '../system/node.ts';
import { version } from './harness.ts';

/** A table that is full while it is said to be. */
class FullTable extends MemoryTable {
  full = false;

  override async commit(writes: readonly Write[]): Promise<{ revision: number }> {
    if (this.full && writes.some((write) => 'put' in write)) throw new Problem('store-full', 'there is no room');
    return super.commit(writes);
  }
}

const request = {
  ...{ id: 'e1', tenant: 't', function: 'hello', version: 1, arrivedAt: Date.now(), startBy: Date.now() },
  ...{ method: 'POST', authority: 'a', pathWithQuery: '/', headers: [], body: null },
};

const done = (run: StoredRequest): StoredEnd => ({
  problem: null,
  record: bareRecord(run, 'succeeded'),
  response: { status: 200, headers: [], body: run.body ?? Buffer.from('done') },
  effects: null,
});

type Options = { run?: (request: StoredRequest) => Promise<StoredEnd>; versionOf?: DeferralsOptions['versionOf'] };

const open = (table: MemoryTable, { run = async (request) => done(request), versionOf = () => ({ version: version('hello') }) }: Options = {}) => {
  const errors: string[] = [];
  let runs = 0;
  const onError = (error: unknown): void => void errors.push(String(error));
  const results = new StoredLog<DeferredEnd>({ table, prefix: '~node/result/', ttlMs: 60_000, bytesMax: 1_000_000, onError });
  const deferrals = new Deferrals({
    config: { periodMs: 60_000, bucketMs: 1000 },
    table,
    results,
    onDecision: () => undefined,
    versionOf,
    run: async ({ request: stored }) => {
      runs++;
      return run(stored);
    },
    onError,
  });
  const close = async (): Promise<void> => {
    await deferrals.close();
    await results.close();
  };
  return { deferrals, results, errors, runs: () => runs, close };
};

const take = (deferrals: Deferrals, more: Partial<Omit<typeof request, 'body'>> & { body?: string } = {}): Promise<void> =>
  new Promise((resolve) => deferrals.take({ ...request, ...more }, () => resolve()));

const ended = (deferrals: Deferrals, id = 'e1') =>
  until(async () => {
    const found = await deferrals.find(id);
    return found?.result && found;
  }, `the end of ${id}`);

test('Deferrals: what cannot be kept as running waits until there is room, and runs once', async () => {
  const table = new FullTable();
  const { deferrals, results, errors, runs } = open(table);
  deferrals.take(request, () => {
    table.full = true;
  });
  await until(() => errors.length > 0 || undefined, 'a start that fails');
  assert.match(errors[0] as string, 'there is no room');
  assert.equal([runs(), (await deferrals.find('e1'))?.record.state], [0, 'deferred']);
  table.full = false;
  const { record } = await until(async () => {
    const found = await deferrals.find('e1');
    return found?.result && found;
  }, 'its result');
  assert.equal([runs(), record.state], [1, 'succeeded']);
  await deferrals.close();
  await results.close();
});

test('Deferrals: what the node has no room for, or no thread, waits and says why, also over a restart; then it runs once', async () => {
  const refusals: StoredEnd[] = [
    failedEnd('unavailable', 'no gateway thread is there'),
    { ...failedEnd('capacity-exhausted', 'there is no room'), record: bareRecord(request, 'failed', 'capacity-exhausted') } as StoredEnd,
  ];
  for (const refusal of refusals) {
    const table = new MemoryTable();
    const first = open(table, { run: async () => refusal });
    await take(first.deferrals);
    const { state, waits } = await until(async () => {
      const found = await first.deferrals.find('e1');
      return found?.record.waits && found.record;
    }, 'one that was put off');
    assert.equal([state, waits?.putOff?.code], ['deferred', refusal.problem?.code]);
    assert.ok(Date.parse(waits?.nextAt ?? '') > (waits?.putOff?.since ?? Number.POSITIVE_INFINITY) && (waits?.putOff?.times ?? 0) > 0);
    await first.close();
    const second = open(table);
    await second.deferrals.open();
    assert.is((await ended(second.deferrals)).record.state, 'succeeded');
    assert.is(second.runs(), 1);
    await second.close();
  }
});

test('Deferrals: one of a suspended tenant waits until it is resumed', async () => {
  let suspended = true;
  const { deferrals, runs, close } = open(new MemoryTable(), {
    versionOf: () => (suspended ? { refused: 'tenant-suspended' } : { version: version('hello') }),
  });
  await take(deferrals);
  await until(async () => (await deferrals.find('e1'))?.record.waits, 'one that was put off');
  suspended = false;
  assert.equal([(await ended(deferrals)).record.state, runs()], ['succeeded', 1]);
  await close();
});

test('Deferrals: one whose guest may have begun is never run again, nor one that has waited for longer than events may', async () => {
  const placed = { ...bareRecord(request, 'failed', 'unavailable'), timeline: [{ at: 1, step: 'placed' as const }] };
  const begun = open(new MemoryTable(), { run: async () => ({ ...failedEnd('unavailable', 'it was stopped'), record: placed }) as StoredEnd });
  await take(begun.deferrals);
  assert.equal([(await ended(begun.deferrals)).record.state, begun.runs()], ['failed', 1]);
  await begun.close();
  const refused = open(new MemoryTable(), { run: async () => failedEnd('unavailable', 'no gateway thread is there') });
  await take(refused.deferrals, { startBy: Date.now() - 7 * 3_600_000 });
  assert.equal((await ended(refused.deferrals)).result, { code: 'unavailable', message: 'no gateway thread is there' });
  await refused.close();
});

test('stop: begins nothing more, waits for what runs, and what waits is run in the next life', async () => {
  const table = new MemoryTable();
  const slow = open(table, { run: (stored) => new Promise((resolve) => setTimeout(() => resolve(done(stored)), 300)) });
  await take(slow.deferrals);
  await until(() => slow.runs() > 0 || undefined, 'a run');
  await take(slow.deferrals, { id: 'e2', startBy: Date.now() + 50 });
  const stopping = slow.deferrals.stop(10_000);
  await take(slow.deferrals, { id: 'e3' });
  await stopping;
  assert.is((await slow.deferrals.find('e1'))?.record.state, 'succeeded');
  await slow.close();
  const next = open(table);
  await next.deferrals.open();
  for (const id of ['e2', 'e3']) assert.is((await ended(next.deferrals, id)).record.state, 'succeeded');
  await next.close();
});

/** A table that knows how many bytes it has given out. */
class ReadTable extends MemoryTable {
  bytesRead = 0;

  override get<T>(key: string) {
    const found = super.get<T>(key);
    this.bytesRead += JSON.stringify(found ?? null).length;
    return found;
  }

  override scan<T>(options?: ScanOptions) {
    const page = super.scan<T>(options);
    this.bytesRead += JSON.stringify(page).length;
    return page;
  }
}

test('Deferrals: bodies are read when their time has come, not at a start, and run whole', async () => {
  const table = new ReadTable();
  const body = Buffer.alloc(300_000, 'x').toString('base64');
  const first = open(table);
  // A node that does nothing would not put them off.
  first.deferrals.observe(1000);
  await sleep(20);
  const startBy = Date.now() + 2000;
  for (let i = 0; i < 20; i++) await take(first.deferrals, { id: `e${i}`, startBy: i === 0 ? startBy : startBy + 3_000_000, body });
  await first.close();
  assert.is(first.runs(), 0);
  table.bytesRead = 0;
  let ran = 0;
  const next = open(table, {
    run: async (stored) => {
      ran = stored.body?.length ?? 0;
      return done({ ...stored, body: null });
    },
  });
  await next.deferrals.open();
  assert.ok(table.bytesRead < 100_000, `${table.bytesRead} bytes were read at the start`);
  assert.is((await next.deferrals.find('e1'))?.record.state, 'deferred');
  await ended(next.deferrals, 'e0');
  assert.is(ran, 300_000);
  assert.ok(table.bytesRead < 700_000, `${table.bytesRead} bytes were read for one`);
  await next.close();
});

test('Deferrals: what was kept as one record is taken up', async () => {
  const table = new MemoryTable();
  const decision = { at: Date.now(), kind: 'defer', subject: 'e1', tenant: 't', choice: 'now', inputs: {}, passedOver: [] };
  await table.commit([{ key: '~node/deferred/e1', put: { request, startAt: Date.now(), decision, state: 'waiting' } as unknown as Json }]);
  const { deferrals, runs, close } = open(table);
  await deferrals.open();
  assert.equal([(await ended(deferrals)).record.state, runs()], ['succeeded', 1]);
  assert.equal(table.scan({ prefix: '~node/deferred' }).entries, []);
  await close();
});

test('findLater: finds what is handed over between two looks, and what came of a redrive rather than what was before', async () => {
  const view = (state: 'queued' | 'failed') => ({ record: bareRecord(request, state), result: undefined });
  let isHandedOver = false;
  const deferrals = {
    find: async () => {
      isHandedOver = true;
      return undefined;
    },
  };
  const queued = view('queued');
  assert.is(await findLater(deferrals, { find: async () => (isHandedOver ? queued : undefined) })('e1'), queued);
  const failed = view('failed');
  assert.is(await findLater({ find: async () => failed }, { find: async () => queued })('e1'), queued);
  assert.is(await findLater({ find: async () => failed }, { find: async () => undefined })('e1'), failed);
});

test.run();
