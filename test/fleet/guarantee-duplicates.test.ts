import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import type { GuardedAnswer } from '../../host/execution/guarantee.ts';
import { GuaranteeDuplicates } from '../../host/fleet/guarantee-duplicates.ts';
import { type EndedRecord, endedKey, putRecord } from '../../host/fleet/guarantee-records.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { codeOf, openNode, until } from './guarantee-node.ts';

type Response = Extract<GuardedAnswer, { kind: 'response' }>;

/** From now on commits wait until the returned function is called. */
const holdCommits = (table: MemoryTable): (() => void) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const commit = table.commit.bind(table);
  table.commit = async (writes) => {
    await promise;
    return commit(writes);
  };
  return resolve;
};

test('Guarantees: who asks while the execution is being committed is counted', async () => {
  const node = await openNode();
  const answer = node.ask('k');
  const run = await node.next();
  await until(async () => (await node.left('~node/started/')) === 1);
  const letGo = holdCommits(node.table);
  node.end(run);
  const repeats = [1, 2, 3].map(() => node.ask('k'));
  letGo();
  const { execution } = (await answer) as Response;
  assert.equal((await Promise.all(repeats)).map(codeOf), ['response', 'response', 'response']);
  assert.is((await node.guarantees.find(execution))?.duplicates, 3);
  await node.guarantees.close();
  assert.is((await node.table.get<EndedRecord>(endedKey(execution)))?.value.more.duplicates, 3);
});

test('Guarantees: who waits is counted once, with what it is told in the end', async () => {
  const node = await openNode();
  const both = [node.ask('k', { runs: 2 }), node.ask('k', { runs: 2 })];
  const [one, two] = [await node.next(), await node.next()];
  const waiting = node.ask('k', { runs: 2, waitMs: 5000 });
  node.end(two);
  const first = (await Promise.race(both)) as Response;
  assert.is(codeOf(await waiting), 'again');
  const again = node.ask('k', { runs: 2, waitMs: 5000 });
  node.end(one);
  const last = ((await Promise.all(both)) as Response[]).find(({ execution }) => execution !== first.execution) as Response;
  assert.is(((await again) as Response).execution, last.execution);
  const counts = async (): Promise<unknown> => Promise.all([first, last].map(async ({ execution }) => (await node.guarantees.find(execution))?.duplicates));
  assert.equal(await counts(), [0, 1]);
  await node.guarantees.close();
  assert.equal(await counts(), [0, 1]);
});

test('Guarantees: what an earlier life has left is known, and who asks for it counted, before it is taken up', async () => {
  const first = await openNode();
  for (let i = 0; i < 20; i++) void first.ask(`k${i}`, { outbound: true });
  for (let i = 0; i < 20; i++) await first.next();
  const second = await openNode(first);
  for (let i = 0; i < 16; i++) await second.next();
  const waits = await second.ask('k19');
  assert.is(codeOf(waits), 'execution-conflict');
  const { execution } = waits as { execution: string };
  const found = await second.guarantees.find(execution);
  assert.equal([found?.state, found?.duplicates, second.started.length], ['running', 1, 0]);
  await Promise.all([first.guarantees.close(), second.guarantees.close()]);
});

test('GuaranteeDuplicates: flushes that come at once count each only once', async () => {
  const table = new MemoryTable();
  const more = { id: 'x', tenant: 'acme', function: 'f', state: 'succeeded' as const, key: 'k', runs: 1, attempts: [], arrivedAt: 0, duplicates: 1 };
  await table.commit([putRecord(endedKey('x'), { at: 0, guarantee: 'at', bytes: 1, record: null, more })]);
  const errors: unknown[] = [];
  const notes = new EffectWriter({ table, keyvalue: { findOwner: async () => undefined, bucketBytesMax: 0 } });
  const duplicates = new GuaranteeDuplicates({ table, notes, onError: (error) => errors.push(error) });
  const letGo = holdCommits(table);
  duplicates.add('x', 2);
  const flushes = [duplicates.flush(), duplicates.flush()];
  duplicates.add('x', 4);
  flushes.push(duplicates.flush());
  letGo();
  await Promise.all(flushes);
  await duplicates.close();
  assert.equal([(await table.get<EndedRecord>(endedKey('x')))?.value.more.duplicates, duplicates.of('x'), errors], [7, 0, []]);
});

test.run();
