// Time of a placement decision, by isolates and functions: `node bench/placement.ts`. The core alone, without threads.
import { createPlacement } from '../host/placement/core.ts';
import type { Placement, PlacementAction, PlacementEvent } from '../host/placement/model.ts';
import { median, printMachine } from './lib.ts';

const DECISIONS = 100_000;
const ROUNDS = 5;
const LIMIT_US = 5;
const FUNCTIONS_A_TENANT = 10;
const SLOTS = 8;
/** Executions at once. */
const RUNNING = 24;

type Place = Extract<PlacementAction, { type: 'place' }>;
/** `placed`: executions that have not ended. */
type Node = { core: Placement; nowMs: number; versions: string[]; placed: Set<Place>; outcomes: Map<string, number> };

const tell = (node: Node, event: PlacementEvent): PlacementAction[] => node.core.handle(event, node.nowMs);

const note = ({ outcomes }: Node, outcome: string): unknown => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);

/** Answers what the core asks for until it asks for nothing more. */
function obey(node: Node, actions: readonly PlacementAction[]): void {
  for (const action of actions) {
    if (action.type === 'start-isolate') obey(node, tell(node, { type: 'isolate-warm', isolate: action.isolate }));
    else if (action.type === 'place') {
      node.placed.add(action);
      note(node, `rung ${action.rung}`);
    } else if (action.type === 'reject') note(node, 'rejected');
    else if (action.type === 'drain') obey(node, tell(node, { type: 'isolate-drained', isolate: action.isolate }));
    else if (action.type === 'destroy') obey(node, tell(node, { type: 'isolate-destroyed', isolate: action.isolate }));
  }
}

/** Ends the execution that runs for longest. */
function end(node: Node, kept: boolean): void {
  const [oldest] = node.placed;
  if (!oldest) return;
  node.placed.delete(oldest);
  obey(node, tell(node, { type: 'released', isolate: oldest.isolate, version: oldest.version, execution: oldest.execution, kept }));
}

function busyNode(isolates: number, functions: number): Node {
  const configuration = { name: 'standard', memoryMib: 512, bindings: '0.2', floor: 1, ceiling: 4 };
  const limits = { max: isolates + 1, slots: SLOTS, idleMs: 60_000, instanceIdleMs: 30_000, queueMs: 5_000, queueMax: 1000 };
  const core = createPlacement({ ...limits, whenFull: 'queue', configurations: [configuration] });
  const tenants = Math.min(isolates, functions / FUNCTIONS_A_TENANT);
  const versions = Array.from({ length: functions }, (_, i) => `tenant${i % tenants}/f${i}@1`);
  const node: Node = { core, nowMs: 0, versions, placed: new Set(), outcomes: new Map() };
  obey(node, tell(node, { type: 'tick' }));
  for (const version of versions) {
    const tenant = version.slice(0, version.indexOf('/'));
    tell(node, { type: 'version-added', spec: { version, tenant, memoryMib: 32, bindings: '0.2', whenExhausted: 'overflow' } });
  }
  for (let i = 0; i < isolates; i++) {
    node.nowMs += 0.01;
    obey(node, tell(node, { type: 'request', execution: `fill${i}`, version: versions[i % functions]! }));
  }
  while (node.placed.size > 0) end(node, true);
  return node;
}

type Choose = (count: number) => number;

/** Fixed disorder, from 0 up to 1. */
function disorder(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const next = disorder();
const patterns: Record<string, Choose> = {
  Zipf: (count) => Math.floor(count ** next()) - 1,
  uniform: (count) => Math.floor(count * next()),
};

/** Microseconds of the thread's CPU time for each event (a request, or the end of an execution), the bench's own work included. */
function measure(node: Node, choose: Choose): number {
  let events = 0;
  const began = process.threadCpuUsage();
  for (let i = 0; i < DECISIONS; i++, events++) {
    node.nowMs += 0.05;
    obey(node, tell(node, { type: 'request', execution: `x${i}`, version: node.versions[choose(node.versions.length)]! }));
    for (; node.placed.size > RUNNING; events++) end(node, i % 16 !== 0);
  }
  const { user, system } = process.threadCpuUsage(began);
  while (node.placed.size > 0) end(node, true);
  return (user + system) / events;
}

printMachine();
console.log(`${DECISIONS} decisions a round, median of ${ROUNDS} rounds, thread CPU time`);
const sizes = [
  [10, 100],
  [100, 1_000],
  [1_000, 1_000],
  [1_000, 10_000],
] as const;
for (const [name, choose] of Object.entries(patterns)) {
  const figures = sizes.map(([isolates, functions]) => {
    const node = busyNode(isolates, functions);
    node.outcomes.clear();
    const us = median(Array.from({ length: ROUNDS }, () => measure(node, choose)));
    const all = [...node.outcomes.values()].reduce((sum, count) => sum + count, 0);
    const rungs = [...node.outcomes].sort().map(([outcome, count]) => `${outcome}: ${((100 * count) / all).toFixed(1)} %`);
    console.log(`${name}, ${isolates} isolates, ${functions} functions: ${us.toFixed(2)} µs (${rungs.join(', ')})`);
    return { us, log: Math.log2(isolates) + Math.log2(functions) };
  });
  const [first, last] = [figures[0]!, figures.at(-1)!];
  console.log(`${name}: grows ×${(last.us / first.us).toFixed(2)} where the logarithms grow ×${(last.log / first.log).toFixed(2)}; limit ${LIMIT_US} µs`);
  if (last.us > LIMIT_US) process.exitCode = 1;
}
