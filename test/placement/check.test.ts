import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkConfig, checkReservation } from '../../host/placement/check.ts';
import { createPlacement } from '../../host/placement/core.ts';
import type { PlacementConfig, Reservation } from '../../host/placement/model.ts';

const config: PlacementConfig = {
  max: 16,
  slots: 8,
  idleMs: 60_000,
  instanceIdleMs: 30_000,
  whenFull: 'queue',
  queueMs: 5000,
  configurations: [{ name: 'standard', memoryMib: 128, bindings: '0.2', floor: 2, ceiling: 8 }],
};
const [standard] = config.configurations as [PlacementConfig['configurations'][number]];
const reservation = (tenant: string, isolates: number): Reservation => ({ name: tenant, tenants: [tenant], configuration: 'standard', isolates, versions: [] });

test('checkConfig: the defaults of a node can be kept', () => {
  assert.equal(checkConfig(config), []);
});

test('checkConfig: settings that contradict each other are named, all of them', () => {
  const problems = checkConfig({ ...config, max: 3, queueMs: 0, slots: 1, configurations: [{ ...standard, floor: 9, ceiling: 4 }, standard] });
  assert.equal(problems, [
    'cannot set isolates.slots: must be a whole number from 2 to 1024, got 1',
    'cannot set floor of isolates.configurations "standard": at most its ceiling 4, got 9',
    'cannot set isolates.configurations: names must differ, got "standard" twice',
    'cannot set isolates.configurations: the floors together are at most isolates.max 3, got 11',
    'cannot set isolates.queueMs: must be above 0 when isolates.whenFull is "queue", got 0',
  ]);
});

test('checkConfig: what is no whole number, and a node without configurations, are refused', () => {
  assert.is(checkConfig({ ...config, max: Number.NaN, idleMs: -1, queueMs: 0.5 }).length, 3);
  assert.equal(checkConfig({ ...config, configurations: [] }), ['cannot set isolates.configurations: must have at least one, got none']);
});

test('createPlacement: refuses such settings', () => {
  assert.throws(() => createPlacement({ ...config, slots: 1 }), /isolates\.slots/);
});

test('checkReservation: what goes beyond the node is refused with both numbers', () => {
  assert.is(checkReservation(config, [], reservation('a', 14)), undefined);
  const problem = checkReservation(config, [reservation('b', 4)], reservation('a', 11));
  assert.is(problem, 'cannot reserve isolates for "a": at most 10 of the 16 isolates of this node can still be reserved, got 11');
});

test('checkReservation: a reservation does not count against its own replacement', () => {
  assert.is(checkReservation(config, [reservation('a', 14)], reservation('a', 13)), undefined);
});

test('checkReservation: nobody, the same twice, no such configuration and no isolates are refused', () => {
  const refused = (change: Partial<Reservation>) => checkReservation(config, [], { ...reservation('a', 1), ...change }) ?? '';
  assert.match(refused({ tenants: [] }), 'at least one tenant');
  assert.match(refused({ tenants: ['a', 'a'] }), 'must differ');
  assert.match(refused({ configuration: 'large' }), 'must be one of standard, got "large"');
  assert.match(refused({ isolates: 0 }), 'from 1 up, got 0');
  assert.match(refused({ isolates: 1.5 }), 'got 1.5');
});

test.run();
