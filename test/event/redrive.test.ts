import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { DeadLetters } from '../../host/event/dead-letters.ts';
import type { Delivered, EventFunction, EventItem } from '../../host/event/model.ts';
import { type RedriveOptions, Redriver } from '../../host/event/redrive.ts';
import { CommitBatch } from '../../host/store/commit-batch.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';

const target = { tenant: 'a', name: 'f', version: 1, key: 'k', suspended: false, irreversible: false } as EventFunction;

const nothing: Delivered = {
  version: 1,
  problem: null,
  response: null,
  record: null,
  startedAt: 0,
  endedAt: 0,
  commit: async () => undefined,
  settled: () => undefined,
};

const base64 = (text: string): string => Buffer.from(text).toString('base64');

type Occupy = ConstructorParameters<typeof Redriver>[0]['occupy'];

/** A letter "e1" with these headers and the payload "came", and who redrives it. */
const open = async (headers: [string, string][], run: (item: EventItem) => Promise<Partial<Delivered>>, occupy: Occupy = () => () => undefined) => {
  const table = new MemoryTable();
  const deadLetters = new DeadLetters({
    table,
    held: new HeldBlobs({ table, blobs: new MemoryBlobs() }),
    batch: new CommitBatch(table),
    limits: { keepMs: 60_000, itemsMax: 10, bytesMax: 1_000_000 },
    now: () => 0,
    warn: () => undefined,
  });
  const request = { method: 'POST', authority: 'f', pathWithQuery: '/', headers, body: base64('came') };
  const item: EventItem = { tenant: 'a', function: 'f', trigger: 'event', arrivedAt: 0, hops: 0, orderingKey: 'k1', request, attempts: [] };
  await deadLetters.add(item, deadLetters.make('e1', item, { queue: 'q', version: 1, code: 'guest-trap', message: 'unreachable' }));
  const redriver = new Redriver({
    clock: { now: () => Date.now(), after: (_ms, act) => clearTimeout.bind(undefined, setTimeout(act, 0)) },
    deadLetters,
    occupy,
    find: () => target,
    findVersion: async () => target,
    run: async (_id, tried) => ({ ...nothing, ...(await run(tried)) }),
    logOf: async () => [],
    endWrites: () => [],
    runGuarded: () => Promise.reject(new Error('nothing was promised')),
  });
  return { table, deadLetters, redriver };
};

/** What is run when it is redriven. */
const ranBy = async (headers: [string, string][], options: RedriveOptions, occupy?: Occupy): Promise<EventItem> => {
  const ran: EventItem[] = [];
  const run = async (item: EventItem) => {
    ran.push(item);
    return { problem: { code: 'guest-trap' as const, message: 'unreachable' } };
  };
  const { redriver } = await open(headers, run, occupy);
  await redriver.redrive('a', 'e1', options);
  return ran[0] as EventItem;
};

test('Redriver: what is told of the payload is true of another one', async () => {
  const headers: [string, string][] = [
    ['ce-partitionkey', 'k1'],
    ['Content-Length', '4'],
    ['Content-Type', 'text/plain'],
  ];
  const same = await ranBy(headers, {});
  assert.equal([same.request.headers, same.request.body, same.orderingKey], [headers, base64('came'), 'k1']);
  const longer = await ranBy(headers, { body: base64('repaired') });
  assert.equal(longer.request.headers, [
    ['ce-partitionkey', 'k1'],
    ['Content-Length', '8'],
    ['Content-Type', 'text/plain'],
  ]);
  const other = await ranBy(headers, { body: base64('{}'), contentType: 'application/json' });
  assert.equal(other.request.headers, [
    ['ce-partitionkey', 'k1'],
    ['Content-Length', '2'],
    ['content-type', 'application/json'],
  ]);
  const named = await ranBy([], { contentType: 'text/x' });
  assert.equal([named.request.headers, named.request.body], [[['content-type', 'text/x']], base64('came')]);
});

test('Redriver: waits for its turn among the events with its ordering key, and lets the next one go on', async () => {
  let [asked, freed] = [0, 0];
  const occupy: Occupy = (...place) => {
    assert.equal(place, ['a', 'f', 'k1']);
    return ++asked < 3 ? undefined : () => void freed++;
  };
  await ranBy([], {}, occupy);
  assert.equal([asked, freed], [3, 1]);
});

test('Redriver: one that is dropped while it is run is run once, and nothing of it is kept; a conflict with others is run again', async () => {
  let runs = 0;
  const response = { status: 200, headers: [], body: new Uint8Array(0) };
  const world: Awaited<ReturnType<typeof open>> = await open([], async () => {
    if (++runs === 1) return { response, commit: () => Promise.reject(new Problem('conflict', 'somebody else')) };
    await world.deadLetters.drop('a', 'e1');
    return { response, commit: async (writes) => void (await world.table.commit(writes)) };
  });
  const failed = await world.redriver.redrive('a', 'e1').catch((error: Problem) => [error.code, error.message]);
  assert.equal(failed, ['conflict', 'cannot redrive "e1": it was dropped while it was run, and nothing of that is kept']);
  assert.is(runs, 2);
});

test.run();
