import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DecisionLog } from '../../host/fleet/decision-log.ts';
import { StoredLog } from '../../host/fleet/stored-log.ts';
import type { PlacementDecision } from '../../host/placement/model.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { Table } from '../../host/store/table.ts';

const fail = (error: unknown): void => {
  throw error;
};

const open = <T extends { at: number }>(table: Table, { ttlMs = 60_000, bytesMax = 1e9 } = {}): StoredLog<T> =>
  new StoredLog<T>({ table, prefix: 'log/', ttlMs, bytesMax, onError: fail });

const all = async <T extends { at: number }>(log: StoredLog<T>, start?: string): Promise<T[]> => {
  const found: T[] = [];
  for await (const value of log.read(start)) found.push(value);
  return found;
};

test('StoredLog: gives back what was added, in order, and from a key on', async () => {
  const log = open<{ at: number; i: number }>(new MemoryTable());
  for (let i = 0; i < 600; i++) log.add(String(i).padStart(4, '0'), { at: Date.now(), i });
  assert.is((await all(log)).length, 600);
  assert.equal((await log.get('0007')) && (await all(log, '0598')).length, 2);
  await log.close();
});

test('StoredLog: keeps no more bytes than it may, the oldest go', async () => {
  const log = open<{ at: number; text: string }>(new MemoryTable(), { bytesMax: 20_000 });
  for (let i = 0; i < 300; i++) {
    log.add(String(i).padStart(4, '0'), { at: Date.now(), text: 'x'.repeat(200) });
    if (i % 50 === 0) await log.flush();
  }
  await log.flush();
  const kept = await all(log);
  assert.ok(kept.length > 10 && kept.length * 200 <= 20_000, String(kept.length));
  assert.is(await log.get('0000'), undefined);
  assert.ok(await log.get('0299'));
  await log.close();
});

test('StoredLog: what comes faster than it can be written is dropped and counted', async () => {
  const log = open(new MemoryTable());
  for (let i = 0; i < 10_000; i++) log.add(String(i).padStart(5, '0'), { at: 1 });
  assert.ok(log.dropped > 0);
  assert.is((await all(log)).length + log.dropped, 10_000);
  await log.close();
});

const decision = (at: number, overrides: Partial<PlacementDecision> = {}): PlacementDecision => ({
  at,
  kind: 'place',
  subject: `e${at}`,
  tenant: 't',
  choice: 'isolate-1',
  inputs: { waitedMs: 0 },
  passedOver: [],
  ...overrides,
});

test('DecisionLog: finds by kind, subject, tenant and time, the latest last', async () => {
  const log = new DecisionLog(open(new MemoryTable()));
  for (let at = 1; at <= 50; at++) log.add(decision(at, at % 10 === 0 ? { kind: 'idle', tenant: 'u' } : {}));
  assert.equal(
    (await log.find({ kind: 'idle', limit: 2 })).map(({ at }) => at),
    [40, 50],
  );
  assert.equal(await log.find({ subject: 'e7', limit: 10 }), [decision(7)]);
  assert.is((await log.find({ tenant: 'u', since: 25, limit: 10 })).length, 3);
  await log.close();
});

test('DecisionLog: a flood of plain placements is kept in memory and written in part; refusals are written whole', async () => {
  const table = new MemoryTable();
  const log = new DecisionLog(open(table));
  for (let i = 0; i < 1000; i++) log.add(decision(5000 + i / 1000, { subject: `e${i}` }));
  for (let i = 0; i < 300; i++) log.add(decision(5000, { subject: `r${i}`, choice: 'reject' }));
  await log.close();
  const again = new DecisionLog(open(table));
  const found = await again.find({ limit: 10_000 });
  assert.is(found.filter(({ choice }) => choice === 'reject').length, 300);
  assert.is(found.filter(({ choice }) => choice !== 'reject').length, 200);
  await again.close();
});

test.run();
