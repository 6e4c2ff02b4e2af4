import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ExecutionIds, gatewayMax, gatewayOf } from '../../host/execution/id.ts';

test('next: ids are unique and sort in the order in which they were made', () => {
  const ids = new ExecutionIds(7);
  let nowMs = 1_764_000_000_000;
  const made = Array.from({ length: 70_000 }, (_, i) => ids.next(i % 40_000 === 0 ? ++nowMs : nowMs));
  assert.is(new Set(made).size, made.length);
  assert.equal(made, made.toSorted());
});

test('next: ids never go back, even if the clock does', () => {
  const ids = new ExecutionIds(0);
  const later = ids.next(2000);
  assert.ok(ids.next(1000) > later);
});

test('next: ids of the same moment differ by what cannot be guessed', () => {
  const [one, two] = [new ExecutionIds(1).next(5), new ExecutionIds(1).next(5)];
  assert.is(one.slice(0, 14), two.slice(0, 14));
  assert.is.not(one.slice(14), two.slice(14));
});

test('gatewayOf: finds the thread of every id', () => {
  for (const gateway of [0, 1, 31, 32, 33, gatewayMax]) assert.is(gatewayOf(new ExecutionIds(gateway).next(Date.now())), gateway);
});

test('gatewayOf: says nothing of other texts', () => {
  for (const text of ['', 'x', '0'.repeat(27), '0'.repeat(29), `${'0'.repeat(27)}i`, '__proto__', '0'.repeat(27).concat('É')])
    assert.is(gatewayOf(text), undefined, text);
});

test.run();
