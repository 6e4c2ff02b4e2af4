import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { type GuardedAnswer, guaranteeKey } from '../../host/execution/guarantee.ts';
import { type EndedRecord, endedKey, putRecord } from '../../host/fleet/guarantee-records.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { codeOf, openNode, owner, until } from './guarantee-node.ts';

type Node = Awaited<ReturnType<typeof openNode>>;
type Response = Extract<GuardedAnswer, { kind: 'response' }>;

/** Asks, and has the execution end with this answer. */
const answered = async ({ ask, started, end }: Node, key: string | null, asked = {}, response = {}): Promise<GuardedAnswer> => {
  let told: GuardedAnswer | undefined;
  const answer = ask(key, asked).then((answer) => {
    told = answer;
    return answer;
  });
  const run = await until(() => told ?? started.shift());
  if ('run' in run) end(run, undefined, response);
  return answer;
};

test('Guarantees: what is executed without a key takes no room of keys, and is told of by its record', async () => {
  const node = await openNode(undefined, { bytesMax: 10_000 });
  const body = Buffer.alloc(100_000, 'x');
  let last: GuardedAnswer | undefined;
  for (let i = 0; i < 1000; i++) last = await answered(node, null, {}, { body });
  const { response, execution } = last as Response;
  assert.ok('base64' in response.body && Buffer.from(response.body.base64, 'base64').equals(body));
  assert.equal(await Promise.all(['~node/holder/', '~node/guaranteed/'].map(node.left)), [0, 0]);
  assert.is((await node.guarantees.find(execution))?.state, 'succeeded');
  const kept = await until(async () => {
    const left = await node.left('~node/unkeyed/');
    return left < 1000 ? left : undefined;
  });
  assert.ok(kept > 10, `the oldest are forgotten, ${kept} are left`);
  assert.is(codeOf(await answered(node, 'new')), 'response');
  await node.guarantees.close();
});

test('Guarantees: a large response without a key is there until it was sent, or its thread is gone', async () => {
  const node = await openNode();
  for (const over of [({ execution }: Response) => node.guarantees.sent(execution), () => node.guarantees.leave(1)]) {
    const { digest, bytes, release } = await node.held.put([Buffer.alloc(2_000_000, Math.random())], { bytesMax: 2_000_000 });
    const answer = (await answered(node, null, {}, { body: Buffer.alloc(0), spilled: { digest, bytes } })) as Response;
    release();
    assert.equal(answer.response.body, { digest, bytes });
    await node.held.collect(true);
    assert.ok(await node.blobs.size(digest));
    over(answer);
    await node.held.collect(true);
    assert.is(await node.blobs.size(digest), undefined);
  }
  await node.guarantees.close();
});

test('Guarantees: what a sweep could not forget is forgotten by the next', async () => {
  let clock = 1_000_000;
  const node = await openNode(undefined, { ttlMs: 1000 }, () => clock);
  for (const key of ['a', 'b', 'c']) await answered(node, key);
  clock += 10_000;
  const commit = node.table.commit.bind(node.table);
  node.table.commit = async () => {
    node.table.commit = commit;
    throw new Problem('conflict', 'in this test');
  };
  await node.guarantees.sweep().catch(() => undefined);
  assert.is(await node.left('acme/guarantee/'), 3);
  await node.guarantees.sweep();
  assert.equal([await node.left('acme/guarantee/'), await node.left('~node/guaranteed/')], [0, 0]);
  await node.guarantees.close();
});

test('Guarantees: a tenant that fills its share leaves room for another', async () => {
  const node = await openNode(undefined, { bytesMax: 100_000 });
  let keys = 0;
  while (codeOf(await answered(node, `k${keys}`)) === 'response') keys++;
  assert.ok(keys > 30 && keys < 40, `alone three quarters of the room, ${keys} keys`);
  assert.is(codeOf(await node.ask('another')), 'store-full');
  assert.is(codeOf(await answered(node, 'k0', { tenant: 'other' })), 'response');
  assert.is(codeOf(await answered(node, 'k1', { tenant: 'other' })), 'response');
  assert.is(codeOf(await node.ask('k0')), 'response', 'what is known still answers');
  await node.guarantees.close();
});

test('Guarantees: of bodies under way each tenant has its share too', async () => {
  const node = await openNode();
  const body = Buffer.alloc(40 * 1024 * 1024);
  let [asked, code] = [0, ''];
  for (; code === '' && asked < 10; asked++) {
    void node.ask(`k${asked}`, { body }).then((answer) => {
      code = codeOf(answer);
    });
    await until(() => node.started.shift() ?? (code || undefined));
  }
  assert.equal([asked, code], [5, 'capacity-exhausted'], 'four have three quarters of 256 MiB');
  void node.ask('k', { tenant: 'other', body });
  await node.next();
  await node.guarantees.close();
});

