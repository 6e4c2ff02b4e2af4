import type { ErrorCode, Problem } from '../base/errors.ts';
import type { LoadSource } from '../base/load-source.ts';
import type { Admission } from '../capability/admission.ts';
import { keyedOutbound } from '../capability/outbound-keyed.ts';
import { noMeter, type Run, type RunDecision, type RunMeter, type RunPlace, type RunSteps, type SidecarRun } from '../instance/runner.ts';
import type { Blobstore, ObjectName } from '../wasi/blobstore-port.ts';
import type { ExecutionLog, ExecutionPorts, GuestRequest, OutboundHttp, ResponseSink } from '../wasi/context.ts';
import type { KeyValue } from '../wasi/keyvalue-port.ts';
import type { Overlay } from '../wasi/overlay.ts';
import type { SharedResources } from '../wasi/shared-port.ts';
import type { ExecutionFacts, ExecutionState } from './record.ts';

/**
 * The two ends of one execution towards the client, made by whoever took the request. What the guest did with its
 * response is read here when it has ended.
 */
export type Exchange = {
  readonly request: GuestRequest;
  /** Called once, before anything else. */
  accept(execution: Execution): void;
  readonly response: ResponseSink;
  /** The status that the guest answered with; 0 before. */
  readonly status: number;
  /** The guest has finished its body. */
  readonly complete: boolean;
  /** Why the guest's response could not be taken, or that it answered with an error-code. */
  readonly refused: Problem | undefined;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** `performance.now()` of the response's head; NaN before. */
  readonly responseStartedMs: number;
  /** Called once, when the execution has ended: answers with the problem, or breaks the response off if it has begun. */
  end(problem: Problem | undefined): void;
};

/** The log of one execution: what the guest writes, and what the node notes of it. `end` gives out lines that have no end yet. */
export type FunctionLog = ExecutionLog & { note(level: string, message: string): void; end(): void };

/** What an execution needs from the function that it belongs to. */
export type ExecutionHome = {
  readonly version: number;
  readonly outbound: OutboundHttp;
  readonly keyvalue: KeyValue | undefined;
  readonly objects: Blobstore | undefined;
  openLog(executionId: string, attempt: number | undefined): FunctionLog;
  /** Ends an execution that has no guest running yet. */
  abandon(execution: Execution, code: ErrorCode): void;
};

/** Of a request that is run without a client: `overlay` is where its effects gather, if it is in one. */
export type StoredPorts = { id: string; attempt?: number | undefined } & Pick<ExecutionPorts, 'overlay' | 'upload'>;

/**
 * One run of a function, from arrival until its instance is free. Begins with the request; ends when the guest has
 * returned, trapped or been stopped.
 */
export class Execution implements ExecutionPorts, ExecutionFacts {
  readonly id: string;
  readonly version: number;
  readonly exchange: Exchange;
  readonly arrivedMs: number;
  /** When this attempt was taken here: of a request that was kept, long after it arrived. */
  takenMs: number;
  readonly overlay: Overlay | undefined;
  readonly upload: ObjectName | undefined;
  admittedMs = Number.NaN;
  /** When its runner got it: the limit of its time counts from here. */
  begunMs = Number.NaN;
  startedMs = Number.NaN;
  endedMs = Number.NaN;
  releasedMs = Number.NaN;
  /** Its number among the executions that its executor runs. */
  slot = 0;
  state: ExecutionState = 'queued';
  code: ErrorCode | undefined = undefined;
  load: LoadSource = 'thread';
  fleet: ExecutionFacts['fleet'] = 'resident';
  /** What it used; zeros until it has ended. */
  meter: RunMeter = noMeter;
  sidecars: readonly SidecarRun[] | undefined = undefined;
  steps: RunSteps | undefined = undefined;
  /** Why it was stopped, if it was. */
  stopCode: ErrorCode | undefined = undefined;
  run: Run | undefined = undefined;
  queueTimer: NodeJS.Timeout | undefined = undefined;
  /** What it shares with others, if its function shares anything. */
  admission: Admission | undefined = undefined;
  readonly #home: ExecutionHome;
  readonly #attempt: number | undefined;
  #log: FunctionLog | undefined = undefined;
  #overlaid: KeyValue | undefined = undefined;
  #overlaidObjects: Blobstore | undefined = undefined;
  #keyed: OutboundHttp | undefined = undefined;

  constructor(id: string, home: ExecutionHome, exchange: Exchange, arrivedMs: number, stored?: StoredPorts) {
    this.id = id;
    this.#home = home;
    this.version = home.version;
    this.exchange = exchange;
    this.arrivedMs = arrivedMs;
    this.takenMs = arrivedMs;
    this.overlay = stored?.overlay;
    this.upload = stored?.upload;
    this.#attempt = stored?.attempt;
  }

  get log(): FunctionLog {
    this.#log ??= this.#home.openLog(this.id, this.#attempt);
    return this.#log;
  }

  get outbound(): OutboundHttp {
    if (!this.overlay) return this.#home.outbound;
    this.#keyed ??= keyedOutbound(this.#home.outbound, this.id);
    return this.#keyed;
  }

  get objects(): Blobstore | undefined {
    if (!this.overlay) return this.#home.objects;
    this.#overlaidObjects ??= this.#home.objects?.within(this.overlay);
    return this.#overlaidObjects;
  }

  get keyvalue(): KeyValue | undefined {
    if (!this.overlay) return this.#home.keyvalue;
    this.#overlaid ??= this.#home.keyvalue?.within(this.overlay);
    return this.#overlaid;
  }

  get attach(): (() => Promise<void>) | undefined {
    const shared = this.shared;
    return shared && (() => shared.attach());
  }

  get shared(): SharedResources | undefined {
    return this.admission?.resources;
  }

  get place(): RunPlace | undefined {
    return this.run?.place;
  }

  get decisions(): readonly RunDecision[] | undefined {
    const found = this.run?.decisions;
    const attached = this.admission?.decision(this.steps?.attachedMs ?? Number.NaN);
    return attached ? [...(found ?? []), attached] : found;
  }

  get placedMs(): number {
    return this.fleet === 'resident' ? this.begunMs : (this.place?.atMs ?? Number.NaN);
  }

  /** From when it was taken to its end. */
  get tookMs(): number {
    return this.endedMs - this.takenMs;
  }

  get responseStartedMs(): number {
    return this.exchange.responseStartedMs;
  }

  get status(): number {
    return this.exchange.status;
  }

  get bytesIn(): number {
    return this.exchange.bytesIn;
  }

  get bytesOut(): number {
    return this.exchange.bytesOut;
  }

  /** Ends the execution wherever it is: waiting, loading or running. The first reason counts; nothing happens after its end. */
  stop(code: ErrorCode): void {
    if (this.stopCode || this.state === 'succeeded' || this.state === 'failed') return;
    this.stopCode = code;
    if (this.run) this.run.stop(code, code);
    else this.#home.abandon(this, code);
  }

  endLog(): void {
    this.#log?.end();
    this.#log = undefined;
  }
}
