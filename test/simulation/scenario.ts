import { checkReservation } from '../../host/placement/check.ts';
import type { PlacementConfig, Reservation, VersionSpec } from '../../host/placement/model.ts';
import { arrivals, type Pattern, patterns } from './arrivals.ts';
import { Random } from './random.ts';
import { type Faults, World } from './world.ts';

const DURATION_MS = 2000;
/** After the longest keep-alive of what was used last. */
const REST_MS = 12_000;
const TICK_MS = 400;

/** What one run of the simulation came to; `failure` is undefined if every invariant held. */
export type Played = { seed: number; pattern: Pattern; requests: number; rungs: Record<string, number>; failure: string | undefined };

function configFor(random: Random): Required<PlacementConfig> {
  const max = random.whole(1, 8);
  const standard = {
    name: 'standard',
    memoryMib: 128,
    bindings: '0.2',
    floor: random.whole(0, Math.min(2, max)),
    ceiling: random.whole(Math.min(2, max), max),
  };
  const small = { name: 'small', memoryMib: 32, bindings: '0.2', floor: 0, ceiling: 1 };
  const other = { name: 'next', memoryMib: 64, bindings: '0.3', floor: 0, ceiling: 1 };
  const queueMax = random.whole(2, 40);
  const slots = random.whole(2, 5);
  return {
    max,
    slots,
    instances: random.whole(slots, 2 * slots),
    idleMs: random.whole(200, 500),
    instanceIdleMs: 200,
    whenFull: random.chance(0.7) ? 'queue' : 'reject',
    queueMs: random.whole(20, 1000),
    queueMax,
    tenantQueueMax: random.whole(1, queueMax),
    startTimeoutMs: 200,
    replacedAtOnce: random.whole(1, 4),
    configurations: [standard, ...(random.chance(0.4) ? [small] : []), ...(random.chance(0.3) ? [other] : [])],
  };
}

function specsFor(random: Random): VersionSpec[] {
  const tenants = random.whole(1, 6);
  return Array.from({ length: random.whole(tenants, 3 * tenants) }, (_, i) => {
    const tenant = `tenant${i % tenants}`;
    return {
      version: `${tenant}/f${i}@1`,
      tenant,
      memoryMib: random.pick([8, 16, 32, 64, 128]),
      bindings: random.chance(0.1) ? '0.3' : '0.2',
      whenExhausted: random.pick(['overflow', 'overflow', 'queue', 'reject'] as const),
    };
  });
}

const faultsFor = (random: Random): Faults =>
  random.chance(0.3)
    ? { start: 0, hang: 0, load: 0, kill: 0, drop: 0.05, clock: 0 }
    : {
        start: random.pick([0, 0.1, 0.5]),
        hang: random.pick([0, 0.1]),
        load: random.pick([0, 0.05]),
        kill: random.pick([0, 0.2, 0.8]),
        drop: 0.1,
        clock: random.pick([0, 1]),
      };

function reserve(world: World, random: Random, config: PlacementConfig): void {
  const { reservations, specs } = world.judge;
  const tenants = [...new Set([...specs.values()].map(({ tenant }) => tenant))];
  const few = [...new Set([random.pick(tenants), ...(random.chance(0.3) ? [random.pick(tenants)] : [])])];
  const versions = [...specs.values()].filter(({ tenant }) => tenant === few[0]).map(({ version }) => version);
  const configuration = random.pick(config.configurations).name;
  const reservation: Reservation = { name: `r${random.whole(0, 1)}`, tenants: few, configuration, isolates: random.whole(1, 4), versions };
  if (checkReservation(config, [...reservations.values()], reservation) === undefined) world.tell({ type: 'reservation-set', reservation });
}

/** Things that admins do, and clocks: each at a random time, some undone later. */
function disturb(world: World, random: Random, config: PlacementConfig, specs: readonly VersionSpec[]): void {
  const { tenant, version } = random.pick(specs);
  const at = (act: () => void): void => world.agenda.after(random.next() * DURATION_MS, act);
  if (random.chance(0.4)) at(() => reserve(world, random, config));
  if (random.chance(0.4)) at(() => reserve(world, random, config));
  if (random.chance(0.2)) at(() => world.judge.reservations.has('r0') && world.tell({ type: 'reservation-removed', name: 'r0' }));
  if (random.chance(0.5)) at(() => world.tell({ type: 'prewarm', version, instances: random.whole(1, 3) }));
  if (world.faults.clock > 0) at(() => (world.skewMs += random.pick([-86_400_000, -500, 20_000, 86_400_000])));
  if (random.chance(0.3))
    at(() => {
      world.tell({ type: 'tenant-suspended', tenant });
      if (random.chance(0.7)) world.agenda.after(300, () => world.tell({ type: 'tenant-resumed', tenant }));
    });
  if (random.chance(0.3))
    at(() => {
      world.tell({ type: 'version-removed', version });
      const spec = specs.find((of) => of.version === version)!;
      if (random.chance(0.5)) world.agenda.after(300, () => world.tell({ type: 'version-added', spec }));
    });
}

function tick(world: World, untilMs: number): void {
  world.tell({ type: 'tick' });
  if (world.skewMs === 0) world.judge.overdue(world.nowMs);
  const wakeMs = Math.min(TICK_MS, Math.max(0.01, world.core.wakeAtMs - world.nowMs));
  if (world.agenda.nowMs < untilMs) world.agenda.after(wakeMs, () => tick(world, untilMs));
}

function run(world: World, random: Random, config: Required<PlacementConfig>, pattern: Pattern): number {
  const specs = specsFor(random);
  for (const spec of specs) world.tell({ type: 'version-added', spec });
  const requests = random.whole(10, 110);
  const owners = specs.map(({ tenant }) => tenant);
  for (const [i, { atMs, version }] of arrivals(random, pattern, DURATION_MS, requests, owners).entries()) {
    const execution = `x${i}`;
    const fast = random.chance(0.6);
    world.agenda.after(atMs, () => world.arrive(execution, specs[version]!.version, fast));
    if (random.chance(0.05)) world.agenda.after(atMs + random.exponential(100), () => world.tell({ type: 'cancelled', execution }));
  }
  disturb(world, random, config, specs);
  world.agenda.after(DURATION_MS, () => (world.faults = { start: 0, hang: 0, load: 0, kill: 0, drop: 0, clock: 0 }));
  tick(world, DURATION_MS + REST_MS);
  while (world.agenda.step());
  world.judge.atRest(world.core.snapshot(world.nowMs));
  return requests;
}

/** Plays the scenario of a seed: the same seed plays the same. */
export function play(seed: number): Played {
  const random = new Random(seed);
  const pattern = random.pick(patterns);
  const config = configFor(random);
  const world = new World(config, random, faultsFor(random));
  let failure: string | undefined;
  let requests = 0;
  try {
    requests = run(world, random, config, pattern);
  } catch (error) {
    failure = `${(error as Error).stack}\nat ${world.agenda.nowMs.toFixed(3)} ms, ${JSON.stringify(config)}`;
  }
  const { rungs } = world.core.snapshot(world.nowMs);
  return { seed, pattern, requests, rungs, failure };
}
