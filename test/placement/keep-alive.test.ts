import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { keepAliveMs } from '../../host/placement/keep-alive.ts';
import { Harness } from './harness.ts';

const started = (config = {}): Harness => {
  const node = new Harness({ max: 64, ...config });
  return node;
};

const placeOnce = (node: Harness, version: string) => {
  const asked = node.ask(version);
  node.warm();
  const place = node.answer(asked.execution)!;
  if (place.type !== 'place') throw new Error('not placed');
  return place;
};

test('keepAliveMs: follows the requests a minute, at most eightfold', () => {
  assert.equal([keepAliveMs(100, 0), keepAliveMs(100, 1), keepAliveMs(100, 15), keepAliveMs(100, 1e9)], [100, 200, 500, 800]);
});

test('idle: an instance is dropped after its time-out, then its isolate destroyed, and the decisions say why', () => {
  const node = started();
  const version = node.add('a/f@1');
  node.end(placeOnce(node, version));
  const actions = node.pass(5000);
  const drop = actions.find((action) => action.type === 'drop')!;
  const drain = actions.find((action) => action.type === 'drain')!;
  assert.ok(actions.indexOf(drop) < actions.indexOf(drain));
  assert.equal([drop.decision.kind, drop.decision.subject, drop.decision.inputs.lastUsedAt], ['idle', version, 0]);
  assert.ok(Number(drop.decision.inputs.timeoutMs) >= 500 && Number(drop.decision.inputs.perMinute) > 0);
  assert.equal([drain.decision.kind, drain.decision.tenant, drain.decision.choice], ['idle', 'a', 'unused']);
});

test('idle: an isolate in which something runs stays', () => {
  const node = started();
  placeOnce(node, node.add('a/f@1'));
  node.pass(20_000);
  assert.is(node.of('drain').length, 0);
});

test('idle: activity resets the time-out', () => {
  const node = started();
  const version = node.add('a/f@1');
  node.end(placeOnce(node, version));
  for (let i = 0; i < 20; i++) {
    node.pass(400);
    node.end(node.placed(version));
  }
  assert.is(node.of('drop').length + node.of('drain').length, 0);
});

test('idle: what gateways take by themselves counts as activity', () => {
  const node = started();
  const version = node.add('a/f@1');
  const { isolate } = placeOnce(node, version);
  node.tell({ type: 'released', isolate, version, kept: true });
  for (let i = 0; i < 20; i++) {
    node.pass(400);
    node.tell({ type: 'taken', isolate, version, count: 1 });
    node.tell({ type: 'released', isolate, version, kept: true });
  }
  assert.is(node.of('drop').length, 0);
});

test('idle: a function with many requests outlives one with few', () => {
  const node = started();
  const [busy, quiet] = [node.add('busy/f@1'), node.add('quiet/f@1')];
  const hot = placeOnce(node, busy);
  node.end(hot);
  for (let i = 0; i < 200; i++) node.end(node.placed(busy));
  const cold = placeOnce(node, quiet);
  node.end(cold);
  const ended = (isolate: number) => node.of('drain').find((action) => action.isolate === isolate)?.decision.at ?? Number.POSITIVE_INFINITY;
  node.pass(15_000);
  assert.ok(ended(cold.isolate) < ended(hot.isolate), `${ended(cold.isolate)} < ${ended(hot.isolate)}`);
});

test('idle: instances that a version does not need any more go, though others of it are in use', () => {
  const node = started({ slots: 8 });
  const version = node.add('a/f@1');
  const places = [placeOnce(node, version), ...Array.from({ length: 4 }, () => node.placed(version))];
  for (const place of places) node.end(place);
  for (let i = 0; i < 120; i++) {
    node.pass(200);
    node.end(node.placed(version));
  }
  assert.is(node.of('drop').length, 4);
});

test('destroy: a used isolate never serves again, for nobody', () => {
  const node = started();
  const { isolate } = placeOnce(node, node.add('a/f@1'));
  node.tell({ type: 'released', isolate, version: 'a/f@1', kept: true });
  node.pass(10_000);
  const again = node.ask('a/f@1');
  node.sweep();
  node.warm();
  const place = node.answer(again.execution)!;
  assert.ok(place.type === 'place' && place.isolate !== isolate);
});

test('drop-refused: an instance that a gateway took meanwhile counts again', () => {
  const node = started();
  const version = node.add('a/f@1');
  const { isolate, execution } = placeOnce(node, version);
  node.tell({ type: 'released', isolate, version, execution, kept: true });
  while (node.of('drop').length === 0) node.pass(50);
  node.tell({ type: 'drop-refused', isolate, version });
  node.tell({ type: 'taken', isolate, version, count: 1 });
  assert.equal([node.isolates()[0]?.inFlight, node.isolates()[0]?.holds], [1, [version]]);
  node.tell({ type: 'released', isolate, version, kept: true });
  assert.is(node.isolates()[0]?.inFlight, 0);
});

test.run();
