import type { ErrorCode } from '../base/errors.ts';
import type { LoadSource } from '../base/load-source.ts';
import { type HostCalls, noMeter, type RunDecision, type RunMeter, type RunPlace, type RunSteps, type SidecarRun } from '../instance/runner.ts';
import type { Attempt } from './attempts.ts';

/** Where the module of an execution came from. */

export type ExecutionState = 'queued' | 'deferred' | 'running' | 'succeeded' | 'failed' | 'dead-lettered';

/** What an execution was begun for. */
export type ExecutionTrigger = 'http' | 'event' | 'topic' | 'cron' | 'state' | 'object';

/** What an execution used. `memoryRefused`: it asked for more memory than its limit; `hostCalls` is by interface name. */
export type Meter = {
  cpuUs: number;
  wallUs: number;
  memoryBytesPeak: number;
  memoryRefused: boolean;
  hostCalls: Readonly<Record<string, number>>;
  bytesIn: number;
  bytesOut: number;
};

/** Steps of an execution in the order in which they happen. */
const steps = [
  'arrived',
  'deferred',
  'admitted',
  'placed',
  'attached',
  'instantiated',
  'sidecars-ready',
  'guest-started',
  'response-started',
  'ended',
  'committed',
  'released',
] as const;

/** A choice that concerned the execution, in microseconds since its arrival. */
export type ExecutionDecision = { at: number; kind: string; choice: string; inputs: RunDecision['inputs']; passedOver: RunDecision['passedOver'] };

/** A sidecar of an execution. Times in microseconds since its arrival, negative for one that was ready before. */
export type ExecutionSidecar = Omit<SidecarRun, 'startedMs' | 'readyMs' | 'stoppedMs'> & { startedAt?: number; readyAt?: number; stoppedAt?: number };

/** Why something that waits was not run, how often in a row, and since when in milliseconds since 1970. */
export type PutOff = { code: ErrorCode; message: string; times: number; since: number };

/** What is known of one execution (`GET /v1/executions/:id`). Times are in microseconds since arrival. */
export type ExecutionRecord = {
  id: string;
  tenant: string;
  function: string;
  version: number;
  trigger: ExecutionTrigger;
  state: ExecutionState;
  code?: ErrorCode;
  /** RFC 3339, in milliseconds. */
  arrivedAt: string;
  fleet: 'resident' | 'on-demand';
  /** Rung of the placement ladder on which its place was found; null in the resident fleet, or if none was found. */
  rung: RunPlace['rung'] | null;
  /** Number of the isolate that it ran in. */
  isolate?: number;
  load: LoadSource;
  timeline: { at: number; step: (typeof steps)[number] }[];
  decisions: ExecutionDecision[];
  sidecars: ExecutionSidecar[];
  meter: Meter;
  result?: { status: number; bytes: number };
  /** Of an event that waits. `nextAt`: RFC 3339, in milliseconds; when it is run next, if there is room then. */
  waits?: { nextAt: string; putOff?: PutOff };
  /** Only of executions in an overlay, from here on. `key`: by which the request asked for its guarantee. */
  key?: string;
  /** How many executions with this key take effect. */
  runs?: number;
  /** How each attempt ended; `code` is null for the one that was committed. Times are milliseconds since 1970. */
  attempts?: Attempt[];
  /** Requests that got this execution's response, or were told that it is under way. */
  duplicates?: number;
};

/**
 * An execution while it runs, and what its row in the ring is made from. Moments are `performance.now()`; NaN: not reached.
 */
export type ExecutionFacts = {
  readonly id: string;
  readonly version: number;
  readonly arrivedMs: number;
  admittedMs: number;
  readonly placedMs: number;
  startedMs: number;
  responseStartedMs: number;
  endedMs: number;
  releasedMs: number;
  state: ExecutionState;
  code: ErrorCode | undefined;
  load: LoadSource;
  readonly fleet: 'resident' | 'on-demand';
  readonly place: RunPlace | undefined;
  readonly decisions: readonly RunDecision[] | undefined;
  readonly sidecars: readonly SidecarRun[] | undefined;
  readonly steps: RunSteps | undefined;
  status: number;
  meter: RunMeter;
  bytesIn: number;
  bytesOut: number;
};

const moments = [
  ['arrivedMs', 'arrived'],
  ['admittedMs', 'admitted'],
  ['placedMs', 'placed'],
  ['startedMs', 'guest-started'],
  ['responseStartedMs', 'response-started'],
  ['endedMs', 'ended'],
  ['releasedMs', 'released'],
] as const;

type Step = ExecutionRecord['timeline'][number];

const inOrder = (a: Step, b: Step): number => a.at - b.at || steps.indexOf(a.step) - steps.indexOf(b.step);

const timelineOf = (facts: ExecutionFacts): ExecutionRecord['timeline'] => {
  const timeline: ExecutionRecord['timeline'] = moments.flatMap(([moment, step]) =>
    Number.isNaN(facts[moment]) ? [] : [{ at: Math.round((facts[moment] - facts.arrivedMs) * 1000), step }],
  );
  return facts.sidecars || facts.steps ? [...timeline, ...made(facts), ...sidecarsReady(facts)].sort(inOrder) : timeline;
};

