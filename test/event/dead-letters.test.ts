import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { QueueLimits } from '../../host/event/dead-letter.ts';
import { DeadLetters } from '../../host/event/dead-letters.ts';
import type { EventItem } from '../../host/event/model.ts';
import { CommitBatch } from '../../host/store/commit-batch.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';

const dayMs = 86_400_000;
const limits = { keepMs: 14 * dayMs, itemsMax: 100, bytesMax: 2 ** 20 };

const wide = { ...limits, itemsMax: 100_000, bytesMax: 2 ** 28 };

const open = (table = new MemoryTable(), most = limits) => {
  const world = { now: 0, warnings: [] as string[], expired: 0 };
  const held = new HeldBlobs({ table, blobs: new MemoryBlobs() });
  const letters = new DeadLetters({
    table,
    held,
    batch: new CommitBatch(table),
    limits: most,
    now: () => world.now,
    warn: (_details, message) => void world.warnings.push(message),
    onExpired: (items) => {
      world.expired += items;
    },
  });
  return Object.assign(world, { table, held, letters });
};

const item: EventItem = {
  tenant: 'a',
  function: 'f',
  trigger: 'event',
  arrivedAt: 0,
  hops: 0,
  request: { method: 'POST', authority: 'f', pathWithQuery: '/', headers: [], body: null },
  attempts: [],
};

let made = 0;
const add = (letters: DeadLetters, queue: string): Promise<void> =>
  letters.add(item, letters.make(`e${made++}`, item, { queue, version: 1, code: 'guest-trap', message: 'unreachable' }));
const codeOf = (adding: Promise<unknown>): Promise<unknown> =>
  adding.then(
    () => 'ok',
    (error: { code: string; message: string }) => [error.code, error.message],
  );
const counts = (letters: DeadLetters) => letters.queues('a').map(({ name, items }) => [name, items]);

test('DeadLetters: a queue holds what it may itself, and says when it is nearly full and full; others hold what the node lets them', async () => {
  const { letters, warnings } = open();
  await letters.declare('a', ['small', 'wide']);
  const view = await letters.limit('a', 'small', { itemsMax: 3 });
  assert.equal(view, { name: 'small', items: 0, bytes: 0, nearlyFull: false, ...limits, itemsMax: 3 });
  for (let i = 0; i < 3; i++) await add(letters, 'small');
  assert.equal(warnings, ['a queue of dead letters is nearly full']);
  assert.equal(await codeOf(add(letters, 'small')), [
    'dead-letters-full',
    `cannot keep a dead letter: the queue "small" holds at most 3 items and ${limits.bytesMax} bytes`,
  ]);
  for (let i = 0; i < 10; i++) await add(letters, 'wide');
  await letters.limit('a', 'small', { bytesMax: 1024 });
  assert.is((await codeOf(add(letters, 'small')))?.toString().split(',')[0], 'dead-letters-full', 'by its bytes');
  await letters.limit('a', 'small', {});
  await add(letters, 'small');
  assert.equal(counts(letters), [
    ['small', 4],
    ['wide', 10],
  ]);
});

test('DeadLetters: each queue keeps for as long as it is told to', async () => {
  const world = open();
  const { letters } = world;
  await letters.limit('a', 'short', { keepMs: dayMs });
  for (const queue of ['short', 'long']) await add(letters, queue);
  world.now = 2 * dayMs;
  assert.is(await letters.sweep(['a']), 1);
  assert.equal(counts(letters), [
    ['short', 0],
    ['long', 1],
  ]);
  assert.equal(world.warnings, ['dead letters are gone for good: nobody saw to them for as long as their queue keeps them']);
  world.now = 15 * dayMs;
  assert.is(await letters.sweep(['a']), 1);
  assert.is(world.expired, 2);
  await letters.limit('a', 'long', { keepMs: dayMs });
  await add(letters, 'long');
  world.now = 17 * dayMs;
  assert.is(await letters.sweep(['a']), 1, 'also after it was told to keep for less');
});

