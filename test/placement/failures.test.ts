import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Harness, standard } from './harness.ts';

const warmOne = (config = {}): Harness => {
  const node = new Harness({ configurations: [{ ...standard, floor: 1 }], ...config });
  node.tell({ type: 'tick' });
  node.warm();
  return node;
};

test('isolate-lost: what made no effect is placed again elsewhere, the rest has failed', () => {
  const node = warmOne();
  const version = node.add('a/f@1');
  const [first, second] = [node.placed(version), node.placed(version)];
  node.warm();
  const actions = node.tell({ type: 'isolate-lost', isolate: first.isolate, reason: 'out of memory', replayable: [first.execution] });
  const lost = actions.filter((action) => action.type === 'lost').map(({ execution, again }) => [execution, again]);
  assert.equal(lost, [
    [first.execution, true],
    [second.execution, false],
  ]);
  const place = node.answer(first.execution)!;
  assert.ok(place.type === 'place' && place.isolate !== first.isolate);
  assert.equal(place.decision.passedOver[0], { candidate: `isolate-${first.isolate}`, reason: 'was lost: out of memory' });
  assert.is(node.snapshot().rungs.lost, 1);
});

test('isolate-lost: an execution whose isolates die again and again fails in the end', () => {
  const node = warmOne();
  const place = node.placed(node.add('a/f@1'));
  let attempts = 1;
  for (let at = node.answer(place.execution); at?.type === 'place' && attempts < 10; at = node.answer(place.execution)) {
    const actions = node.tell({ type: 'isolate-lost', isolate: at.isolate, reason: 'killed', replayable: [place.execution] });
    if (actions.some((action) => action.type === 'lost' && !action.again)) break;
    attempts++;
    node.warm();
  }
  assert.is(attempts, 3);
});

test('isolate-lost: in every state the node starts another and forgets it', () => {
  for (const state of ['warming', 'warm', 'assigned', 'draining'] as const) {
    const node = new Harness({ configurations: [{ ...standard, floor: 1 }] });
    const version = node.add('a/f@1');
    node.tell({ type: 'tick' });
    if (state !== 'warming') node.warm();
    if (state === 'assigned' || state === 'draining') node.placed(version);
    if (state === 'draining') node.tell({ type: 'tenant-suspended', tenant: 'a' });
    const [isolate] = node.isolates(state);
    node.tell({ type: 'isolate-lost', isolate: isolate!.id, reason: 'killed', replayable: [] });
    assert.not.ok(
      node.isolates().some(({ id }) => id === isolate!.id),
      state,
    );
    node.pass(1000);
    node.warm();
    assert.is(node.snapshot().pools[0]?.warm, 1, state);
  }
});

test('isolate-start-failed: the next start waits longer each time, and who waits is served after all', () => {
  const node = new Harness({ queueMs: 5000 });
  const asked = node.ask(node.add('a/f@1'));
  const starts: number[] = [];
  for (let failures = 0; failures < 4; ) {
    const [warming] = node.isolates('warming');
    if (warming) {
      starts.push(node.nowMs);
      failures++;
      node.tell({ type: 'isolate-start-failed', isolate: warming.id, message: 'no threads' });
    } else node.pass(50);
  }
  assert.equal(starts, [0, 100, 300, 700]);
  while (node.isolates('warming').length === 0) node.pass(50);
  node.warm();
  assert.is(node.answer(asked.execution)?.type, 'place');
});

test('start-isolate: one that is not warm in time is given up, and destroyed', () => {
  const node = new Harness({ startTimeoutMs: 200, queueMs: 5000 });
  const asked = node.ask(node.add('a/f@1'));
  node.pass(250);
  assert.equal(
    node.of('destroy').map(({ isolate }) => isolate),
    [1],
  );
  node.tell({ type: 'isolate-warm', isolate: 1 });
  assert.is(node.answer(asked.execution)?.type, 'queue', 'what comes too late is not used');
  node.pass(200);
  node.warm();
  assert.is(node.answer(asked.execution)?.type, 'place');
});