/** Interfaces of names, which are the same array for all executions of a component. */
const interfaces = new WeakMap<readonly string[], string[]>();
const interfacesOf = (names: readonly string[]): string[] => {
  const known = interfaces.get(names);
  if (known) return known;
  const found = names.map((name) => name.split(/[@#]/, 1)[0] as string);
  interfaces.set(names, found);
  return found;
};

/** Calls by interface, without version: `wasi:http/types`. */
const byInterface = ({ names, counts }: HostCalls): Record<string, number> => {
  const calls: Record<string, number> = {};
  const found = interfacesOf(names);
  counts.forEach((count, i) => {
    const name = found[i];
    if (name && count > 0) calls[name] = (calls[name] ?? 0) + count;
  });
  return calls;
};

const describeSidecar = ({ startedMs, readyMs, stoppedMs, ...run }: SidecarRun, arrivedMs: number): ExecutionSidecar => {
  const at = (ms: number | undefined): number => Math.round(((ms as number) - arrivedMs) * 1000);
  return {
    ...run,
    ...(startedMs === undefined ? {} : { startedAt: at(startedMs) }),
    ...(readyMs === undefined ? {} : { readyAt: at(readyMs) }),
    ...(stoppedMs === undefined ? {} : { stoppedAt: at(stoppedMs) }),
  };
};

/** What an execution waited for beside its place; nothing of one that found an instance. */
const made = ({ steps: { attachedMs, instantiatedMs } = {}, arrivedMs }: ExecutionFacts): ExecutionRecord['timeline'] => {
  const at = (ms: number | undefined, step: 'attached' | 'instantiated'): ExecutionRecord['timeline'] =>
    ms === undefined ? [] : [{ at: Math.round((ms - arrivedMs) * 1000), step }];
  return [...at(attachedMs, 'attached'), ...at(instantiatedMs, 'instantiated')];
};

/** When the last sidecar that started before the function had become ready, as a step. */
const sidecarsReady = ({ sidecars, arrivedMs, startedMs }: ExecutionFacts): ExecutionRecord['timeline'] => {
  const ready = (sidecars ?? []).flatMap(({ readyMs }) => (readyMs !== undefined && !(readyMs > startedMs) ? [readyMs] : []));
  return ready.length === 0 ? [] : [{ at: Math.round((Math.max(...ready) - arrivedMs) * 1000), step: 'sidecars-ready' }];
};
const { hostCalls: _, ...noUse } = noMeter;

/** Tells an execution as the control API does. */
export const describeExecution = (tenant: string, name: string, facts: ExecutionFacts): ExecutionRecord => ({
  id: facts.id,
  tenant,
  function: name,
  version: facts.version,
  trigger: 'http',
  state: facts.state,
  ...(facts.code ? { code: facts.code } : {}),
  arrivedAt: new Date(performance.timeOrigin + facts.arrivedMs).toISOString(),
  fleet: facts.fleet,
  rung: facts.place?.rung ?? null,
  ...(facts.place ? { isolate: facts.place.isolate } : {}),
  load: facts.place?.load ?? facts.load,
  timeline: timelineOf(facts),
  decisions: (facts.decisions ?? []).map(({ atMs, kind, choice, inputs, passedOver }) => ({
    at: Math.round((atMs - facts.arrivedMs) * 1000),
    kind,
    choice,
    inputs,
    passedOver,
  })),
  sidecars: (facts.sidecars ?? []).map((run) => describeSidecar(run, facts.arrivedMs)),
  meter: {
    cpuUs: facts.meter.cpuUs,
    wallUs: facts.meter.wallUs,
    memoryBytesPeak: facts.meter.memoryBytesPeak,
    memoryRefused: facts.meter.memoryRefused,
    hostCalls: byInterface(facts.meter.hostCalls),
    bytesIn: facts.bytesIn,
    bytesOut: facts.bytesOut,
  },
  ...(facts.status > 0 ? { result: { status: facts.status, bytes: facts.bytesOut } } : {}),
});

/** The record of an execution that is not known to have run. */
export const bareRecord = (
  { id, tenant, function: name, version = 0, arrivedAt }: { id: string; tenant: string; function: string; version?: number; arrivedAt: number },
  state: ExecutionState,
  code?: ErrorCode,
): ExecutionRecord => ({
  id,
  tenant,
  function: name,
  version,
  trigger: 'http',
  state,
  ...(code ? { code } : {}),
  arrivedAt: new Date(arrivedAt).toISOString(),
  fleet: 'on-demand',
  rung: null,
  load: 'thread',
  timeline: [{ at: 0, step: 'arrived' }],
  decisions: [],
  sidecars: [],
  meter: { ...noUse, hostCalls: {}, bytesIn: 0, bytesOut: 0 },
});
