import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Harness, standard } from './harness.ts';

/** One isolate with two slots, both busy. */
function full(config = {}): { node: Harness; version: string; running: ReturnType<Harness['placed']>[] } {
  const node = new Harness({ max: 1, configurations: [{ ...standard, floor: 1 }], ...config });
  node.tell({ type: 'tick' });
  node.warm();
  const version = node.add('a/f@1');
  return { node, version, running: [node.placed(version), node.placed(version)] };
}

test('ask: with all isolates busy a request waits, and gets the instance that is free first', () => {
  const { node, version, running } = full();
  const waiting = node.ask(version);
  assert.is(waiting.type, 'queue');
  node.nowMs = 40;
  const placed = node.end(running[0]!).find((action) => action.type === 'place')!;
  assert.equal([placed.execution, placed.rung, placed.decision.inputs.by, placed.decision.inputs.waitedMs], [waiting.execution, 4, 'idle instance', 40]);
});

test('ask: a request with no place by its deadline is refused with Retry-After in whole seconds', () => {
  const { node, version } = full();
  const waiting = node.ask(version);
  node.pass(250);
  assert.is(node.answer(waiting.execution)?.type, 'queue');
  node.pass(100);
  const refused = node.answer(waiting.execution)!;
  assert.ok(refused.type === 'reject');
  assert.is(refused.code, 'capacity-exhausted');
  assert.ok(refused.retryAfterMs! >= 1000 && refused.retryAfterMs! % 1000 === 0);
  assert.match(refused.message, 'no place within 300 ms');
});

test('request: one that may not wait, or not for long, is refused earlier', () => {
  const { node, version } = full();
  node.tell({ type: 'request', execution: 'now', version, queueMs: 0 });
  assert.is(node.answer('now')?.type, 'reject');
  node.tell({ type: 'request', execution: 'soon', version, queueMs: 100 });
  assert.is(node.core.wakeAtMs, 100);
  node.pass(100);
  assert.is(node.answer('soon')?.type, 'reject');
});

test('ask: with whenFull reject nobody waits at the maximum, but for an isolate that starts', () => {
  const { node, version } = full({ whenFull: 'reject', max: 2, configurations: [{ ...standard, floor: 1, ceiling: 1 }] });
  assert.is(node.ask(version).type, 'queue', 'the second isolate starts');
  assert.is(node.ask(version).type, 'queue');
  const refused = node.ask(version);
  assert.ok(refused.type === 'reject');
  assert.match(refused.message, 'all 2 isolates are in use, and whenFull is reject');
});

test('ask: a full queue refuses, and says how many may wait', () => {
  const { node, version } = full({ queueMax: 3, tenantQueueMax: 2 });
  node.ask(version);
  node.ask(version);
  const refused = node.ask(version);
  assert.ok(refused.type === 'reject');
  assert.match(refused.message, 'at most 2 requests of a tenant wait, 2 do');
});

test('ask: the tenant that waits most makes room in a full queue for one that waits less', () => {
  const { node, version } = full({ queueMax: 3, tenantQueueMax: 3 });
  const flood = [node.ask(version), node.ask(version), node.ask(version)];
  const other = node.ask(node.add('b/f@1'));
  assert.is(other.type, 'queue');
  assert.equal(
    flood.map(({ execution }) => node.answer(execution)?.type),
    ['queue', 'queue', 'reject'],
  );
});

test('cancelled: who is gone gets no place', () => {
  const { node, version, running } = full();
  const waiting = node.ask(version);
  node.tell({ type: 'cancelled', execution: waiting.execution });
  assert.is(node.end(running[0]!).filter(({ type }) => type === 'place').length, 0);
  assert.is(node.snapshot().queues.length, 0);
});

test('serve: isolates go to waiting tenants in turn, whatever one of them floods', () => {
  const node = new Harness({ max: 4, queueMs: 5000, queueMax: 1000, tenantQueueMax: 500, configurations: [{ ...standard, ceiling: 4 }] });
  const flood = node.add('flood/f@1');
  const others = ['b', 'c', 'd'].map((tenant) => node.add(`${tenant}/f@1`));
  for (let i = 0; i < 200; i++) node.ask(flood);
  const asked = others.map((version) => node.ask(version));
  node.warm();
  for (const { execution } of asked) assert.is(node.answer(execution)?.type, 'place');
});

test('makeRoom: a tenant with more than its share gives an isolate back when another waits', () => {
  const node = new Harness({ max: 3, queueMs: 5000, slots: 2 });
  const greedy = node.add('greedy/f@1');
  const asked = Array.from({ length: 6 }, () => node.ask(greedy));
  node.warm();
  assert.is(node.isolates('assigned').length, 3);
  const other = node.ask(node.add('b/f@1'));
  assert.is(other.type, 'queue');
  const [drain] = node.of('drain');
  assert.is(drain?.decision.kind, 'scale-in');
  assert.match(drain!.decision.choice, 'tenant with more than its share');
  for (const { execution } of asked) {
    const place = node.answer(execution)!;
    if (place.type === 'place' && place.isolate === drain!.isolate) node.end(place);
  }
  assert.is(node.ask(greedy).type, 'queue', 'the victim gets no new work');
  node.sweep();
  node.warm();
  assert.is(node.answer(other.execution)?.type, 'place');
});