const start = 1_000_000;
const ttlMs = 60_000;

/** A store with executions of an earlier life, each with a key of its own. */
const filled = async (count: number, bytes: number) => {
  const table = new MemoryTable();
  await table.commit([{ key: owner, put: true }]);
  for (let from = 0; from < count; from += 200) {
    const writes = Array.from({ length: Math.min(200, count - from) }, (_, i) => {
      const id = `id-${String(from + i).padStart(6, '0')}`;
      const guarantee = guaranteeKey('acme', 'f', '', id);
      const more = { id, tenant: 'acme', function: 'f', state: 'succeeded' as const, key: id, runs: 1, attempts: [], arrivedAt: start, duplicates: 0 };
      const ended: EndedRecord = { at: start, guarantee, bytes, record: null, more };
      const response = { status: 200, headers: [], body: { base64: '' } };
      const record = { fingerprint: id, succeeded: 1, last: { execution: id, tookMs: 1, response }, at: start };
      return [putRecord(endedKey(id), ended), putRecord(guarantee, record)];
    });
    await table.commit(writes.flat());
  }
  return { table, blobs: new MemoryBlobs() };
};

test('Guarantees: many are forgotten in one commit, and their room is free again', async () => {
  const shared = await filled(10_000, 2048);
  let now = start;
  const node = await openNode(shared, { ttlMs, bytesMax: 20_000_000 }, () => now);
  await node.guarantees.sweep();
  assert.is(codeOf(await node.ask('new')), 'store-full', 'what there was is measured');
  now += ttlMs + 1;
  let commits = 0;
  const commit = node.table.commit.bind(node.table);
  node.table.commit = (writes) => {
    commits++;
    return commit(writes);
  };
  await node.guarantees.sweep();
  assert.ok(commits < 200, `${commits} commits`);
  assert.equal(await Promise.all(['~node/guaranteed/', 'acme/guarantee/'].map(node.left)), [0, 0]);
  assert.is(codeOf(await answered(node, 'new')), 'response');
  assert.equal(node.errors, []);
  await node.guarantees.close();
});

test('Guarantees: sweeps that come at once free no more room than there was', async () => {
  let now = start;
  const node = await openNode(undefined, { ttlMs, bytesMax: 4500 }, () => now);
  for (const key of ['a', 'b']) assert.is(codeOf(await answered(node, key)), 'response');
  assert.is(codeOf(await node.ask('c')), 'store-full');
  now += ttlMs + 1;
  await Promise.all([node.guarantees.sweep(), node.guarantees.sweep(), node.guarantees.sweep()]);
  for (const key of ['c', 'd']) assert.is(codeOf(await answered(node, key)), 'response');
  assert.is(codeOf(await node.ask('e')), 'store-full');
  await node.guarantees.close();
});

test('Guarantees: what ends while the room is being measured counts once', async () => {
  const shared = await filled(1, 2048);
  const hold = Promise.withResolvers<void>();
  const scan = shared.table.scan.bind(shared.table);
  shared.table.scan = (async (options: Parameters<typeof scan>[0]) => {
    if (options?.prefix === '~node/guaranteed/') await hold.promise;
    return scan(options);
  }) as unknown as typeof scan;
  const node = await openNode(shared, { ttlMs, bytesMax: 6000 }, () => start);
  assert.is(codeOf(await answered(node, 'second')), 'response');
  hold.resolve();
  await node.guarantees.sweep();
  assert.is(codeOf(await answered(node, 'third')), 'response', 'two are known');
  assert.is(codeOf(await node.ask('fourth')), 'store-full', 'and now three');
  await node.guarantees.close();
});

test('Guarantees: a key with which something is under way is not forgotten', async () => {
  let now = start;
  const node = await openNode(undefined, { ttlMs }, () => now);
  assert.is(codeOf(await answered(node, 'k', { runs: 2 })), 'response');
  now += ttlMs + 1;
  const answer = node.ask('k', { runs: 2 });
  const run = await node.next();
  await node.guarantees.sweep();
  assert.is(await node.left('acme/guarantee/'), 1);
  node.end(run);
  assert.is(codeOf(await answer), 'response');
  assert.is(((await node.ask('k', { runs: 2 })) as Response).replayed, true);
  await node.guarantees.sweep();
  assert.equal([await node.left('acme/guarantee/'), await node.left('~node/guaranteed/')], [1, 1], 'the first execution is, and the key is not');
  await node.guarantees.close();
});

test.run();
