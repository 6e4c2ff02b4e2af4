/** What is made of an attempt at an execution by whoever judges it: a function of the tenant, or a built-in verdict. */
import type { ErrorCode } from '../base/errors.ts';

type HeaderLines = [name: string, value: string][];

/** Largest payload of an event, and of an input or a result of a verdict, in bytes. */
export const payloadBytesMax = 512 * 1024;

export type Limits = { memoryMib: number; cpuMs: number; timeMs: number };
/** The most that a function may have; `prewarm` where it is bounded. */
export type Ceilings = Limits & { prewarm?: number | undefined };
export type OtherLimits = { [K in keyof Limits]?: number | undefined };

/** `body` is base64; without `contentType` that of the request stays. */
export type OtherInput = { body: string; contentType?: string | undefined };

/** In what the next attempts differ from the request as it came, run by the live version. Plain JSON. */
export type Change = { version?: number | undefined; limits?: OtherLimits | undefined; input?: OtherInput | undefined };

/** For the requests to come. */
export type Settings = { limits?: OtherLimits | undefined; fleet?: 'auto' | 'resident' | 'on-demand' | undefined; prewarm?: number | undefined };

export type VerdictName = 'retry' | 'rollback' | 'dead-letter' | 'drop' | 'complete' | 'default';

/** As it stands in the record of an attempt. `by`: a function, or the name of a built-in verdict; `notes`: what was clipped, refused or changed besides. */
export type Judged = { verdict: VerdictName; by: string; reason: string; execution?: string; notes?: string[] };

export type JudgedResult = { status: number; headers: HeaderLines; body: Uint8Array };

/** `default`: as if nobody had been asked. */
export type Judgement = { judged: Judged } & (
  | { do: 'default' | 'dead-letter' | 'drop' }
  | { do: 'retry'; change: Change }
  | { do: 'complete'; result: JudgedResult }
);

/** `onFailure` as far as it is about verdicts. */
export type FailureRules = {
  control?: string | undefined;
  verdict?: 'double-memory' | 'rollback' | undefined;
  rollback?: { failures: number; of: number } | undefined;
};

export type ResultCondition = {
  status?: string | undefined;
  header?: Record<string, string> | undefined;
  json?: Record<string, string | number | boolean | null> | undefined;
};

/** An entry of `onResult`. */
export type ResultRule = { when: ResultCondition; control: string };

/** The version that ran. */
export type Judgeable = {
  tenant: string;
  function: string;
  version: number;
  limits: Limits;
  /** Those of its tenant and the node; default: of the node. */
  ceilings?: Ceilings | undefined;
  onFailure?: FailureRules | undefined;
  onResult?: readonly ResultRule[] | undefined;
};

type Earlier = { attempt: number; version?: number; code: ErrorCode | null; message?: string; judged?: Judged };

/** One attempt that has ended, before anything of it is kept or answered. Times are milliseconds since 1970. */
export type Subject = {
  execution: string;
  trigger: string;
  arrivedAt: number;
  /** Events that led to it, one after the other. */
  hops: number;
  attempt: number;
  earlier: readonly Earlier[];
  /** By what it was run in place of the live version and its limits. */
  change: Change;
  /** Null: it answered, and its answer is no failure. */
  error: { code: ErrorCode; message: string } | null;
  response: { status: number; headers: HeaderLines; body: Uint8Array } | null;
  /** Of its execution, if it came to one. */
  meter: { memoryBytesPeak: number; memoryRefused: boolean } | null;
  request: { method: string; pathWithQuery: string; headers: HeaderLines; bytes: number };
  /** Its last log lines. */
  log: () => Promise<string[]>;
};

/** Undefined: there is nothing to judge, or nobody who would. Never rejects. */
export type Judge = (function_: Judgeable, subject: Subject) => Promise<Judgement | undefined>;

/** Whether attempts of the function are to be judged. */
export const isJudged = ({ onFailure, onResult }: Pick<Judgeable, 'onFailure' | 'onResult'>): boolean =>
  onFailure?.control !== undefined || onFailure?.verdict !== undefined || (onResult?.length ?? 0) > 0;

/** Names of the functions that judge. */
export const controlsOf = ({ onFailure, onResult }: Pick<Judgeable, 'onFailure' | 'onResult'>): string[] => [
  ...new Set([...(onFailure?.control === undefined ? [] : [onFailure.control]), ...(onResult ?? []).map(({ control }) => control)]),
];
