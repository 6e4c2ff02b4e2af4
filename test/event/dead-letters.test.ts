import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DeadLetters, type QueueLimits } from '../../host/event/dead-letters.ts';
import type { EventItem } from '../../host/event/model.ts';
import { CommitBatch } from '../../host/store/commit-batch.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';

const dayMs = 86_400_000;
const limits = { keepMs: 14 * dayMs, itemsMax: 100, bytesMax: 2 ** 20 };

const open = (table = new MemoryTable()) => {
  const world = { now: 0, warnings: [] as string[] };
  const letters = new DeadLetters({
    table,
    held: new HeldBlobs({ table, blobs: new MemoryBlobs() }),
    batch: new CommitBatch(table),
    limits,
    now: () => world.now,
    warn: (_details, message) => void world.warnings.push(message),
  });
  return Object.assign(world, { table, letters });
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
  world.now = 15 * dayMs;
  assert.is(await letters.sweep(['a']), 1);
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

test.run();
