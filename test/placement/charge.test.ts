import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { chargeOf } from '../../host/placement/charge.ts';
import { Harness, standard } from './harness.ts';

test('chargeOf: at least twice the peak and 4 MiB, in steps, never more than the limit', () => {
  assert.is(chargeOf(64, 0.2), 8);
  assert.is(chargeOf(64, 10), 24);
  assert.is(chargeOf(64, 31), 64);
  assert.is(chargeOf(2, 0.1), 2);
});

/** One isolate of 128 MiB that stands by, no more can be had. */
const oneIsolate = (): Harness => {
  const node = new Harness({ max: 1, slots: 4, instances: 8, configurations: [{ ...standard, floor: 1, ceiling: 1 }] });
  node.tell({ type: 'tick' });
  node.warm();
  return node;
};

test('measured: a version that takes little of its limit has room where its limit has none', () => {
  const node = oneIsolate();
  const version = node.add('a/f@1', { memoryMib: 128 });
  node.placed(version);
  assert.is(node.ask(version).type, 'queue');
  node.tell({ type: 'measured', version, peakMib: 1 });
  assert.equal([node.answer('x2')?.type, node.ask(version).type, node.ask(version).type], ['place', 'place', 'place']);
  assert.is(node.ask(version).type, 'queue', 'only so many executions as there are slots');
});

test('measured: when a version takes more than before, idle instances go until the rest fits', () => {
  const node = oneIsolate();
  const version = node.add('a/f@1', { memoryMib: 64 });
  const first = node.placed(version);
  node.tell({ type: 'measured', version, peakMib: 1 });
  const others = [node.placed(version), node.placed(version), node.placed(version)];
  for (const placed of [first, ...others]) node.end(placed);
  node.tell({ type: 'measured', version, peakMib: 2 });
  assert.is(node.of('drop').length, 0);
  node.tell({ type: 'measured', version, peakMib: 40 });
  assert.is(node.of('drop').length, 2, 'two of 64 MiB fit');
});

test('measured: nothing is known of a version that was added again', () => {
  const node = oneIsolate();
  node.tell({ type: 'measured', version: 'a/none@1', peakMib: 1 });
  const version = node.add('a/f@1', { memoryMib: 128 });
  node.tell({ type: 'measured', version, peakMib: 1 });
  node.tell({ type: 'version-removed', version });
  node.add(version, { memoryMib: 128 });
  node.placed(version);
  assert.is(node.ask(version).type, 'queue');
});

test.run();
