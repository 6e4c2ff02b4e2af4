import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { describeExecution, type ExecutionFacts } from '../../host/execution/record.ts';
import { ExecutionRing } from '../../host/execution/ring.ts';

const facts = (id: string, overrides: Partial<ExecutionFacts> = {}): ExecutionFacts => ({
  id,
  version: 3,
  arrivedMs: 1000,
  admittedMs: 1000.5,
  placedMs: 1001,
  startedMs: 1001.5,
  responseStartedMs: Number.NaN,
  endedMs: 1002.25,
  releasedMs: 1002.25,
  state: 'failed',
  code: 'guest-trap',
  load: 'cache',
  fleet: 'on-demand',
  sidecars: undefined,
  steps: undefined,
  place: { rung: 2, isolate: 7, load: 'cache', atMs: 1001 },
  decisions: [],
  status: 502,
  meter: {
    cpuUs: 12,
    wallUs: 34,
    memoryBytesPeak: 65_536,
    memoryRefused: true,
    hostCalls: { names: ['wasi:http/types@0.2.3#[constructor]fields', 'wasi:http/types@0.2.0#x', ''], counts: [2, 1, 9] },
  },
  bytesIn: 5,
  bytesOut: 6,
  ...overrides,
});

test('find: gives back all of an execution', () => {
  const ring = new ExecutionRing();
  const original = facts('a');
  ring.add(original);
  assert.equal(ring.find('a'), original);
  assert.is(ring.find('b'), undefined);
});

test('add: keeps the last rows and no more', () => {
  const ring = new ExecutionRing(100);
  for (let i = 0; i < 250; i++) ring.add(facts(`id-${i}`, { bytesIn: i }));
  assert.is(ring.length, 100);
  assert.is(ring.find('id-149'), undefined);
  for (let i = 150; i < 250; i++) assert.is(ring.find(`id-${i}`)?.bytesIn, i);
});

test('describeExecution: has what the control API promises', () => {
  const record = describeExecution(
    'acme',
    'shop',
    facts('a', {
      arrivedMs: 0 - performance.timeOrigin,
      admittedMs: Number.NaN,
      placedMs: Number.NaN,
      startedMs: Number.NaN,
      endedMs: 2.5 - performance.timeOrigin,
      releasedMs: 3 - performance.timeOrigin,
    }),
  );
  assert.is(record.arrivedAt, '1970-01-01T00:00:00.000Z');
  assert.equal(record.timeline, [
    { at: 0, step: 'arrived' },
    { at: 2500, step: 'ended' },
    { at: 3000, step: 'released' },
  ]);
  assert.equal(record.meter.hostCalls, { 'wasi:http/types': 3 });
  assert.equal([record.tenant, record.function, record.code, record.load, record.result], ['acme', 'shop', 'guest-trap', 'cache', { status: 502, bytes: 6 }]);
});

test.run();
