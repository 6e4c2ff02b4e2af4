import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Harness, standard } from './harness.ts';

const withWarm = (count: number, config = {}): Harness => {
  const node = new Harness({ configurations: [{ ...standard, floor: count, ceiling: Math.max(4, count) }], ...config });
  node.tell({ type: 'tick' });
  node.warm();
  return node;
};

test('findPlace: an isolate that stands by, then room beside, then the idle instance', () => {
  const node = withWarm(1);
  const version = node.add('a/f@1');
  const first = node.placed(version);
  assert.equal([first.rung, first.instance], [3, 'new']);
  const second = node.placed(version);
  assert.equal([second.rung, second.instance, second.isolate], [2, 'new', first.isolate]);
  node.end(first);
  const third = node.placed(version);
  assert.equal([third.rung, third.instance, third.isolate], [1, 'idle', first.isolate]);
});

test('findPlace: what was taken for a request is refilled at once', () => {
  const node = withWarm(2);
  const starts = node.of('start-isolate').length;
  node.placed(node.add('a/f@1'));
  assert.is(node.of('start-isolate').length, starts + 1);
});

test('findPlace: an isolate of another tenant is neither used nor named', () => {
  const node = withWarm(2);
  const { isolate } = node.placed(node.add('a/f@1'));
  const other = node.placed(node.add('b/f@1'));
  assert.is.not(other.isolate, isolate);
  assert.not.match(JSON.stringify(other.decision.passedOver), `isolate-${isolate}`);
});

test('findPlace: without room for its memory an isolate is skipped, and the decision says so', () => {
  const node = withWarm(2, { slots: 8 });
  const small = node.placed(node.add('a/small@1', { memoryMib: 100 }));
  const large = node.placed(node.add('a/large@1', { memoryMib: 64 }));
  assert.is.not(large.isolate, small.isolate);
  const reason = large.decision.passedOver.find(({ candidate }) => candidate === `isolate-${small.isolate}`)?.reason;
  assert.is(reason, '28 MiB are free, needs 64');
});

test('findPlace: a version that is like another runs where that one does: charged as it, in place of idle instances', () => {
  const node = withWarm(2, { slots: 8, instances: 8 });
  const version = node.add('a/f@1', { memoryMib: 64 });
  const first = node.placed(version);
  const second = node.placed(version);
  assert.is(second.isolate, first.isolate, 'both fill its 128 MiB');
  node.end(first);
  node.end(second);
  assert.is.not(node.placed(node.add('a/other@1', { memoryMib: 64 })).isolate, first.isolate, 'others take what stands by');
  const like = node.placed(node.add('a/f@1+debug:recorder', { memoryMib: 80, like: version }));
  assert.equal([like.rung, like.isolate], [2, first.isolate]);
  assert.ok(node.of('drop').length > 0, 'idle instances made room');
  node.tell({ type: 'measured', version, peakMib: 4 });
  const { decision } = node.placed(node.add('a/f@1+debug:other', { memoryMib: 80, like: version }));
  assert.is(decision.inputs.memoryMib, 12 + 16, 'what the other was measured with, and its sidecar');
});

test('findPlace: a smaller configuration, and one with other bindings, are passed over', () => {
  const node = new Harness({
    configurations: [
      { name: 'small', memoryMib: 32, bindings: '0.2', floor: 1, ceiling: 1 },
      { name: 'next', memoryMib: 256, bindings: '0.3', floor: 1, ceiling: 1 },
      { ...standard, floor: 1 },
    ],
  });
  node.tell({ type: 'tick' });
  node.warm();
  const { isolate } = node.placed(node.add('a/f@1', { memoryMib: 64 }));
  assert.is(node.isolates().find(({ id }) => id === isolate)?.configuration, 'standard');
});

test('ask: a version that no configuration fits is refused with what it needs', () => {
  const answer = withWarm(1).ask('none/f@1');
  assert.equal([answer.type, answer.type === 'reject' && answer.code], ['reject', 'function-not-found']);
  const node = withWarm(1);
  const large = node.ask(node.add('a/large@1', { memoryMib: 512 }));
  assert.ok(large.type === 'reject');
  assert.equal([large.code, large.retryAfterMs], ['unavailable', null]);
  assert.match(large.message, '512 MiB');
  assert.equal(large.decision.passedOver.at(-1), { candidate: 'pool standard', reason: 'has 128 MiB, needs 512' });
});

test('findPlace: a tenant with its share drops an idle instance of its own before it takes an isolate', () => {
  const node = withWarm(1, { max: 2 });
  const first = node.placed(node.add('a/one@1', { memoryMib: 128 }));
  node.end(first);
  const second = node.placed(node.add('a/two@1', { memoryMib: 128 }));
  assert.equal([second.isolate, second.rung], [first.isolate, 2]);
  const [drop] = node.of('drop');
  assert.equal([drop?.version, drop?.decision.kind, drop?.decision.choice], ['a/one@1', 'idle', 'make room for a/two@1']);
});

test('refill: starts stay within the ceiling of a pool and the maximum of the node', () => {
  const node = new Harness({ max: 3, configurations: [{ ...standard, floor: 3, ceiling: 3 }] });
  node.tell({ type: 'tick' });
  node.warm();
  for (const tenant of ['a', 'b', 'c', 'd']) node.ask(node.add(`${tenant}/f@1`));
  node.pass(100);
  assert.ok(node.isolates().length <= 3);
});

test('refill: the pool grows with the rate at which isolates are taken, and shrinks again', () => {
  const node = withWarm(1, { max: 64, configurations: [{ ...standard, floor: 1, ceiling: 6 }] });
  for (let i = 0; i < 40; i++) {
    node.nowMs += 20;
    node.placed(node.add(`t${i}/f@1`));
    node.warm();
  }
  const { target, warm } = node.snapshot().pools[0]!;
  assert.ok(target > 1 && target <= 6, `target ${target}`);
  assert.ok(warm > 1, `${warm} warm`);
  for (let i = 0; i < 400; i++) {
    node.pass(1000);
    node.sweep();
  }
  assert.equal(node.snapshot().pools[0]?.warm, 1);
});

test('prewarm: an instance is made before the first request, which then finds it idle', () => {
  const node = withWarm(1);
  const version = node.add('a/f@1');
  const actions = node.tell({ type: 'prewarm', version, instances: 1 });
  const load = actions.find((action) => action.type === 'load')!;
  assert.is(load.decision.kind, 'load');
  node.tell({ type: 'loaded', isolate: load.isolate, version, instances: 1, failed: 0 });
  assert.is(node.tell({ type: 'prewarm', version, instances: 1 }).filter(({ type }) => type === 'load').length, 0);
  assert.is(node.placed(version).rung, 1);
});

test('prewarm: without an isolate it waits for one as a request would', () => {
  const node = new Harness();
  const version = node.add('a/f@1');
  node.tell({ type: 'prewarm', version, instances: 2 });
  node.warm();
  assert.is(node.of('load').length, 2);
});

test('refused: another place is found when a gateway was faster, and the reason is kept', () => {
  const node = withWarm(1);
  const version = node.add('a/f@1');
  node.end(node.placed(version));
  const { execution, isolate } = node.placed(version);
  const [again] = node.tell({ type: 'refused', execution, reason: 'busy' });
  assert.ok(again?.type === 'place');
  assert.equal([again.instance, again.rung], ['new', 2]);
  assert.equal(again.decision.passedOver[0], { candidate: `isolate-${isolate}`, reason: 'its instance was taken meanwhile' });
});

test.run();
