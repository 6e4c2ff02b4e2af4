import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { eventBatch, judgeBatch } from '../../host/edge/event-batch.ts';

test('judgeBatch: takes what is new, knows the last one, and never takes one of the past', () => {
  const last = { number: 7, id: 'seven' };
  assert.is(judgeBatch(undefined, { number: 1, id: 'one' }), 'take');
  assert.is(judgeBatch(undefined, { number: 9, id: 'nine' }), 'take', 'after the origin forgot the edge');
  assert.is(judgeBatch(last, { number: 8, id: 'eight' }), 'take');
  assert.is(judgeBatch(last, { number: 12, id: 'twelve' }), 'take', 'after the origin was set back');
  assert.is(judgeBatch(last, { number: 7, id: 'seven' }), 'known');
  assert.is(judgeBatch(last, { number: 7, id: 'other' }), 'renumber', 'after the edge was set back');
  assert.is(judgeBatch(last, { number: 3, id: 'three' }), 'renumber', 'one that was delayed on its way');
});

test('eventBatch: refuses what is no batch', () => {
  const request = { method: 'POST', authority: 'f', pathWithQuery: '/', headers: [['ce-id', '1']], body: null };
  const batch = { number: 1, id: 'b', tenant: 'default', function: 'f', items: [{ trigger: 'topic', hops: 0, request }] };
  assert.ok(eventBatch.safeParse(batch).success);
  const item = batch.items[0];
  const wrong = [
    { ...batch, number: 0 },
    { ...batch, tenant: '../x' },
    { ...batch, function: 'a/b' },
    { ...batch, items: [] },
    { ...batch, items: Array.from({ length: 101 }, () => item) },
    { ...batch, items: [{ ...item, hops: 17 }] },
    { ...batch, items: [{ ...item, trigger: 'cron' }] },
    { ...batch, items: [{ ...item, request: { ...request, body: 'x'.repeat(800_000) } }] },
    { ...batch, more: true },
  ];
  for (const [index, one] of wrong.entries()) assert.not.ok(eventBatch.safeParse(one).success, `${index}`);
});

test.run();
