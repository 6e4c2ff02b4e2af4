import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { bareRecord } from '../../host/execution/record.ts';
import { Deferrals, type DeferredEnd } from '../../host/fleet/deferrals.ts';
import { StoredLog } from '../../host/fleet/stored-log.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { Write } from '../../host/store/table.ts';
import { until } from '../system/node.ts';
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

const open = (table: FullTable) => {
  const errors: string[] = [];
  let runs = 0;
  const onError = (error: unknown): void => void errors.push(String(error));
  const results = new StoredLog<DeferredEnd>({ table, prefix: '~node/result/', ttlMs: 60_000, bytesMax: 1_000_000, onError });
  const deferrals = new Deferrals({
    config: { periodMs: 60_000, bucketMs: 1000 },
    table,
    results,
    onDecision: () => undefined,
    versionOf: () => ({ version: version('hello') }),
    run: async ({ request: run }) => {
      runs++;
      return { problem: null, record: bareRecord(run, 'succeeded'), response: { status: 200, headers: [], body: Buffer.from('done') }, effects: null };
    },
    onError,
  });
  return { deferrals, results, errors, runs: () => runs };
};

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

test.run();
