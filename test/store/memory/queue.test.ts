import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { MemoryTable } from '../../../host/store/memory/table.ts';
import type { Lease } from '../../../host/store/queue.ts';
import type { Page, ScanOptions, Value } from '../../../host/store/table.ts';
import { TableQueue } from '../../../host/store/table-queue.ts';
import { queueContract } from '../../contract/queue.ts';

queueContract('TableQueue on MemoryTable', async (now, dedupeMs) => {
  const table = new MemoryTable();
  const open = () => new TableQueue<{ text: string }>({ table, prefix: 'q/', now, dedupeMs });
  const queue = open();
  return { queue, table, reopen: open, close: () => queue.close() };
});

/** A table that says how many records its scans gave. */
class CountedTable extends MemoryTable {
  read = 0;

  override scan<T = Value>(options?: ScanOptions): Page<T> {
    const page = super.scan<T>(options);
    this.read += page.entries.length;
    return page;
  }
}

test('TableQueue: what becomes of the first of a key costs the same, however many wait behind it', async () => {
  const table = new CountedTable();
  const clock = { now: 1_700_000_000_000 };
  const queue = new TableQueue<{ text: string }>({ table, prefix: 'q/', now: () => clock.now });
  for (let at = 0; at < 20_000; at += 100) {
    const ids = Array.from({ length: 100 }, (_, i) => `m${String(at + i).padStart(5, '0')}`);
    await queue.enqueue(ids.map((id) => ({ id, body: { text: id }, orderingKey: 'k' })));
  }
  await queue.enqueue([{ id: 'other', body: { text: 'other' }, orderingKey: 'l' }]);
  const leaseMs = 1000;
  const claimAll = async (): Promise<Lease<{ text: string }>[]> => {
    const found: Lease<{ text: string }>[] = [];
    while ((await queue.nextDueAt()) === 0) found.push(...(await queue.claim(8, leaseMs)));
    return found;
  };
  const first = async (): Promise<Lease<{ text: string }>> => {
    table.read = 0;
    const [lease, ...more] = await claimAll();
    assert.equal([lease?.id, more.length], ['m00000', 0]);
    assert.ok(table.read < 10, `${table.read} records were read`);
    return lease as Lease<{ text: string }>;
  };
  const [head, other] = await claimAll();
  assert.equal([head?.id, other?.id], ['m00000', 'other']);
  await queue.ack(other as Lease<{ text: string }>);
  queue.release(head as Lease<{ text: string }>);
  await queue.nack(await first(), 100);
  clock.now += 100;
  await first();
  clock.now += leaseMs;
  await queue.ack(await first());
  table.read = 0;
  assert.is((await claimAll())[0]?.id, 'm00001');
  assert.ok(table.read < 10, `${table.read} records were read`);
});

test.run();
