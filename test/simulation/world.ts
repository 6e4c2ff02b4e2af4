/**
 * A node around the core, in simulated time: threads that start, load, run, die and answer late; gateways that take idle instances by themselves
 * and tell afterwards; admins. It does what the core says, and tells what happens.
 */
import { createPlacement } from '../../host/placement/core.ts';
import type { IsolateName, Placement, PlacementAction, PlacementConfig, PlacementEvent } from '../../host/placement/model.ts';
import { Agenda } from './agenda.ts';
import { Judge } from './judge.ts';
import { Processors, type Starts } from './processors.ts';
import type { Random } from './random.ts';

type Run = { execution: string; version: string; byCore: boolean; effect: boolean };

type Thread = {
  name: IsolateName;
  tenant: string | undefined;
  reserved: boolean;
  alive: boolean;
  closed: boolean;
  told: boolean;
  /** What it tells arrives in order. */
  reportMs: number;
  idle: Map<string, number>;
  /** What is on its way to it or runs in it. */
  runs: Map<string, Run>;
  /** Ends that it tells next: those of one version together. */
  ends: Map<string, { version: string; kept: boolean; count: number }>;
};

/** How often something goes wrong: 0 never, 1 always. */
export type Faults = { start: number; hang: number; load: number; kill: number; drop: number; clock: number };

type Of<T extends PlacementAction['type']> = Extract<PlacementAction, { type: T }>;

const EXECUTION_MS = 15;

export class World {
  readonly agenda = new Agenda();
  readonly judge: Judge;
  readonly core: Placement;
  readonly threads = new Map<IsolateName, Thread>();
  taken = 0;
  skewMs = 0;
  faults: Faults;
  /** How long requests waited for their place, by tenant; infinitely if they were refused. */
  readonly waitedMs = new Map<string, number[]>();
  /** Isolates that were ever started. */
  started = 0;
  private readonly random: Random;
  private readonly executionMs: number;

  /** Undefined: a thread starts in a random time, whatever else starts. */
  private readonly processors: Processors | undefined;

  constructor(config: Required<PlacementConfig>, random: Random, faults: Faults, executionMs = EXECUTION_MS, starts?: Starts) {
    this.processors = starts && new Processors(this.agenda, starts);
    this.executionMs = executionMs;
    this.random = random;
    this.faults = faults;
    this.judge = new Judge(config);
    this.core = createPlacement(config);
  }

  get nowMs(): number {
    return this.agenda.nowMs + this.skewMs;
  }

  tell(event: PlacementEvent): PlacementAction[] {
    this.judge.told(event);
    const actions = this.core.handle(event, this.nowMs);
    for (const action of actions) {
      this.judge.answered(action, event);
      this.act(action);
      if (action.type === 'place' || action.type === 'reject')
        this.note(action.decision.tenant, Number(action.decision.inputs.waitedMs ?? Number.POSITIVE_INFINITY));
    }
    if (event.type === 'cancelled') this.judge.leaveQueue(event.execution);
    if (event.type === 'request' || event.type === 'refused') this.judge.settled(event.execution);
    if (event.type === 'load-failed') this.judge.settled(event.execution);
    if (event.type === 'isolate-lost') for (const execution of event.replayable) this.judge.settled(execution);
    return actions;
  }

  private note(tenant: string | null, waitedMs: number): void {
    if (tenant === null) return;
    const waits = this.waitedMs.get(tenant) ?? [];
    waits.push(waitedMs);
    this.waitedMs.set(tenant, waits);
  }

  private later(meanMs: number, act: () => void): void {
    this.agenda.after(this.random.next() * 2 * meanMs, act);
  }

  private report(thread: Thread, meanMs: number, act: () => void): void {
    thread.reportMs = Math.max(thread.reportMs, this.agenda.nowMs + this.random.next() * 2 * meanMs);
    this.agenda.after(thread.reportMs - this.agenda.nowMs, act);
  }

