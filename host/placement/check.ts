import type { IsolateConfiguration, PlacementConfig, Reservation } from './model.ts';

type Ranged = [name: string, value: number, min: number, max: number];

function rangeProblems(ranges: readonly Ranged[]): string[] {
  const wrong = ranges.filter(([, value, min, max]) => !Number.isInteger(value) || value < min || value > max);
  return wrong.map(([name, value, min, max]) => `cannot set ${name}: must be a whole number from ${min} to ${max}, got ${value}`);
}

const DAY_MS = 86_400_000;
const ISOLATES_MAX = 4096;

const ranges = ({
  max,
  slots,
  instances,
  idleMs,
  instanceIdleMs,
  queueMs,
  queueMax,
  tenantQueueMax,
  startTimeoutMs,
  replacedAtOnce,
}: PlacementConfig): Ranged[] => [
  ['isolates.max', max, 1, ISOLATES_MAX],
  ['isolates.slots', slots, 2, 1024],
  ['isolates.instances', instances ?? slots, slots, 1024],
  ['isolates.idleMs', idleMs, 1, DAY_MS],
  ['isolates.instanceIdleMs', instanceIdleMs, 1, DAY_MS],
  ['isolates.queueMs', queueMs, 0, DAY_MS],
  ['isolates.queueMax', queueMax ?? 1, 1, 1_000_000],
  ['isolates.tenantQueueMax', tenantQueueMax ?? 1, 1, queueMax ?? 1_000_000],
  ['isolates.startTimeoutMs', startTimeoutMs ?? 1, 1, DAY_MS],
  ['isolates.replacedAtOnce', replacedAtOnce ?? 1, 1, ISOLATES_MAX],
];

function configurationProblems({ name, memoryMib, floor, ceiling }: IsolateConfiguration): string[] {
  const key = `isolates.configurations "${name}"`;
  const problems = rangeProblems([
    [`memoryMib of ${key}`, memoryMib, 1, 65_536],
    [`floor of ${key}`, floor, 0, ISOLATES_MAX],
    [`ceiling of ${key}`, ceiling, 1, ISOLATES_MAX],
  ]);
  if (floor > ceiling) problems.push(`cannot set floor of ${key}: at most its ceiling ${ceiling}, got ${floor}`);
  return problems;
}

/** Every problem of the settings, those that contradict each other included; none if they can be kept. */
export function checkConfig(config: PlacementConfig): string[] {
  const { configurations, max, whenFull, queueMs } = config;
  const names = configurations.map(({ name }) => name);
  const floors = configurations.reduce((sum, { floor }) => sum + floor, 0);
  const problems = [...rangeProblems(ranges(config)), ...configurations.flatMap(configurationProblems)];
  if (names.length === 0) problems.push('cannot set isolates.configurations: must have at least one, got none');
  for (const name of new Set(names.filter((name, i) => names.indexOf(name) !== i)))
    problems.push(`cannot set isolates.configurations: names must differ, got "${name}" twice`);
  if (floors > max) problems.push(`cannot set isolates.configurations: the floors together are at most isolates.max ${max}, got ${floors}`);
  if (whenFull === 'queue' && queueMs === 0) problems.push('cannot set isolates.queueMs: must be above 0 when isolates.whenFull is "queue", got 0');
  return problems;
}

/**
 * Why a reservation cannot be had beside `others`, with what there is and what is asked for; undefined if it can.
 * One isolate, and the floors, always stay for everybody.
 */
export function checkReservation(config: PlacementConfig, others: readonly Reservation[], wanted: Reservation): string | undefined {
  const action = `cannot reserve isolates for ${wanted.tenants.map((tenant) => `"${tenant}"`).join(', ') || 'nobody'}`;
  const names = config.configurations.map(({ name }) => name);
  if (wanted.tenants.length === 0) return `${action}: must be for at least one tenant, got none`;
  if (new Set(wanted.tenants).size < wanted.tenants.length) return `${action}: tenants must differ, got ${wanted.tenants.join(', ')}`;
  if (!names.includes(wanted.configuration)) return `${action}: configuration must be one of ${names.join(', ')}, got "${wanted.configuration}"`;
  if (!Number.isInteger(wanted.isolates) || wanted.isolates < 1) return `${action}: must be a whole number from 1 up, got ${wanted.isolates}`;
  const taken = others.filter(({ name }) => name !== wanted.name).reduce((sum, { isolates }) => sum + isolates, 0);
  const floors = config.configurations.reduce((sum, { floor }) => sum + floor, 0);
  const room = Math.max(0, config.max - taken - Math.max(1, floors));
  if (wanted.isolates <= room) return undefined;
  return `${action}: at most ${room} of the ${config.max} isolates of this node can still be reserved, got ${wanted.isolates}`;
}
