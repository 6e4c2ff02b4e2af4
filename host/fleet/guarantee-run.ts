import type { Riding } from '../capability/effect-writer.ts';
import type { Attempt } from '../execution/attempts.ts';
import { type GuardedHead, type GuardedRequest, wholeOf } from '../execution/guarantee.ts';
import { withInput } from '../execution/other-input.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import type { HeadStart, StoredRun } from '../execution/stored-run.ts';
import type { Entry } from '../store/table.ts';
import type { Change } from '../verdict/model.ts';
import type { GuaranteeKey } from './guarantee-key.ts';
import type { StartedRecord } from './guarantee-records.ts';

/** An execution by key under way. */
export type GuaranteeRun = {
  readonly request: GuardedHead;
  /** Of its record. */
  body: StartedRecord['request']['body'];
  /** Undefined if no key was given. */
  readonly key: GuaranteeKey | undefined;
  readonly guarantee: GuardedRequest['guarantee'];
  /** The record of its tenant, as it was when the key was taken. */
  owner: Pick<Entry, 'key' | 'revision'> | undefined;
  readonly retries: number;
  readonly leaseMs: number;
  readonly version: string | undefined;
  readonly gateway: number | undefined;
  /** The dead letter that it is. */
  readonly letter: string | undefined;
  /** Its thread has begun the first attempt. */
  readonly begun: HeadStart | undefined;
  attempts: readonly Attempt[];
  /** Of its record while it is under way; 0: it is not written down. */
  revision: number;
  /** It is being written down, or has been. */
  reserved: Promise<void> | undefined;
  /** It goes with the next commit of others. */
  riding: Riding | undefined;
  reserving: NodeJS.Timeout | undefined;
  /** Its last commit is being made. */
  ending: boolean;
  duplicates: number;
  /** Its function was removed: no attempt is begun any more, and none committed. */
  forgotten: boolean;
};

export const isForgotten = ({ key, forgotten }: GuaranteeRun): boolean => forgotten || key?.forgotten === true;

type Begun = Pick<GuaranteeRun, 'request' | 'key' | 'guarantee' | 'retries' | 'leaseMs' | 'version' | 'gateway' | 'letter'> &
  Partial<Pick<GuaranteeRun, 'begun'>>;

/** One that is not written down. */
export const beginRun = (begun: Begun): GuaranteeRun => ({
  begun: undefined,
  ...begun,
  body: null,
  owner: undefined,
  attempts: [],
  revision: 0,
  reserved: undefined,
  riding: undefined,
  reserving: undefined,
  ending: false,
  duplicates: 0,
  forgotten: false,
});

/** One that the node ended under, as its record has it: a body in Blobs is not read yet. */
export const leftRun = (
  { request, guarantee, retries, leaseMs, attempts, letter }: StartedRecord,
  { key, revision, now }: { key: GuaranteeKey; revision: number; now: number },
): GuaranteeRun => {
  const attempt = (attempts.at(-1)?.attempt ?? 0) + 1;
  const ended: Attempt = { attempt, startedAt: now, endedAt: now, code: 'isolate-lost', message: 'the node ended under it', nodeEnded: true };
  const run = beginRun({ request: { ...request, body: null }, key, guarantee, retries, leaseMs, version: undefined, gateway: undefined, letter });
  return { ...run, body: request.body, attempts: [...attempts, ended], revision, reserved: Promise.resolve() };
};

/** The run that its thread tells of while it is under way. */
export const begunRunOf = ({ begun }: Pick<GuardedRequest, 'begun'>): number | undefined => (begun && 'run' in begun ? begun.run : undefined);

/** What its record says of its key and attempts. */
export const described = ({ guarantee }: GuaranteeRun, attempts: readonly Attempt[]): Pick<ExecutionRecord, 'key' | 'runs' | 'attempts'> => ({
  ...(guarantee && { key: guarantee.key, runs: guarantee.runs }),
  attempts: [...attempts],
});

/** One attempt at a request; `input`: in place of what it came with. */
export const attemptAt = (
  head: GuardedHead,
  { input, ...how }: Pick<StoredRun, 'key' | 'attempt' | 'responseBytesMax'> & Pick<Change, 'input'>,
): StoredRun => ({
  ...how,
  get request() {
    return withInput(wholeOf(head), input);
  },
  overlay: true,
  spill: true,
});