test('load-failed: the execution is refused with the code of the module, and its room is free again', () => {
  const node = warmOne();
  const place = node.placed(node.add('a/broken@1', { memoryMib: 128 }));
  const [refused] = node.tell({ type: 'load-failed', execution: place.execution, code: 'module-invalid', message: 'the module is damaged' });
  assert.ok(refused?.type === 'reject');
  assert.equal([refused.code, refused.retryAfterMs], ['module-invalid', null]);
  assert.equal([node.placed(node.add('a/whole@1', { memoryMib: 128 })).isolate], [place.isolate]);
});

test('isolate-destroyed: one that ends while it runs something has lost it', () => {
  const node = warmOne();
  const place = node.placed(node.add('a/f@1'));
  const actions = node.tell({ type: 'isolate-destroyed', isolate: place.isolate });
  assert.ok(actions.some((action) => action.type === 'lost' && action.execution === place.execution && !action.again));
});

test('handle: events of isolates and executions that are unknown do nothing', () => {
  const node = warmOne();
  const before = JSON.stringify(node.snapshot());
  const version = 'x/none@1';
  node.tell({ type: 'isolate-warm', isolate: 99 });
  node.tell({ type: 'isolate-drained', isolate: 99 });
  node.tell({ type: 'isolate-destroyed', isolate: 99 });
  node.tell({ type: 'isolate-lost', isolate: 99, reason: 'killed', replayable: ['x'] });
  node.tell({ type: 'released', isolate: 99, version, execution: 'x', kept: true });
  node.tell({ type: 'loaded', isolate: 99, version, instances: 1, failed: 0 });
  node.tell({ type: 'taken', isolate: 99, version, count: 0 });
  node.tell({ type: 'cancelled', execution: 'x' });
  node.tell({ type: 'refused', execution: 'x', reason: 'busy' });
  node.tell({ type: 'load-failed', execution: 'x', code: 'module-invalid', message: '' });
  node.tell({ type: 'drop-refused', isolate: 99, version });
  node.tell({ type: 'version-removed', version });
  node.tell({ type: 'reservation-removed', name: 'none' });
  node.tell({ type: 'prewarm', version, instances: 1 });
  assert.is(JSON.stringify(node.snapshot()), before);
});

test('request: the same execution asked twice gets one place', () => {
  const node = warmOne();
  const version = node.add('a/f@1');
  node.tell({ type: 'request', execution: 'x', version });
  node.tell({ type: 'request', execution: 'x', version });
  assert.is(node.of('place').length, 1);
});

test('handle: a clock that jumps forward ends nobody, one that jumps back holds nobody', () => {
  const node = warmOne({ max: 1 });
  const version = node.add('a/f@1');
  const running = [node.placed(version), node.placed(version)];
  const waiting = node.ask(version);
  node.nowMs += 86_400_000;
  node.tell({ type: 'tick' });
  assert.is(node.answer(waiting.execution)?.type, 'queue');
  assert.is(node.of('drain').length, 0);
  node.nowMs -= 2 * 86_400_000;
  node.pass(250);
  assert.is(node.answer(waiting.execution)?.type, 'queue');
  node.pass(100);
  assert.is(node.answer(waiting.execution)?.type, 'reject');
  for (const place of running) node.end(place);
  node.pass(5000);
  assert.is(node.of('drain').length, 1);
});

test('refused: idle instances that gateways took without saying so yet are each asked for once', () => {
  const node = new Harness({ slots: 4, configurations: [{ ...standard, floor: 1 }] });
  node.tell({ type: 'tick' });
  node.warm();
  const version = node.add('a/f@1');
  const busy = [node.placed(version), node.placed(version), node.placed(version)];
  for (const place of busy) node.end(place);
  let last = node.placed(version);
  let refusals = 0;
  while (last.instance === 'idle' && refusals < 20) {
    refusals++;
    node.tell({ type: 'refused', execution: last.execution, reason: 'busy' });
    const answer = node.answer(last.execution);
    assert.is(answer?.type, 'place');
    last = answer as typeof last;
  }
  assert.is(refusals, 3, 'as many as there were');
  assert.is(last.instance, 'new');
  node.tell({ type: 'taken', isolate: last.isolate, version, count: 3 });
  node.tell({ type: 'released', isolate: last.isolate, version, kept: true, count: 3 });
  node.end(last);
  assert.is(node.placed(version).instance, 'idle', 'what was told late is counted right');
});

test.run();
