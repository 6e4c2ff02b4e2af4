import { type ErrorCode, Problem } from '../base/errors.ts';
import type { LoadSource } from '../base/load-source.ts';
import { Slots } from '../base/slots.ts';
import type { Admission } from '../capability/admission.ts';
import type { FunctionRunner, RunEnd } from '../instance/runner.ts';
import type { Blobstore } from '../wasi/blobstore-port.ts';
import type { GuestRequest, OutboundHttp } from '../wasi/context.ts';
import type { KeyValue } from '../wasi/keyvalue-port.ts';
import type { Overlay } from '../wasi/overlay.ts';
import { Entering } from './entering.ts';
import { type Exchange, Execution, type ExecutionHome, type FunctionLog, type StoredPorts } from './execution.ts';
import type { ExecutionIds } from './id.ts';
import { guestFaults, type OutcomeLimits, outcomeOf, stopProblem } from './outcome.ts';
import type { ExecutionFacts } from './record.ts';
import type { ExecutionRing } from './ring.ts';

/** Executions that may wait for their turn: as many as may run, and at least this many. */
const queuedAtLeast = 8;
/** Longest wait for a turn. */
const queueMs = 1000;
/** Longest wait for a turn in a session, for functions that may themselves take less. */
const turnMs = 10_000;
/** Executions that may wait for their turns in all sessions together: at least this many. */
const enteringAtLeast = 1024;

const timeOriginMs = performance.timeOrigin;

/** Executions of all functions of a thread: each may be a suspended stack, of which a process bears only so many. */
export type ThreadLoad = { executions: number; readonly executionsMax: number };

type Fleet = ExecutionFacts['fleet'];

export type ExecutorOptions = {
  function: string;
  version: number;
  limits: OutcomeLimits & { concurrency: number };
  ids: ExecutionIds;
  ring: ExecutionRing;
  outbound: OutboundHttp;
  keyvalue?: KeyValue | undefined;
  objects?: Blobstore | undefined;
  /** What an execution of a function that shares something shares, by its request. */
  share?: ((execution: string, request: GuestRequest, overlay: Overlay | undefined) => Admission) | undefined;
  thread: ThreadLoad;
  /** Where it runs at first; default `resident`. */
  fleet?: Fleet;
  /** Makes the function ready to run in a fleet. Called again after it rejected. Rejections are `Problem`s. */
  load: (fleet: Fleet) => Promise<{ runner: FunctionRunner; load: LoadSource }>;
  openLog: (executionId: string, attempt: number | undefined) => FunctionLog;
  /** Called with each execution that has ended, refused ones too. */
  onEnd: (execution: Execution) => void;
};

/** Codes after which the function's log is told what happened. */
const logged: ReadonlySet<ErrorCode> = new Set<ErrorCode>([...guestFaults, 'internal']);

/**
 * Admits, runs and records the executions of one version of a function in one gateway thread. Begins when the first
 * route table that has the version arrives; `retire` ends it once its last execution has ended.
 */
