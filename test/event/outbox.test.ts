import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { makeEvent } from '../../host/event/cloud-event.ts';
import { Outbox } from '../../host/event/outbox.ts';
import { CommitBatch } from '../../host/store/commit-batch.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { Agenda } from '../simulation/agenda.ts';
import { clockOf, settled } from '../simulation/mortal.ts';

const stepped = async (agenda: Agenda, steps: number): Promise<void> => {
  for (let step = 0; step < steps; step++) {
    agenda.step();
    await settled();
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
  await settled();
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

test.run();