  private act(action: PlacementAction): void {
    if (action.type === 'start-isolate') this.start(action);
    else if (action.type === 'place') this.later(0.5, () => this.deliver(action));
    else if (action.type === 'load') this.later(3, () => this.load(action));
    else if (action.type === 'drop') this.later(0.5, () => this.drop(action));
    else if (action.type === 'destroy') this.later(2, () => this.destroy(action.isolate));
    else if (action.type === 'assign') {
      const thread = this.threads.get(action.isolate)!;
      thread.tenant = action.tenant;
      thread.reserved = action.reservation !== null;
    } else if (action.type === 'drain') {
      const thread = this.threads.get(action.isolate);
      if (thread) this.close(thread);
    }
    if (action.type === 'place') this.threads.get(action.isolate)!.runs.set(action.execution, { ...action, byCore: true, effect: false });
  }

  private start({ isolate }: Of<'start-isolate'>): void {
    const thread: Thread = {
      name: isolate,
      tenant: undefined,
      reserved: false,
      alive: true,
      closed: false,
      told: false,
      reportMs: 0,
      idle: new Map(),
      runs: new Map(),
      ends: new Map(),
    };
    this.threads.set(isolate, thread);
    this.started++;
    if (this.random.chance(this.faults.kill)) this.agenda.after(this.random.exponential(200), () => this.kill(thread));
    if (this.random.chance(this.faults.hang)) return;
    const isThere = (): void => {
      if (!thread.alive) return;
      if (!this.random.chance(this.faults.start)) {
        this.tell({ type: 'isolate-warm', isolate });
        return;
      }
      thread.alive = false;
      this.threads.delete(isolate);
      this.tell({ type: 'isolate-start-failed', isolate, message: 'no memory for a thread' });
    };
    if (this.processors) this.processors.begin(0.7 + 0.6 * this.random.next(), isThere);
    else this.later(40, isThere);
  }

  /** Ends a thread from outside, at whatever it does. Gateways ask again for what they had placed themselves. */
  kill(thread: Thread): void {
    if (!thread.alive) return;
    thread.alive = false;
    this.report(thread, 2, () => {
      this.threads.delete(thread.name);
      const runs = [...thread.runs.values()];
      const replayable = runs.filter(({ byCore, effect }) => byCore && !effect).map(({ execution }) => execution);
      this.tell({ type: 'isolate-lost', isolate: thread.name, reason: 'killed', replayable });
      for (const { byCore, effect, execution, version } of runs) if (!byCore && !effect) this.tell({ type: 'request', execution: `${execution}'`, version });
    });
  }

  private destroy(isolate: IsolateName): void {
    const thread = this.threads.get(isolate);
    if (!thread?.alive) return;
    if (thread.runs.size > 0) throw new Error(`isolate ${isolate} is destroyed while ${[...thread.runs.keys()]} run in it`);
    thread.alive = false;
    this.report(thread, 2, () => {
      this.threads.delete(isolate);
      this.tell({ type: 'isolate-destroyed', isolate });
    });
  }

  private close(thread: Thread): void {
    thread.closed = true;
    this.drainedIfEmpty(thread);
  }

  private drainedIfEmpty(thread: Thread): void {
    if (!thread.alive || !thread.closed || thread.told || thread.runs.size > 0) return;
    thread.told = true;
    this.report(thread, 1, () => {
      if (thread.alive) this.tell({ type: 'isolate-drained', isolate: thread.name });
    });
  }

  private deliver({ execution, isolate, version, instance }: Of<'place'>): void {
    const thread = this.threads.get(isolate);
    const run = thread?.runs.get(execution);
    if (!thread?.alive || !run) return;
    const idle = thread.idle.get(version) ?? 0;
    const problem = this.problem(thread, instance, idle, execution);
    if (problem) {
      thread.runs.delete(execution);
      this.tell(problem);
      this.drainedIfEmpty(thread);
      return;
    }
    if (instance === 'idle') thread.idle.set(version, idle - 1);
    this.run(thread, run);
  }

