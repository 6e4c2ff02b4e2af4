import { Problem } from '../../base/errors.ts';
import { createSerial } from '../../base/serial.ts';
import type { FunctionReader } from '../../deploy/function-reader.ts';
import type { FunctionWriter } from '../../deploy/function-writer.ts';
import { endRollout, type RolloutRecord, type RolloutStage, stagesOf } from '../../deploy/rollout.ts';
import { quantileMs } from '../../execution/health.ts';
import type { EdgeInfo } from '../roster.ts';
import { type EdgeTally, healthSum, type ServedReport, type TakenBack, tally } from './report.ts';
import { assess, chosenEdges, nextStage, type Rolling, type Verdict } from './stages.ts';

export type RolloutsOptions = {
  read: Pick<FunctionReader, 'rollout' | 'rollouts' | 'find'>;
  write: Pick<FunctionWriter, 'moveRollout'>;
  tenants: () => Promise<readonly string[]>;
  /** Edges that were not removed. */
  edges: () => Promise<readonly EdgeInfo[]>;
  onMove: (tenant: string, record: RolloutRecord, why: string, inputs: Record<string, string | number | null>) => void;
  onError: (error: unknown) => void;
  now?: () => number;
  /** How often rollouts under way are looked at. */
  everyMs?: number;
};

export type RolloutEdgeView = {
  id: string;
  name: string;
  connected: boolean;
  /** It belongs to the stage. */
  chosen: boolean;
  /** What it serves; null: it has not said. */
  version: number | null;
  requests: number;
  failures: number;
  p99Ms: number | null;
  takenBack: TakenBack | null;
};

export type RolloutView = {
  record: RolloutRecord;
  stages: RolloutStage[];
  /** What it waits for; null if it has ended. */
  waiting: string | null;
  requests: number;
  failures: number;
  p99Ms: number | null;
  edges: RolloutEdgeView[];
};

/** What is in memory of a rollout under way; edges say it again after a restart. */
type Known = { id: number; tallies: Map<string, EdgeTally>; steadySince: number | null };

const everyMsDefault = 200;
const p99 = 0.99;
const stepsAtOnce = 16;
const keyOf = (tenant: string, name: string): string => `${tenant}/${name}`;

/**
 * The rollouts of an origin. The stage of each is in the Table, so that a killed origin goes on where it was; how its edges
 * fare is in memory. Begins with `open`, ends with `close`; while nothing is rolled out it does nothing.
 */