/** Two tenants with an isolate each that they do not use, and one that has its share and waits: all isolates there are. */
function crowded(): { node: Harness; waiting: string; owners: ReturnType<Harness['placed']>[] } {
  const node = new Harness({ max: 3, slots: 2, queueMs: 5000, idleMs: 60_000, instanceIdleMs: 60_000 });
  const owners = ['b', 'c'].map((tenant) => {
    const { execution } = node.ask(node.add(`${tenant}/f@1`));
    node.warm();
    return node.answer(execution) as ReturnType<Harness['placed']>;
  });
  const busy = node.add('a/f@1');
  for (let i = 0; i < 2; i++) node.ask(busy);
  node.warm();
  assert.equal(
    node.isolates('assigned').map(({ tenant }) => tenant),
    ['b', 'c', 'a'],
  );
  for (const place of owners) node.end(place);
  const { execution, type } = node.ask(busy);
  assert.is(type, 'queue');
  return { node, waiting: execution, owners };
}

test('makeRoom: an isolate that its owner does not use ends, and another one starts, for a tenant that has its share and waits', () => {
  const { node, waiting, owners } = crowded();
  node.pass(900);
  assert.is(node.of('drain').length, 0, 'an owner that was there a moment ago keeps its isolate');
  node.pass(150);
  const [drain, ...more] = node.of('drain');
  assert.is(more.length, 0, 'one is enough');
  assert.is(drain?.isolate, owners[0]?.isolate, 'the longest idle');
  assert.match(drain!.decision.choice, 'its owner is idle, for a, which waits and has 1 of 1 isolates');
  node.sweep();
  node.warm();
  const place = node.answer(waiting)!;
  assert.ok(place.type === 'place' && !owners.some(({ isolate }) => isolate === place.isolate), 'it is a new one');
});

test('makeRoom: an isolate that its owner uses stays, whoever waits beyond its share', () => {
  const { node, waiting, owners } = crowded();
  for (let i = 0; i < 20; i++) {
    for (const { version } of owners) {
      const place = node.placed(version);
      node.pass(100);
      node.end(place);
    }
  }
  assert.is(node.of('drain').length, 0);
  assert.is(node.answer(waiting)?.type, 'queue');
});

test('makeRoom: with more tenants than isolates the longest assigned goes when a tenant has waited', () => {
  const node = new Harness({ max: 1, queueMs: 1000, slots: 2 });
  const a = node.ask(node.add('a/f@1'));
  node.warm();
  const b = node.ask(node.add('b/f@1'));
  node.pass(200);
  assert.is(node.of('drain').length, 0);
  node.pass(100);
  assert.match(node.of('drain')[0]!.decision.choice, 'longest assigned, for b');
  const place = node.answer(a.execution)!;
  if (place.type === 'place') node.end(place);
  node.sweep();
  node.warm();
  assert.is(node.answer(b.execution)?.type, 'place');
});

test('tenant-waiting: told when the first of a tenant waits and when nobody does any more', () => {
  const { node, version, running } = full();
  node.ask(version);
  node.ask(version);
  for (const place of running) node.end(place);
  assert.equal(
    node.of('tenant-waiting').map(({ waiting }) => waiting),
    [true, false],
  );
});

test('version-removed: what waits for it is refused, and the next in the queue is served', () => {
  const { node, running } = full();
  const gone = node.ask(node.add('a/gone@1', { memoryMib: 128 }));
  const next = node.ask(node.add('a/next@1'));
  node.end(running[0]!);
  assert.is(node.answer(next.execution)?.type, 'queue', 'the first needs the whole isolate');
  node.tell({ type: 'version-removed', version: 'a/gone@1' });
  const refused = node.answer(gone.execution)!;
  assert.is(refused.type === 'reject' && refused.code, 'function-not-found');
  assert.is(node.answer(next.execution)?.type, 'place');
});

test('tenant-suspended: what waits is refused, its isolates drain, what runs goes on; resumed it is served again', () => {
  const { node, version, running } = full();
  const waiting = node.ask(version);
  node.tell({ type: 'tenant-suspended', tenant: 'a' });
  const refused = node.answer(waiting.execution)!;
  assert.is(refused.type === 'reject' && refused.code, 'tenant-suspended');
  const asked = node.ask(version);
  assert.is(asked.type === 'reject' && asked.code, 'tenant-suspended');
  assert.is(node.isolates('draining')[0]?.inFlight, 2);
  for (const place of running) node.end(place);
  node.sweep();
  node.tell({ type: 'tenant-resumed', tenant: 'a' });
  node.warm();
  assert.is(node.ask(version).type, 'place');
});

test.run();
