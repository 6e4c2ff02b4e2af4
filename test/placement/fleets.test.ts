import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkFleets, type FleetConfig, type FleetPolicy, Fleets, HEAVY_CPU_MS } from '../../host/placement/fleets.ts';

const config: FleetConfig = { resident: 'all', windowMs: 60_000, residentAbove: 60, onDemandBelow: 20 };
const auto: FleetPolicy = { pinned: 'auto', trust: 'shared', approved: false };

/** Uses a function `perMinute` times a minute for so long, looking every five seconds; returns its moves. */
function drive(fleets: Fleets, name: string, fromMs: number, minutes: number, perMinute: number, cpuMsEach = 1): string[] {
  const moves: string[] = [];
  for (let ms = fromMs; ms < fromMs + minutes * 60_000; ms += 5000) {
    const requests = perMinute / 12;
    fleets.count(name, { requests, cpuMs: requests * cpuMsEach }, ms);
    moves.push(...fleets.review(ms).map(({ to }) => to));
  }
  return moves;
}

const started = (policy: Partial<FleetPolicy> = {}, change: Partial<FleetConfig> = {}): Fleets => {
  const fleets = new Fleets({ ...config, ...change });
  fleets.set('a/f', { ...auto, ...policy }, 0);
  return fleets;
};

test('Fleets: unknown functions, and those without requests, are on-demand', () => {
  const fleets = started();
  assert.equal([fleets.fleetOf('a/none'), fleets.fleetOf('a/f')], ['on-demand', 'on-demand']);
});

test('Fleets: above the threshold a function becomes resident, below the lower one on-demand, in between it stays', () => {
  const fleets = started();
  assert.equal(drive(fleets, 'a/f', 0, 3, 40), []);
  assert.equal(drive(fleets, 'a/f', 180_000, 3, 120), ['resident']);
  assert.equal(drive(fleets, 'a/f', 360_000, 3, 40), []);
  assert.is(fleets.fleetOf('a/f'), 'resident');
  assert.equal(drive(fleets, 'a/f', 540_000, 3, 6), ['on-demand']);
});

test('Fleets: around a threshold nothing flaps', () => {
  const fleets = started();
  const moves: string[] = [];
  for (let i = 0; i < 40; i++) moves.push(...drive(fleets, 'a/f', i * 60_000, 1, i % 2 ? 55 : 70));
  assert.ok(moves.length <= 1, moves.join());
});

test('Fleets: a pinned function is where it is pinned at once', () => {
  const fleets = started({ pinned: 'resident' });
  assert.is(fleets.fleetOf('a/f'), 'resident');
  const move = fleets.set('a/f', { ...auto, pinned: 'on-demand' }, 1)!;
  assert.equal(
    [move.to, move.decision.kind, move.decision.passedOver],
    ['on-demand', 'fleet', [{ candidate: 'resident', reason: 'capacity.fleet is on-demand' }]],
  );
  assert.equal(drive(fleets, 'a/f', 0, 3, 500), []);
});

test('Fleets: isolated trust, heavy CPU use and the policy of the node keep a function out of resident', () => {
  assert.equal(drive(started({ trust: 'isolated', pinned: 'resident' }), 'a/f', 0, 3, 500), []);
  assert.equal(drive(started(), 'a/f', 0, 3, 500, HEAVY_CPU_MS + 1), []);
  assert.equal(drive(started({ approved: true, pinned: 'resident' }, { resident: 'off' }), 'a/f', 0, 3, 500), []);
  assert.equal(drive(started({}, { resident: 'admin-approved' }), 'a/f', 0, 3, 500), []);
  assert.equal(drive(started({ approved: true }, { resident: 'admin-approved' }), 'a/f', 0, 3, 500), ['resident']);
});

test('Fleets: one that becomes heavy leaves resident, with the reason', () => {
  const fleets = started();
  drive(fleets, 'a/f', 0, 3, 500);
  fleets.count('a/f', { requests: 10, cpuMs: 100_000 }, 180_000);
  const [move] = fleets.review(180_000);
  assert.is(move?.to, 'on-demand');
  assert.match(move!.decision.passedOver[0]!.reason, `at most ${HEAVY_CPU_MS}`);
});

test('Fleets: a clock that jumps moves nobody', () => {
  const fleets = started();
  drive(fleets, 'a/f', 0, 3, 120);
  assert.equal(fleets.review(86_400_000), []);
  assert.equal(fleets.review(0), []);
});

test('Fleets: each function is in exactly one fleet at every moment', () => {
  const name = fc.constantFrom('a/f', 'a/g', 'b/f');
  const policy = fc.record({
    pinned: fc.constantFrom('auto', 'resident', 'on-demand'),
    trust: fc.constantFrom('shared', 'isolated'),
    approved: fc.boolean(),
  }) as fc.Arbitrary<FleetPolicy>;
  const step = fc.oneof(
    fc.record({ do: fc.constant('set' as const), name, policy }),
    fc.record({ do: fc.constant('count' as const), name, requests: fc.nat(100) }),
    fc.record({ do: fc.constant('delete' as const), name }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: -100_000, max: 100_000 }) }),
  );
  const play = (resident: FleetConfig['resident'], steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]): void => {
    const fleets = new Fleets({ ...config, resident });
    const known = new Map<string, FleetPolicy>();
    let nowMs = 0;
    for (const item of steps) {
      if (item.do === 'set') {
        fleets.set(item.name, item.policy, nowMs);
        known.set(item.name, item.policy);
      } else if (item.do === 'count') fleets.count(item.name, { requests: item.requests, cpuMs: 1 }, nowMs);
      else if (item.do === 'delete') {
        fleets.delete(item.name);
        known.delete(item.name);
      } else {
        nowMs += item.ms;
        fleets.review(nowMs);
      }
      const lists = fleets.lists();
      assert.equal([...lists.resident, ...lists.onDemand].sort(), [...known.keys()].sort());
      for (const of of lists.resident) assert.ok(resident !== 'off' && known.get(of)?.trust === 'shared' && (resident === 'all' || known.get(of)?.approved));
    }
  };
  fc.assert(fc.property(fc.constantFrom('all', 'admin-approved', 'off'), fc.array(step, { maxLength: 40 }), play), { numRuns: 300 });
});

test('checkFleets: thresholds that contradict each other are refused with both', () => {
  assert.equal(checkFleets(config), []);
  assert.equal(checkFleets({ ...config, residentAbove: 20 }), ['cannot set fleets.residentAbove: must be above fleets.onDemandBelow 20, got 20']);
  assert.is(checkFleets({ ...config, windowMs: 0, onDemandBelow: -1 }).length, 2);
});

test.run();