export class Rollouts {
  readonly #options: RolloutsOptions;
  readonly #running = new Map<string, { tenant: string; name: string }>();
  readonly #known = new Map<string, Known>();
  readonly #serial = createSerial();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: RolloutsOptions) {
    this.#options = options;
  }

  /** Finds those that a stop of the node interrupted. */
  async open(): Promise<void> {
    for (const tenant of await this.#options.tenants())
      for (const { function: name, state } of await this.#options.read.rollouts(tenant)) if (state === 'running') this.#watch(tenant, name);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
    await this.#serial(async () => undefined);
  }

  /** One has begun. */
  async begin(tenant: string, name: string): Promise<void> {
    this.#watch(tenant, name);
    await this.#serial(() => this.#step(tenant, name));
  }

  /** What an edge says of functions that are being rolled out. */
  report(edge: string, boot: number, functions: readonly ServedReport[]): void {
    for (const report of functions) {
      const known = this.#known.get(keyOf(report.tenant, report.function));
      if (known) known.tallies.set(edge, tally(known.tallies.get(edge), boot, known.id, report));
    }
  }

  /** Begins the next stage, whatever the gates say. @throws Problem `conflict` if there is none under way, `not-found` */
  advance(tenant: string, name: string): Promise<RolloutView> {
    return this.#serial(async () => {
      const rolling = await this.#requireRolling(tenant, name, 'advance');
      const next = nextStage(rolling, 'advanced by hand');
      await this.#move(rolling, next, 'advanced by hand');
      return this.#view(tenant, name);
    });
  }

  /** Ends it: all edges serve what is live. @throws as `advance` */
  abort(tenant: string, name: string): Promise<RolloutView> {
    return this.#serial(async () => {
      const rolling = await this.#requireRolling(tenant, name, 'abort');
      await this.#move(rolling, { record: endRollout(rolling.record, 'aborted', 'aborted by hand', rolling.now), chosen: rolling.staged }, 'aborted by hand');
      return this.#view(tenant, name);
    });
  }

  /** The last rollout of a function. @throws Problem `not-found` */
  view(tenant: string, name: string): Promise<RolloutView> {
    return this.#serial(() => this.#view(tenant, name));
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  #watch(tenant: string, name: string): void {
    this.#running.set(keyOf(tenant, name), { tenant, name });
    this.#timer ??= setInterval(() => this.#look(), this.#options.everyMs ?? everyMsDefault).unref();
  }

  #look(): void {
    this.#looking ??= this.check().finally(() => {
      this.#looking = undefined;
    });
  }

  /** Looks at all that are under way, once. */
  async check(): Promise<void> {
    for (const { tenant, name } of [...this.#running.values()])
      await this.#serial(() => this.#step(tenant, name)).catch((error: unknown) => this.#options.onError(error));
  }

  #end(tenant: string, name: string): void {
    this.#running.delete(keyOf(tenant, name));
    this.#known.delete(keyOf(tenant, name));
    if (this.#running.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Undefined if none is under way. */
  async #rolling(tenant: string, name: string): Promise<Rolling | undefined> {
    const { read, edges } = this.#options;
    const staged = (await read.find(tenant, name))?.staged;
    const record = staged && (await read.rollout(tenant, name));
    if (!staged || !record || record.state !== 'running' || record.id !== staged.adoption) return undefined;
    const known = this.#of(tenant, record);
    const all = await edges();
    const ids = new Set(all.map(({ id }) => id));
    for (const edge of known.tallies.keys()) if (!ids.has(edge)) known.tallies.delete(edge);
    return { tenant, record, staged, wanted: record.edges, edges: all, tallies: known.tallies, steadySince: known.steadySince, now: this.#now() };
  }

  #of(tenant: string, { function: name, id }: RolloutRecord): Known {
    const known = this.#known.get(keyOf(tenant, name));
    if (known?.id === id) return known;
    const made: Known = { id, tallies: new Map(), steadySince: null };
    this.#known.set(keyOf(tenant, name), made);
    return made;
  }

  async #requireRolling(tenant: string, name: string, action: string): Promise<Rolling> {
    const rolling = await this.#rolling(tenant, name);
    if (rolling) return rolling;
    await this.#options.read.rollout(tenant, name);
    throw new Problem('conflict', `cannot ${action} the rollout of "${name}": none is under way`);
  }

  /** Does what is to be done now; several stages may end at once. */
  async #step(tenant: string, name: string): Promise<void> {
    for (let steps = 0; steps < stepsAtOnce; steps++) {
      const rolling = await this.#rolling(tenant, name);
      if (!rolling) {
        this.#end(tenant, name);
        return;
      }
      const verdict = assess(rolling);
      if (verdict.kind === 'wait') {
        const known = this.#of(tenant, rolling.record);
        if (verdict.steady) known.steadySince ??= rolling.now;
        return;
      }
      await this.#move(rolling, this.#next(rolling, verdict), verdict.why);
    }
  }

  #next(rolling: Rolling, verdict: Exclude<Verdict, { kind: 'wait' }>): ReturnType<typeof nextStage> {
    if (verdict.kind === 'next') return nextStage(rolling, verdict.why);
    return { record: endRollout(rolling.record, verdict.kind, verdict.why, rolling.now), chosen: rolling.staged };
  }

  async #move(rolling: Rolling, { record, chosen }: ReturnType<typeof nextStage>, why: string): Promise<void> {
    const { tenant, tallies } = rolling;
    const { requests, failures, latency } = healthSum(tallies.values());
    const outcome = { requests, failures, p99Ms: quantileMs(latency, p99) };
    if (!(await this.#options.write.moveRollout(tenant, record.state === 'running' ? record : { ...record, outcome }, chosen))) return;
    this.#of(tenant, record).steadySince = null;
    const inputs = { version: record.version, previous: record.previous, stage: record.stage, edges: tallies.size, ...outcome };
    this.#options.onMove(tenant, record, why, inputs);
    if (record.state !== 'running') this.#end(tenant, record.function);
  }

  async #view(tenant: string, name: string): Promise<RolloutView> {
    const { read, edges } = this.#options;
    const record = await read.rollout(tenant, name);
    if (!record) throw new Problem('not-found', `there was no rollout of "${name}": its manifest has none ("rollout"), or it has one version`);
    const rolling = await this.#rolling(tenant, name);
    const tallies = rolling?.tallies ?? new Map<string, EdgeTally>();
    const chosen = new Set(rolling ? chosenEdges(rolling).map(({ id }) => id) : []);
    const { requests, failures, latency } = healthSum(tallies.values());
    const verdict = rolling && assess(rolling);
    return {
      record,
      stages: stagesOf(record.plan),
      waiting: verdict ? verdict.why : null,
      ...(record.outcome ?? { requests, failures, p99Ms: quantileMs(latency, p99) }),
      edges: (await edges()).map((edge) => viewEdge(edge, record, chosen.has(edge.id), tallies.get(edge.id))),
    };
  }
}

function viewEdge({ id, name, connected, takenBack }: EdgeInfo, record: RolloutRecord, chosen: boolean, known: EdgeTally | undefined): RolloutEdgeView {
  const { requests, failures, latency } = healthSum(known ? [known] : []);
  const taken = takenBack.find(({ adoption }) => adoption === record.id) ?? null;
  return { id, name, connected, chosen, version: known?.serves ?? null, requests, failures, p99Ms: quantileMs(latency, p99), takenBack: taken };
}
