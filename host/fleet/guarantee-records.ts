/** Records of executions by key, as the Table has them. */
import type { Attempt } from '../execution/attempts.ts';
import type { GuaranteeRecord, GuardedHead, GuardedRequest, KeptBody } from '../execution/guarantee.ts';
import { bareRecord, type ExecutionRecord } from '../execution/record.ts';
import { ReceivedEnd, type StoredEnd, type StoredResponse } from '../execution/stored-run.ts';
import type { Json, Table, Write } from '../store/table.ts';

/** An execution under way: what is needed to run it again without its client. */
export type StartedRecord = {
  request: Omit<GuardedHead, 'body'> & { body: KeptBody | null };
  guarantee: NonNullable<GuardedRequest['guarantee']>;
  retries: number;
  leaseMs: number;
  /** The life of the node in which it runs. */
  boot: string;
  attempts: readonly Attempt[];
  letter?: string | undefined;
};

/**
 * An execution that has ended; `guarantee`: where the record of its key is. Ids begin with their time, so they stand in its
 * order. `record` is what the thread told, as JSON (null if it did not come to an execution), `more` what is known besides.
 */
export type EndedRecord = { at: number; guarantee: string | null; bytes: number; record: string | null; more: More; body?: KeptBody | undefined };
type More = Pick<ExecutionRecord, 'id' | 'tenant' | 'function' | 'state' | 'key' | 'runs' | 'attempts'> & {
  arrivedAt: number;
  code?: ExecutionRecord['code'];
  committedAt?: number | undefined;
  duplicates: number;
};

/** An ended execution as the control API tells it. `duplicates`: those that are not in the record yet. */
export const describeEnded = ({ record, more }: EndedRecord, duplicates: number): ExecutionRecord => {
  const { arrivedAt: _, committedAt, code, ...rest } = more;
  const base = record === null ? bareRecord(more, more.state) : (JSON.parse(record) as ExecutionRecord);
  const whole: ExecutionRecord = { ...base, ...rest, ...(code && { code }), duplicates: more.duplicates + duplicates };
  return committedAt === undefined ? whole : withCommit(whole, committedAt);
};

export const startedPrefix = '~node/started/';
export const endedPrefix = '~node/guaranteed/';
export const startedKey = (execution: string): string => startedPrefix + execution;
export const endedKey = (execution: string): string => endedPrefix + execution;

/** Whose the bodies of an execution are that are kept in Blobs. */
export const requestOwner = (id: string): string => `${id}.request`;
export const responseOwner = (id: string): string => `${id}.response`;

/** Whether the execution of a kept body, by its owner, is under way or has ended not long ago. */
export const isRemembered = async (table: Pick<Table, 'get'>, owner: string, isUnderWay: (id: string) => boolean): Promise<boolean> => {
  const id = owner.slice(0, owner.indexOf('.'));
  return isUnderWay(id) || ((await table.get(startedKey(id))) ?? (await table.get(endedKey(id)))) !== undefined;
};

/** `expectRevision`: as in `Write`. */
export const putRecord = (key: string, value: StartedRecord | EndedRecord | GuaranteeRecord, expectRevision?: number): Write => ({
  key,
  put: value as unknown as Json,
  expectRevision,
});

/** About how much is kept of an ended execution, in bytes. */
export const keptBytes = (response: StoredResponse | null): number => {
  const lines = [...(response?.headers ?? []), ...(response?.trailers ?? [])];
  const headers = lines.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  return 2048 + headers + (response?.spilled?.bytes ?? response?.body.length ?? 0);
};

/** With the step of its commit, at a time since 1970. */
const withCommit = (record: ExecutionRecord, committedAt: number): ExecutionRecord => {
  const at = Math.round((committedAt - Date.parse(record.arrivedAt)) * 1000);
  const last = record.timeline.at(-1)?.at ?? 0;
  return { ...record, timeline: [...record.timeline, { at: Math.max(at, last), step: 'committed' }] };
};

/** The record of a run as JSON, if it came to one. */
export const recordTextOf = (end: StoredEnd | undefined): string | null => {
  if (end instanceof ReceivedEnd) return end.recordText;
  return end?.record ? JSON.stringify(end.record) : null;
};