test('DeadLetters: limits of a queue outlive a restart, also where a deployment names it before anything is counted', async () => {
  const { letters, table } = open();
  const own: QueueLimits = { itemsMax: 2, keepMs: dayMs };
  await letters.limit('a', 'small', own);
  await add(letters, 'small');
  const later = open(table).letters;
  await later.declare('a', ['small', 'new']);
  await later.open(['a']);
  assert.equal(
    later.queues('a').map(({ name, items, itemsMax, keepMs }) => [name, items, itemsMax, keepMs]),
    [
      ['small', 1, 2, dayMs],
      ['new', 0, 100, 14 * dayMs],
    ],
  );
});

test('DeadLetters: limits above those of the node are refused, and a tenant has at most 1,000 queues', async () => {
  const { letters } = open();
  assert.equal(await codeOf(letters.limit('a', 'q', { itemsMax: 101 })), [
    'request-invalid',
    'cannot set itemsMax of the queue "q": at most 100 on this node, got 101',
  ]);
  for (let at = 0; at < 1100; at += 100)
    await letters.declare(
      'a',
      Array.from({ length: 100 }, (_, i) => `q${at + i}`),
    );
  assert.is(letters.queues('a').length, 1000);
  assert.equal(await codeOf(letters.limit('a', 'one-more', {})), [
    'request-invalid',
    'cannot make the queue "one-more": a tenant has at most 1000 queues of dead letters',
  ]);
  await letters.declare('b', ['q0']);
  assert.is(letters.queues('b').length, 1, 'another tenant has its own');
});

/** Writes letters as an earlier life of the node did, from `old-00000` on. */
const fill = async (table: MemoryTable, count: number, queue = 'default', tenant = 'a'): Promise<void> => {
  const { letters } = open(table);
  const request = { method: 'POST', pathWithQuery: '/', headers: [['content-type', 'text/plain']], hasBody: true };
  for (let at = 0; at < count; at += 500) {
    const ids = Array.from({ length: Math.min(500, count - at) }, (_, i) => `old-${String(at + i).padStart(5, '0')}`);
    const failed = { queue, version: 1, code: 'guest-trap' as const, message: 'unreachable' };
    await table.commit(ids.map((id) => ({ key: `${tenant}/dead/${id}`, put: { ...letters.make(id, item, failed), request } as never })));
  }
};

test('DeadLetters: a payload larger than a record is kept, also when what an earlier life left is swept before its letter is there', async () => {
  const { letters, held, table } = open(undefined, wide);
  const payload = new Uint8Array(900_000).fill(7);
  const kept = { queue: 'default', version: 1, code: 'guest-trap' as const, message: 'unreachable', payload };
  const { writes } = await letters.keep(item, letters.make('large', item, kept), payload);
  const refused = await letters.keep(item, letters.make('refused', item, kept), new Uint8Array(900_000).fill(8));
  await letters.open(['a']);
  await refused.undo();
  await table.commit(writes);
  await held.collect(true);
  assert.equal(Buffer.from(await letters.payload('a', 'large')), Buffer.from(payload));
  assert.equal(counts(letters), [['default', 1]]);
  await letters.drop('a', 'large');
  assert.is((await table.scan({ prefix: '~node/holder/' })).entries.length, 0);
});

test('DeadLetters: each letter is counted once, whatever comes, changes and goes while they are counted', async () => {
  const { table } = open();
  await fill(table, 3000);
  const { letters } = open(table, wide);
  const before = letters.make('a-early', item, { queue: 'default', version: 1, code: 'guest-trap', message: 'unreachable' });
  const early = await letters.keep(item, before);
  const opened = letters.open(['a']);
  const attempt = { attempt: 1, version: 1, startedAt: 0, endedAt: 0, code: 'guest-trap' as const };
  const change = async (id: string): Promise<void> => {
    const { letter, revision } = await letters.get('a', id);
    await letters.failedAgain('a', letter, revision, attempt);
  };
  await table.commit(early.writes);
  for (let round = 0; round < 10; round++) {
    await new Promise((resolve) => setImmediate(resolve));
    const at = (of: number): string => `old-${String(of * 300 + round * 7).padStart(5, '0')}`;
    await Promise.all([add(letters, 'default'), letters.drop('a', at(0)), letters.drop('a', at(9)), change(at(5)), change(at(8))]);
    if (round % 2 === 0) await letters.drop('a', at(8));
  }
  await opened;
  const fresh = open(table, wide).letters;
  await fresh.open(['a']);
  assert.equal(letters.queues('a'), fresh.queues('a'));
  assert.equal(counts(letters), [['default', 3000 + 1 + 10 - 25]]);
});

