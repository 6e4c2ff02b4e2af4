import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { makeEvent } from '../../host/event/cloud-event.ts';
import { Outbox } from '../../host/event/outbox.ts';
import { CommitBatch } from '../../host/store/commit-batch.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { Agenda } from '../simulation/agenda.ts';
import { clockOf, settled } from '../simulation/mortal.ts';

test('Outbox: records that cannot be relayed hold up no others, and are relayed when they can be', async () => {
  const agenda = new Agenda();
  const table = new MemoryTable();
  const relayed: string[] = [];
  const errors: unknown[] = [];
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
    onError: (error) => errors.push(error),
  });
  const event = makeEvent({ id: '1', source: '/test', type: 'made' }, undefined, null);
  for (const tenant of [...Array<string>(200).fill('a'), 'b']) {
    const { key, value } = outbox.record({ tenant, what: { topic: 'made' }, event, hops: 0 });
    await table.commit([{ key, put: value }]);
  }
  outbox.start();
  await settled();
  assert.equal(relayed, ['b']);
  for (let tries = 0; tries < 3; tries++) {
    agenda.step();
    await settled();
  }
  assert.ok(errors.length > 0 && errors.length <= 4 * 4, `${errors.length} errors`);
  assert.is(relayed.length, 1);
  isFull = false;
  agenda.step();
  await settled();
  assert.is(relayed.length, 201);
  await outbox.stop();
});

test.run();
