import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Harness, standard } from './harness.ts';

const loadAll = (node: Harness): void => {
  for (const { isolate, version } of node.of('load')) node.tell({ type: 'loaded', isolate, version, instances: 1, failed: 0 });
};

test('reservation-set: isolates are assigned beforehand with the instances loaded, and stand by', () => {
  const node = new Harness();
  node.add('a/orders@1');
  node.add('a/checkout@1');
  node.reserve({ tenants: ['a'], isolates: 2, versions: ['a/orders@1', 'a/checkout@1'] });
  node.warm();
  assert.equal(
    node.of('assign').map(({ tenant, reservation }) => [tenant, reservation]),
    [
      ['a', 'r'],
      ['a', 'r'],
    ],
  );
  assert.is(node.of('load').length, 4);
  assert.equal(node.snapshot().subPools[0], {
    reservation: 'r',
    tenants: ['a'],
    configuration: 'standard',
    isolates: 2,
    standby: 2,
    active: 0,
    warming: 0,
  });
});

test('findPlace: a reserved isolate is dispatched from standby to active, with its loaded instance, before the common pool', () => {
  const node = new Harness({ configurations: [{ ...standard, floor: 2 }] });
  const version = node.add('a/f@1');
  node.reserve({ tenants: ['a'], isolates: 1, versions: [version] });
  node.warm();
  loadAll(node);
  const place = node.placed(version);
  assert.equal([place.rung, place.instance, place.decision.inputs.from], [3, 'idle', 'reservation r']);
  const [subPool] = node.snapshot().subPools;
  assert.equal([subPool?.standby, subPool?.active], [0, 1]);
});

test('taken: a gateway that takes a loaded instance dispatches its isolate too', () => {
  const node = new Harness();
  const version = node.add('a/f@1');
  node.reserve({ tenants: ['a'], isolates: 1, versions: [version] });
  node.warm();
  loadAll(node);
  node.tell({ type: 'taken', isolate: 1, version, count: 1 });
  assert.equal([node.snapshot().subPools[0]?.active, node.isolates()[0]?.inFlight, node.snapshot().rungs.taken], [1, 1, 1]);
});

test('findPlace: nobody else gets a reserved isolate, even when there is no other', () => {
  const node = new Harness({ max: 4 });
  node.reserve({ tenants: ['a'], isolates: 2 });
  node.warm();
  const versions = ['b', 'c', 'd'].map((tenant) => node.add(`${tenant}/f@1`));
  const asked = versions.flatMap((version) => Array.from({ length: 4 }, () => node.ask(version)));
  node.warm();
  node.pass(500);
  const reserved = node.isolates().filter(({ reservation }) => reservation === 'r');
  assert.equal(
    reserved.map(({ tenant, standing }) => [tenant, standing]),
    [
      ['a', 'standby'],
      ['a', 'standby'],
    ],
  );
  assert.ok(asked.some(({ execution }) => node.answer(execution)?.type === 'reject'));
});

const exhausted = (whenExhausted: 'overflow' | 'queue' | 'reject') => {
  const node = new Harness({ configurations: [{ ...standard, floor: 1 }] });
  const version = node.add('a/f@1', { whenExhausted });
  node.reserve({ tenants: ['a'], isolates: 1 });
  node.warm();
  const running = [node.placed(version), node.placed(version)];
  return { node, version, running };
};

test('whenExhausted overflow: the common pool serves what the reservation cannot', () => {
  const { node, version, running } = exhausted('overflow');
  const place = node.placed(version);
  assert.equal([place.rung, place.decision.inputs.from], [3, 'pool standard']);
  node.end(running[0]!);
  node.end(place);
  assert.is(node.placed(version).isolate, running[0]!.isolate, 'reserved ones come first');
});

test('whenExhausted queue: a request waits for the reservation until its deadline', () => {
  const { node, version, running } = exhausted('queue');
  const [first, second] = [node.ask(version), node.ask(version)];
  assert.is(first.type, 'queue');
  node.end(running[0]!);
  const place = node.answer(first.execution)!;
  assert.ok(place.type === 'place');
  assert.is(place.isolate, running[0]!.isolate);
  node.pass(350);
  assert.is(node.answer(second.execution)?.type, 'reject');
});

test('whenExhausted reject: a request is refused at once, with what is reserved', () => {
  const { node, version } = exhausted('reject');
  const refused = node.ask(version);
  assert.ok(refused.type === 'reject');
  assert.match(refused.message, 'its 1 reserved isolates are busy');
  assert.ok(refused.decision.passedOver.some(({ candidate }) => candidate === 'reservation r'));
});

test('reservation-set: for several tenants each isolate binds at dispatch, and to one only', () => {
  const node = new Harness();
  const [a, b, c] = ['a', 'b', 'c'].map((tenant) => node.add(`${tenant}/f@1`)) as [string, string, string];
  node.reserve({ tenants: ['a', 'b'], isolates: 2 });
  node.warm();
  assert.is(node.of('assign').length, 0);
  const first = node.placed(a);
  const second = node.placed(b);
  assert.is.not(first.isolate, second.isolate);
  assert.equal(
    node.of('assign').map(({ tenant, reservation }) => [tenant, reservation]),
    [
      ['a', 'r'],
      ['b', 'r'],
    ],
  );
  assert.is(node.ask(c).type, 'queue');
});

test('refill: a used reserved isolate is destroyed after its time-out and replaced by a fresh one', () => {
  const node = new Harness();
  const version = node.add('a/f@1');
  node.reserve({ tenants: ['a'], isolates: 1 });
  node.warm();
  const place = node.placed(version);
  node.end(place);
  node.pass(10_000);
  node.sweep();
  node.warm();
  assert.not.ok(node.isolates().some(({ id }) => id === place.isolate));
  assert.is(node.snapshot().subPools[0]?.standby, 1);
});

test('reservation-removed: its isolates end when their executions do, and who waited for it asks again', () => {
  const { node, version, running } = exhausted('queue');
  const waiting = node.ask(version);
  node.tell({ type: 'reservation-removed', name: 'r' });
  assert.equal([node.answer(waiting.execution)?.type, node.isolates('draining')[0]?.inFlight], ['place', 2]);
  for (const place of running) node.end(place);
  node.sweep();
  assert.is(node.isolates().filter(({ reservation }) => reservation === 'r').length, 0);
});

test('reservation-set: with fewer isolates those that stand by go first', () => {
  const node = new Harness();
  const version = node.add('a/f@1');
  node.reserve({ tenants: ['a'], isolates: 3 });
  node.warm();
  const { isolate } = node.placed(version);
  node.reserve({ tenants: ['a'], isolates: 1 });
  node.sweep();
  assert.equal(
    node.isolates().map(({ id }) => id),
    [isolate],
  );
});

test.run();
