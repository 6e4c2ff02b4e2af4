/** The supervisor's side of executions by key, and a gateway thread that does what the test says. */
import type { ErrorCode } from '../../host/base/errors.ts';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import { fingerprintOf, type GuardedAnswer, guaranteeKey, headOf } from '../../host/execution/guarantee.ts';
import { KeyClaims } from '../../host/execution/key-claims.ts';
import { bareRecord } from '../../host/execution/record.ts';
import type { HeadStart, SentEnd, StoredRequest, StoredResponse } from '../../host/execution/stored-run.ts';
import type { EndedRecord } from '../../host/fleet/guarantee-records.ts';
import { Guarantees, type GuaranteesOptions } from '../../host/fleet/guarantees.ts';
import { StoredLog } from '../../host/fleet/stored-log.ts';
import type { StoredRunToGateway } from '../../host/fleet/stored-run-protocol.ts';
import { StoredRuns } from '../../host/fleet/stored-runs.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';

const ownerOf = (tenant: string): string => `~node/tenant/${tenant}`;
export const owner = ownerOf('acme');
export const pause = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
export const until = async <T>(ask: () => T | undefined | Promise<T | undefined>): Promise<T> => {
  for (let i = 0; i < 6000; i++) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    await pause(5);
  }
  throw new Error('it did not come about');
};

export type Shared = { table: MemoryTable; blobs: MemoryBlobs };
export type Running = Extract<StoredRunToGateway, { kind: 'run-stored' }>;

/** What a thread says at the end of a run: an increment and an answer, or a problem. */
export const answerOf = ({ request }: Pick<Running, 'request'>, problem?: ErrorCode, answered: Partial<StoredResponse> = {}): SentEnd => {
  const whole = 'held' in request ? { ...plain, id: request.held, arrivedAt: Date.now(), body: null } : request;
  const record = JSON.stringify(bareRecord(whole, problem ? 'failed' : 'succeeded'));
  if (problem) return { problem: { code: problem, message: problem }, record, response: null, effects: null };
  const change = { kind: 'increment' as const, key: 'hits', delta: 1n, unsigned: false };
  const response = { status: 200, headers: [], body: Buffer.from('done'), ...answered };
  return { problem: null, record, response, effects: { reads: [], effects: [{ kind: 'keyvalue', bucket: 'acme/b', change }] } };
};

export const pathOf = ({ request }: Running): string => (request as StoredRequest).pathWithQuery;

/** What the table has of the executions' work, and of records. */
const seenIn = (table: MemoryTable) => ({
  hits: async (): Promise<string | undefined> => {
    const value = (await table.get<Uint8Array>('acme/state/b/hits'))?.value;
    return value && Buffer.from(value).toString();
  },
  left: async (prefix: string): Promise<number> => (await table.scan({ prefix, limit: 1000 })).entries.length,
});

export const plain = { tenant: 'acme', function: 'f', method: 'POST', authority: 'a', pathWithQuery: '/', headers: [] };

const asking = (guarantees: Guarantees, now?: () => number) => {
  let ids = 0;
  /** With a key, or without one if it is null. */
  return (
    key: string | null,
    { tenant = 'acme', body = null, runs: wanted = 1, retries = 1, outbound = false, path = '/', waitMs = 0, ...begun }: Asked = {},
  ) => {
    const id = `id-${String(++ids).padStart(6, '0')}-${Math.random()}`;
    const request: StoredRequest = { ...plain, tenant, pathWithQuery: path, id, arrivedAt: now?.() ?? Date.now(), body };
    const guarantee = key === null ? null : { at: guaranteeKey(tenant, 'f', '', key), key, runs: wanted, fingerprint: fingerprintOf(request) };
    return guarantees.guard(
      { request: headOf(request), guarantee, retries, leaseMs: 1000, outbound, waitMs, ...begun },
      begun.begun || key === null ? 1 : undefined,
    );
  };
};

/** The supervisor's side over a table, with a gateway thread that does what the test says. */
export const openNode = async (shared?: Shared, config: Partial<GuaranteesOptions['config']> = {}, now?: () => number) => {
  const table = shared?.table ?? new MemoryTable();
  const blobs = shared?.blobs ?? new MemoryBlobs();
  if (!shared) await table.commit(['acme', 'other'].map((tenant) => ({ key: ownerOf(tenant), put: true })));
  const findOwner = async (tenant: string) => table.get(ownerOf(tenant));
  const writer = new EffectWriter({ table, keyvalue: { findOwner, bucketBytesMax: 1 << 30 } });
  const started: Running[] = [];
  const stopped: number[] = [];
  let clock = 0;
  /** Executions of these ends are over in the turn in which they begin. */
  const quick = new Map<string, ErrorCode | undefined>();
  const held = new HeldBlobs({ table, blobs });
  const post = (message: StoredRunToGateway): void => {
    if (message.kind === 'stop-stored') stopped.push(message.run);
    else if (quick.has(pathOf(message))) end(message, quick.get(pathOf(message)));
    else started.push(message);
  };
  const runs = new StoredRuns({ gateway: () => ({ id: 1, post }), now: () => clock, claim: (digest) => held.claim(digest) });
  const errors: unknown[] = [];
  const onError = (error: unknown): void => void errors.push(error);
  const whole = { ttlMs: 60_000, bytesMax: 1 << 30, responseBytesMax: 1 << 28, ...config };
  const attempts = () => ({ version: () => ({ key: 'acme/f@1' }) });
  const unkeyed = new StoredLog<EndedRecord>({ table, prefix: '~node/unkeyed/', ttlMs: 60_000, bytesMax: 100_000, onError });
  const parts = { table, held, writer, findOwner, claims: new KeyClaims(), unkeyed };
  const guarantees = new Guarantees({ ...parts, runs, attempts, config: whole, onError, ...(now && { now }) });
  await guarantees.open();
  const ask = asking(guarantees, now);
  const next = (): Promise<Running> => until(() => started.shift());
  const end = (run: Running, problem?: ErrorCode, answered?: Partial<StoredResponse>): void =>
    runs.take({ kind: 'stored-ended', run: run.run, end: answerOf(run, problem, answered) });
  const pass = (ms: number): void => {
    clock += ms;
    runs.check();
  };
  return { table, blobs, held, guarantees, runs, ask, next, end, pass, stopped, started, quick, errors, ...seenIn(table) };
};

export type Asked = {
  tenant?: string;
  waitMs?: number;
  body?: Uint8Array | null;
  runs?: number;
  retries?: number;
  outbound?: boolean;
  path?: string;
  begun?: HeadStart;
  version?: string;
};

export const codeOf = (answer: GuardedAnswer): string => (answer.kind === 'refused' ? answer.code : answer.kind);