test('DeadLetters: with 50,000 of them the thread goes on with other things while they are counted, searched and swept', async () => {
  const world = open(undefined, wide);
  const { letters, table } = world;
  await fill(table, 50_000);
  let turns = 0;
  // Begun anew in each turn; unreferenced, so that a failure ends the test.
  let counting = setImmediate(function count() {
    turns++;
    counting = setImmediate(count).unref();
  }).unref();
  const turnsOf = async (work: Promise<unknown>): Promise<number> => {
    const before = turns;
    await work;
    return turns - before;
  };
  assert.ok((await turnsOf(letters.open(['a']))) >= 240);
  assert.equal(counts(letters), [['default', 50_000]]);
  let pages = 0;
  for (let cursor: string | undefined; ; pages++) {
    const listed = letters.list('a', { code: 'guest-exit' }, { limit: 100, cursor });
    const inTurns = await turnsOf(listed);
    const { items, next } = await listed;
    assert.equal(items, []);
    if (next === undefined) break;
    assert.ok(inTurns >= 40, `${inTurns} turns`);
    cursor = next;
  }
  assert.is(pages, 5, 'a request looks at 10,000 at most');
  assert.ok((await turnsOf(letters.sweep(['a']))) >= 240);
  clearImmediate(counting);
  table.scan = () => {
    throw new Error('no letter is over yet');
  };
  assert.is(await letters.sweep(['a']), 0);
});

test('DeadLetters: what cannot be counted at the start is counted later, each once, and in no other tenant’s way', async () => {
  const { table } = open();
  await fill(table, 1000);
  await fill(table, 300, 'default', 'b');
  const { letters } = open(table, wide);
  const scan = table.scan.bind(table);
  let pages = 0;
  table.scan = (options) => {
    if (options?.prefix === 'a/dead/' && pages++ === 2) throw new Error('the disk is away');
    return scan(options) as never;
  };
  const failure: unknown = await letters.open(['a', 'b']).catch((error: Error) => error.message);
  assert.is(failure, 'the disk is away');
  assert.is(letters.queues('b')[0]?.items, 300);
  await Promise.all([add(letters, 'default'), letters.drop('a', 'old-00100'), letters.drop('a', 'old-00900')]);
  assert.is(await letters.sweep(['a', 'b']), 0);
  assert.equal(counts(letters), [['default', 999]]);
});

test('DeadLetters: those that are over go a hundred with a commit, and one that is redriven meanwhile stays without the others', async () => {
  const { table } = open();
  await fill(table, 1000);
  const world = open(table, wide);
  await world.letters.open(['a']);
  world.now = 15 * dayMs;
  let commits = 0;
  const commit = table.commit.bind(table);
  table.commit = (writes) => {
    if (commits++ === 3) {
      const busy = writes.find(({ key }) => key === 'a/dead/old-00350');
      assert.ok(busy, 'it is in the fourth');
      commit([{ key: busy.key, put: { ...(table.get(busy.key)?.value as object), failedAt: world.now } as never }]);
    }
    return commit(writes);
  };
  assert.is(await world.letters.sweep(['a']), 999);
  assert.ok(commits < 30, `${commits} commits`);
  assert.equal(counts(world.letters), [['default', 1]]);
});

test('DeadLetters: close ends what looks at all of them', async () => {
  const { table } = open(undefined, wide);
  await fill(table, 5000);
  const { letters } = open(table, wide);
  let pages = 0;
  const scan = table.scan.bind(table);
  table.scan = (options) => {
    pages++;
    return scan(options) as never;
  };
  void letters.open(['a']);
  await new Promise((resolve) => setImmediate(resolve));
  await letters.close();
  assert.ok(pages < 6, `${pages} pages`);
});

test.run();
