import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { makeEvent } from '../../host/event/cloud-event.ts';
import { Outbox } from '../../host/event/outbox.ts';
import { CommitBatch } from '../../host/store/commit-batch.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { Agenda } from '../simulation/agenda.ts';
import { clockOf, settled } from '../simulation/mortal.ts';

/** It rests after each page of records, of which there are a few here. */
const ready = async (): Promise<void> => {
  for (let page = 0; page < 5; page++) await settled();
};

const stepped = async (agenda: Agenda, steps: number): Promise<void> => {
  for (let step = 0; step < steps; step++) {
    agenda.step();
    await ready();
  }
};

test('Outbox: records that cannot be relayed hold up no others, and are relayed when they can be', async () => {
  const agenda = new Agenda();
  const table = new MemoryTable();
  const relayed: string[] = [];
  const failed: number[] = [];
  let isFull = true;
  let ids = 0;
  const outbox = new Outbox({
    table,
    batch: new CommitBatch(table),
    clock: clockOf(agenda, 0, { now: true }),
    nextId: () => String(ids++).padStart(6, '0'),
    relay: ({ tenant }) => {
      if (tenant === 'a' && isFull) throw new Problem('store-full', 'there is no room');
      return { writes: [], done: () => relayed.push(tenant), undo: () => assert.unreachable(), relayed: undefined };
    },
    bury: () => Promise.reject(new Error('it can be relayed later')),
    onFailed: (_error, waiting) => failed.push(waiting),
    onError: (error) => assert.unreachable(String(error)),
  });
  const event = makeEvent({ id: '1', source: '/test', type: 'made' }, undefined, null);
  for (const tenant of [...Array<string>(200).fill('a'), 'b']) {
    const { key, value } = outbox.record({ tenant, what: { topic: 'made' }, event, hops: 0 });
    await table.commit([{ key, put: value }]);
  }
  outbox.start();
  await ready();
  assert.equal(relayed, ['b']);
  const started = agenda.nowMs;
  await stepped(agenda, 10);
  assert.equal(failed, Array(10).fill(200), 'told once each time');
  assert.is(agenda.nowMs - started, (1 + 2 + 4 + 8 + 16 + 5 * 30) * 1000, 'more and more seldom');
  assert.is(relayed.length, 1);
  isFull = false;
  await stepped(agenda, 1);
  assert.is(relayed.length, 201);
  await outbox.stop();
});

/** An outbox of these events, one after the other, whose copies are 30 of the same text; `fails` says of which events they cannot be made. */
const relaying = async (attributes: readonly Record<string, string>[], text: string, fails: (id: string) => boolean) => {
  const agenda = new Agenda();
  const memory = new MemoryTable();
  const relayed: string[] = [];
  const told: string[] = [];
  let ids = 0;
  // What the copies are written to is not kept: it would be much.
  const table = Object.assign(Object.create(memory) as MemoryTable, {
    commit: async (writes: Parameters<MemoryTable['commit']>[0]) => {
      if (writes.some(({ key }) => key.startsWith('copy/') && fails(key.split('/')[1] ?? ''))) throw new Problem('store-full', 'there is no room');
      return memory.commit(writes.filter(({ key }) => !key.startsWith('copy/')));
    },
  });
  const outbox = new Outbox({
    table,
    batch: new CommitBatch(table),
    clock: clockOf(agenda, 0, { now: true }),
    nextId: () => String(ids++).padStart(6, '0'),
    relay: ({ event }) => {
      const id = event.attributes.get('id') ?? '';
      const writes = Array.from({ length: 30 }, (_, index) => ({ key: `copy/${id}/${index}`, put: { text } }));
      return { writes, done: () => relayed.push(id), undo: () => undefined, relayed: undefined };
    },
    bury: () => Promise.reject(new Error('it can be relayed later')),
    onFailed: (error) => told.push(String(error)),
    onError: (error) => assert.unreachable(String(error)),
  });
  for (const own of attributes) {
    const event = makeEvent({ source: '/test', type: 'made', ...own }, undefined, Buffer.from(text, 'base64'));
    const { key, value } = outbox.record({ tenant: 'a', what: { topic: 'made' }, event, hops: 0 });
    await memory.commit([{ key, put: value }]);
  }
  outbox.start();
  for (let turns = 0; turns < 100 && memory.scan({ prefix: '~outbox/', limit: 1 }).entries.length > 0; turns++) await settled();
  return { agenda, outbox, relayed, told };
};

test('Outbox: more than may wait for the store is relayed in the order of its key, and no failure', async () => {
  const ids = Array.from({ length: 64 }, (_, index) => `e${index}`);
  const text = Buffer.alloc(64 * 1024, 1).toString('base64');
  const { agenda, outbox, relayed, told } = await relaying(
    ids.map((id) => ({ id, partitionkey: 'one' })),
    text,
    () => false,
  );
  assert.equal(relayed, ids);
  await stepped(agenda, 5);
  assert.equal(told, []);
  await outbox.stop();
});

test('Outbox: what could not be relayed holds up those behind it with its key, and no others', async () => {
  let isFull = true;
  const events = ['e0 one', 'e1 one', 'e2 two', 'e3', 'e4 one'].map((text) => {
    const [id = '', partitionkey] = text.split(' ');
    return { id, ...(partitionkey === undefined ? {} : { partitionkey }) };
  });
  // So many that some with the same key are on other pages, and some are not.
  const between = Array.from({ length: 100 }, (_, index) => ({ id: `b${index}` }));
  const { agenda, outbox, relayed } = await relaying([...events.slice(0, 2), ...between, ...events.slice(2)], 'AAAA', (id) => isFull && id === 'e0');
  assert.equal(
    relayed.filter((id) => id.startsWith('e')),
    ['e2', 'e3'],
  );
  assert.is(relayed.length, 102);
  isFull = false;
  await stepped(agenda, 1);
  assert.equal(
    relayed.filter((id) => id.startsWith('e')),
    ['e2', 'e3', 'e0', 'e1', 'e4'],
  );
  await outbox.stop();
});

test.run();