export class FunctionExecutor implements ExecutionHome {
  readonly version: number;
  readonly outbound: OutboundHttp;
  readonly keyvalue: KeyValue | undefined;
  readonly objects: Blobstore | undefined;
  readonly #options: ExecutorOptions;
  /** Executions with a guest. */
  readonly #running = new Slots<Execution>();
  readonly #loading = new Set<Execution>();
  readonly #queue = new Set<Execution>();
  /** Executions that wait for their turn in a session. */
  readonly #entering: Entering<Execution>;
  #runner: FunctionRunner | undefined;
  #loaded: Promise<void> | undefined;
  /** Where the module came from, for the first executions that use it; 'thread' for those after them. */
  #loadSource: LoadSource = 'thread';
  #usedMs = performance.now();
  #deadline: NodeJS.Timeout | undefined;
  #retired = false;
  #fleet: Fleet;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.version = options.version;
    this.#entering = new Entering(Math.max(this.#queuedMax, enteringAtLeast), this.#queuedMax);
    this.#fleet = options.fleet ?? 'resident';
    this.outbound = options.outbound;
    this.keyvalue = options.keyvalue;
    this.objects = options.objects;
  }

  /** Executions admitted and not yet ended. */
  get inFlight(): number {
    return this.#running.size + this.#loading.size;
  }

  get queued(): number {
    return this.#queue.size + this.#entering.size;
  }

  get instances(): number {
    return this.#runner?.instances ?? 0;
  }

  /** It was retired, and nothing of it is left. */
  get done(): boolean {
    return this.#retired && this.inFlight === 0 && this.queued === 0;
  }

  /** Runs one request. Everything that goes wrong is told to `exchange.end`. `stored`: it arrived before, and has an id. */
  execute(exchange: Exchange, arrivedMs: number, stored?: StoredPorts): Execution {
    const { ids, share } = this.#options;
    const nowMs = stored === undefined ? arrivedMs : performance.now();
    const execution = new Execution(stored?.id ?? ids.next(timeOriginMs + arrivedMs), this, exchange, arrivedMs, stored);
    execution.takenMs = nowMs;
    execution.fleet = this.#fleet;
    exchange.accept(execution);
    if (share) this.#share(execution, share(execution.id, exchange.request, stored?.overlay), nowMs);
    else this.#take(execution, nowMs);
    return execution;
  }

  #take(execution: Execution, nowMs: number): void {
    const { limits, thread } = this.#options;
    if (thread.executions >= thread.executionsMax) this.#refuse(execution, 'capacity-exhausted');
    else if (this.inFlight < limits.concurrency) this.#admit(execution, nowMs);
    else if (this.#queue.size < this.#queuedMax) this.#enqueue(execution);
    else this.#refuse(execution, 'capacity-exhausted');
  }

  get #queuedMax(): number {
    return Math.max(this.#options.limits.concurrency, queuedAtLeast);
  }

  /** An execution of a session is taken when it is its turn. */
  #share(execution: Execution, admission: Admission, nowMs: number): void {
    execution.admission = admission;
    const { session } = admission;
    if (session === undefined) {
      this.#take(execution, nowMs);
      return;
    }
    const refused = this.#entering.add(session, execution);
    if (refused === execution) {
      this.#refuse(execution, 'capacity-exhausted');
      return;
    }
    refused?.stop('capacity-exhausted');
    const entered = admission.enter();
    execution.queueTimer = setTimeout(() => execution.stop('capacity-exhausted'), Math.max(this.#options.limits.timeMs, turnMs));
    entered.then(
      () => {
        if (!this.#entering.delete(execution)) return;
        clearTimeout(execution.queueTimer);
        this.#take(execution, performance.now());
      },
      (error: unknown) => {
        if (!this.#entering.delete(execution)) return;
        this.#close(execution, error instanceof Problem ? error : new Problem('internal', `cannot enter the session: ${String(error)}`), undefined);
        this.#closeIfDone();
      },
    );
  }

  /** Answers a request that is not to be run with a problem, and keeps its record as of any other. */
  refuse(exchange: Exchange, arrivedMs: number, problem: Problem): void {
    const execution = new Execution(this.#options.ids.next(timeOriginMs + arrivedMs), this, exchange, arrivedMs);
    execution.fleet = this.#fleet;
    exchange.accept(execution);
    this.#close(execution, problem, undefined);
  }

  openLog(executionId: string, attempt: number | undefined): FunctionLog {
    return this.#options.openLog(executionId, attempt);
  }

  /** An execution that waits, or whose module is still being loaded. */
  abandon(execution: Execution, code: ErrorCode): void {
    if (this.#queue.delete(execution) || this.#loading.delete(execution) || this.#entering.delete(execution)) this.#refuse(execution, code);
    this.#next();
  }

  find(id: string): ExecutionFacts | undefined {
    return this.#all().find((execution) => execution.id === id);
  }

  /** Brings the module into this thread before anybody asks for it. */
  async preload(): Promise<void> {
    if (!this.#runner) await this.#load();
  }

  /** Makes it ready in another fleet, and changes over when it is: no execution waits or is lost. @throws Problem; then it stays where it is */
  async move(fleet: Fleet): Promise<void> {
    if (fleet === this.#fleet) return;
    const { runner, load } = await this.#options.load(fleet);
    this.#runner?.close();
    this.#runner = runner;
    this.#loaded = Promise.resolve();
    this.#loadSource = load;
    this.#fleet = fleet;
    this.#closeIfDone();
  }

  /** Drops instances that nobody used for `idleMs`. */
  sweep(idleMs: number): void {
    this.#runner?.sweep(idleMs);
  }

  /** Lets go of a module that nobody has asked for in `idleMs`; the next execution loads it again. */
  unloadIdle(idleMs: number): void {
    if (!this.#runner || this.inFlight > 0 || performance.now() - this.#usedMs < idleMs) return;
    this.#runner.close();
    this.#runner = undefined;
    this.#loaded = undefined;
  }

  /** No more executions come; those under way end by themselves, then the instances are dropped. */
  retire(): void {
    this.#retired = true;
    this.#closeIfDone();
  }

  stopAll(code: ErrorCode): void {
    for (const execution of this.#all()) execution.stop(code);
  }

  #all(): Execution[] {
    return [...this.#entering, ...this.#queue, ...this.#loading, ...Array.from(this.#running, ([, execution]) => execution)];
  }

  #enqueue(execution: Execution): void {
    this.#queue.add(execution);
    execution.queueTimer = setTimeout(() => execution.stop('capacity-exhausted'), queueMs);
  }

  #admit(execution: Execution, nowMs: number): void {
    execution.admittedMs = nowMs;
    if (this.#runner) this.#start(execution, this.#runner, nowMs);
    else this.#startWhenLoaded(execution);
  }

  #startWhenLoaded(execution: Execution): void {
    this.#loading.add(execution);
    this.#load().then(
      () => {
        if (!this.#loading.delete(execution)) return;
        this.#start(execution, this.#runner as FunctionRunner, performance.now());
      },
      (error: unknown) => {
        if (!this.#loading.delete(execution)) return;
        const problem = error instanceof Problem ? error : new Problem('internal', `cannot load "${this.#options.function}": ${String(error)}`);
        this.#close(execution, problem, undefined);
        this.#next();
      },
    );
  }

  #load(): Promise<void> {
    this.#loaded ??= this.#options
      .load(this.#fleet)
      .then(({ runner, load }) => {
        if (this.#runner) {
          runner.close();
          return;
        }
        this.#runner = runner;
        this.#loadSource = load;
        this.#usedMs = performance.now();
        this.#closeIfDone();
      })
      .catch((error: unknown) => {
        this.#loaded = undefined;
        throw error;
      });
    return this.#loaded;
  }

  #start(execution: Execution, runner: FunctionRunner, nowMs: number): void {
    execution.state = 'running';
    execution.begunMs = nowMs;
    execution.fleet = this.#fleet;
    execution.load = this.#loadSource;
    if (this.#loading.size === 0) this.#loadSource = 'thread';
    execution.slot = this.#running.add(execution);
    this.#options.thread.executions++;
    this.#deadline ??= setTimeout(this.#endOverdue, this.#options.limits.timeMs);
    const run = runner.run(execution.exchange.request, execution.exchange.response, execution);
    execution.run = run;
    if (execution.stopCode) run.stop(execution.stopCode, execution.stopCode);
    run.ended.then((end) => this.#finish(execution, end));
  }

  /** One timer serves all executions, set for the one that will be overdue first. */
  readonly #endOverdue = (): void => {
    this.#deadline = undefined;
    const { timeMs } = this.#options.limits;
    let leftMs = Number.POSITIVE_INFINITY;
    for (const [, execution] of this.#running) {
      const left = execution.begunMs + timeMs - performance.now();
      if (left > 0) leftMs = Math.min(leftMs, left);
      else execution.stop('time-limit');
    }
    if (leftMs < Number.POSITIVE_INFINITY) this.#deadline ??= setTimeout(this.#endOverdue, Math.ceil(leftMs));
  };

  #finish(execution: Execution, end: RunEnd): void {
    execution.meter = end.meter;
    execution.sidecars = end.sidecars;
    execution.steps = end.steps;
    execution.startedMs = end.startedMs ?? Number.NaN;
    this.#running.delete(execution.slot);
    this.#options.thread.executions--;
    this.#close(execution, outcomeOf(execution, end, this.#options.function, this.#options.limits), end.failure?.backtrace);
    this.#next();
  }

  #refuse(execution: Execution, code: ErrorCode): void {
    this.#close(execution, stopProblem(code, this.#options.function, this.#options.limits), undefined);
  }

  #close(execution: Execution, problem: Problem | undefined, backtrace: string | undefined): void {
    if (execution.queueTimer) clearTimeout(execution.queueTimer);
    execution.admission?.leave(problem === undefined);
    execution.endedMs = performance.now();
    this.#usedMs = execution.endedMs;
    execution.state = problem ? 'failed' : 'succeeded';
    execution.code = problem?.code;
    execution.exchange.end(problem);
    if (problem && logged.has(problem.code)) {
      execution.log.note('error', `${this.#options.function}@${this.version} ${problem.code}: ${problem.message}${backtrace ? `\n${backtrace}` : ''}`);
    }
    execution.endLog();
    execution.overlay?.end();
    execution.releasedMs = execution.endedMs;
    this.#options.ring.add(execution);
    this.#options.onEnd(execution);
  }

  #next(): void {
    while (this.#queue.size > 0 && this.inFlight < this.#options.limits.concurrency) {
      const [execution] = this.#queue;
      if (!execution) return;
      this.#queue.delete(execution);
      clearTimeout(execution.queueTimer);
      this.#admit(execution, performance.now());
    }
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (!this.done) return;
    clearTimeout(this.#deadline);
    this.#runner?.close();
  }
}
