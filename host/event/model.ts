/** What the parts of events share. Times are milliseconds since 1970; everything that is kept is plain JSON. */
import type { ErrorCode } from '../base/errors.ts';
import type { ExecutionRecord, ExecutionTrigger, PutOff } from '../execution/record.ts';
import type { HeaderLines } from '../execution/stored-run.ts';
import type { PlacementDecision } from '../placement/model.ts';
import type { Write } from '../store/table.ts';
import type { Ceilings, Change, FailureRules, Judged, Limits, ResultRule } from '../verdict/model.ts';

export type { HeaderLines };

/** What brought a delivery about. `http`: a request that is answered later; `event`: sent to the function itself. */
export type Trigger = ExecutionTrigger;

/** A request as it is kept, `body` in base64. An event is the request of its delivery, in the binary form of CloudEvents. */
export type EventRequest = {
  method: string;
  authority: string;
  pathWithQuery: string;
  headers: HeaderLines;
  body: string | null;
  trailers?: HeaderLines | undefined;
};

/** One run of an event. `log` has its last lines. */
export type EventAttempt = {
  attempt: number;
  version: number;
  startedAt: number;
  endedAt: number;
  code: ErrorCode | null;
  message?: string;
  isolate?: number;
  log?: string[];
  /** By what it was run in place of the live version and its limits. */
  change?: Omit<Change, 'input'>;
  /** What was made of it, if somebody was asked. */
  judged?: Judged;
};

/** An event on its way to one function: the body of a queued message, whose id is that of its execution. */
export type EventItem = {
  tenant: string;
  function: string;
  trigger: Trigger;
  /** When it came into being; its greatest age counts from then, or from the end of its delay. */
  arrivedAt: number;
  /** Executions that led to it, one after the other. */
  hops: number;
  request: EventRequest;
  attempts: EventAttempt[];
  /** Where its function wanted what fails when it came, if that is not "default": for when the function is gone. */
  deadLetter?: string;
  /** By what it is run from now on, in place of the live version and its limits. */
  change?: Omit<Change, 'input'>;
  /** Why it was not run when it was its turn last. */
  putOff?: PutOff;
  /** Why its request was put off to a quiet time, if it was. */
  deferral?: PlacementDecision;
  /** Of one on its way to the origin: how it is enqueued there. */
  dedupeId?: string | undefined;
  orderingKey?: string | undefined;
};

/** `onFailure` of a manifest, with its defaults. */
export type FailurePolicy = FailureRules & {
  retries: number;
  backoffMs: number;
  maxAgeMs: number;
  deadLetter: string;
};

/** Where a function gets an event: undefined where it happens, or at the origin of the node. A node that is no edge is its own origin. */
export type Place = 'origin' | undefined;

/** An entry of `events`. */
export type Subscription =
  | { cron: string; timeZone: string; catchUp: 'none' | 'last' | 'all' }
  | { topic: string; at?: Place }
  | { state: string; at?: Place }
  | { object: string; at?: Place };

/** What events need to know of a function. */
export type EventFunction = {
  tenant: string;
  name: string;
  version: number;
  /** `DeployedVersion.key` */
  key: string;
  /** Deliveries at once. */
  concurrency: number;
  limits: Limits;
  /** The most that a verdict may give it. */
  ceilings?: Ceilings | undefined;
  suspended: boolean;
  /** It may send requests, which cannot be undone, and its manifest does not say that they may be sent again. */
  irreversible: boolean;
  /** It need not be live: this version was asked for, and no other is run in its place. */
  lent?: true;
  /** Undefined where the manifest says nothing. */
  onFailure: FailurePolicy | undefined;
  onResult: readonly ResultRule[];
  subscriptions: readonly Subscription[];
};

export const failureDefaults: FailurePolicy = { retries: 2, backoffMs: 1000, maxAgeMs: 21_600_000, deadLetter: 'default' };

/** Events that lead to events, one after the other. */
export const hopsMax = 16;

/** How an attempt ended. `commit` makes its effects together with `writes`; without it they never happen. */
export type Delivered = {
  version: number;
  isolate?: number | undefined;
  problem: { code: ErrorCode; message: string } | null;
  response: { status: number; headers: HeaderLines; body: Uint8Array } | null;
  /** Null if it did not come to an execution. */
  readonly record: ExecutionRecord | null;
  /** The same as JSON, where it is there already. */
  recordText?: string | null;
  startedAt: number;
  endedAt: number;
  /** @throws Problem `conflict` and others; then nothing of it happened */
  commit(writes: readonly Write[]): Promise<void>;
  /** To be called when it is committed, or will not be: lets go of what the execution holds until then. */
  settled(): void;
};

/** Time as a simulation can make it pass. `after` returns what calls it off. */
export type EventClock = { now(): number; after(ms: number, act: () => void): () => void };

const timerMsMax = 2 ** 31 - 1;

export const systemClock: EventClock = {
  now: () => Date.now(),
  after: (ms, act) => {
    const timer = setTimeout(act, Math.min(Math.max(0, ms), timerMsMax)).unref();
    return () => clearTimeout(timer);
  },
};