  /** Why the isolate does not run what it was given. */
  private problem({ closed }: Thread, instance: 'idle' | 'new', idle: number, execution: string): PlacementEvent | undefined {
    if (closed) return { type: 'refused', execution, reason: 'draining' };
    if (instance === 'idle') return idle === 0 ? { type: 'refused', execution, reason: 'busy' } : undefined;
    if (!this.random.chance(this.faults.load)) return undefined;
    return { type: 'load-failed', execution, code: 'module-invalid', message: 'the module is damaged' };
  }

  private load({ isolate, version }: Of<'load'>): void {
    const thread = this.threads.get(isolate);
    if (!thread?.alive) return;
    const failed = this.random.chance(this.faults.load) ? 1 : 0;
    if (!failed) thread.idle.set(version, (thread.idle.get(version) ?? 0) + 1);
    this.tell({ type: 'loaded', isolate, version, instances: 1 - failed, failed });
  }

  private drop({ isolate, version }: Of<'drop'>): void {
    const thread = this.threads.get(isolate);
    if (!thread?.alive) return;
    const idle = thread.idle.get(version) ?? 0;
    if (idle > 0) thread.idle.set(version, idle - 1);
    else this.tell({ type: 'drop-refused', isolate, version });
  }

  private run(thread: Thread, run: Run): void {
    const durationMs = this.random.exponential(this.random.chance(0.05) ? 20 * this.executionMs : this.executionMs);
    if (this.random.chance(0.5)) this.agenda.after(durationMs * this.random.next(), () => (run.effect = true));
    this.agenda.after(durationMs, () => this.end(thread, run));
  }

  private end(thread: Thread, { execution, version, byCore }: Run): void {
    if (!thread.alive) return;
    thread.runs.delete(execution);
    const kept = !this.random.chance(this.faults.drop);
    if (kept) thread.idle.set(version, (thread.idle.get(version) ?? 0) + 1);
    if (!byCore) {
      const ends = thread.ends.get(`${version} ${kept}`) ?? { version, kept, count: 0 };
      ends.count++;
      thread.ends.set(`${version} ${kept}`, ends);
    }
    this.report(thread, 1, () => {
      if (this.random.chance(0.3)) this.measure(version);
      if (!byCore) this.tellEnds(thread);
      else if (this.threads.has(thread.name)) this.tell({ type: 'released', isolate: thread.name, version, execution, kept });
      else this.judge.asked.get(execution)!.state = 'done';
    });
    this.drainedIfEmpty(thread);
  }

  /** The ends of runs that gateways placed, as many as there were since they were told last. */
  private tellEnds(thread: Thread): void {
    const ends = [...thread.ends.values()];
    thread.ends.clear();
    if (this.threads.has(thread.name)) for (const end of ends) this.tell({ type: 'released', isolate: thread.name, ...end });
  }

  /** Most executions take little of their limit, few take all. */
  private measure(version: string): void {
    const { memoryMib } = this.judge.specOf(version);
    this.tell({ type: 'measured', version, peakMib: memoryMib * this.random.next() ** 3 });
  }

  /** A request: the gateway takes an idle instance if it sees one, and asks the core otherwise. */
  arrive(execution: string, version: string, fast: boolean): void {
    const spec = this.judge.specs.get(version);
    if (fast && spec) {
      for (const thread of this.threads.values()) if (thread.tenant === spec.tenant && !thread.closed && this.take(thread, execution, version)) return;
    }
    this.tell({ type: 'request', execution, version });
  }

  private take(thread: Thread, execution: string, version: string): boolean {
    const idle = thread.idle.get(version) ?? 0;
    if (idle === 0) return false;
    thread.idle.set(version, idle - 1);
    const run: Run = { execution, version, byCore: false, effect: false };
    thread.runs.set(execution, run);
    this.taken++;
    this.note(this.judge.specOf(version).tenant, 0);
    if (thread.alive) this.run(thread, run);
    this.later(2, () => this.tell({ type: 'taken', isolate: thread.name, version, count: 1 }));
    return true;
  }
}
