/**
 * Sessions of functions. What is known of one is a record in a bucket, which goes when its time is over; what its executions
 * keep is in a part of a bucket that the record names. In memory are only those with an execution under way, so that it
 * makes no difference how many there are.
 */
import { randomBytes } from 'node:crypto';
import { Problem } from '../base/errors.ts';
import { bucketId, tenantOf } from '../capability/keyvalue-keys.ts';
import type { SessionWanted } from '../capability/shared-protocol.ts';
import { ownerOfPart, type SessionsOwner, sessionBucket, sessionsPart, sessionsRoot } from '../capability/shared-resources.ts';
import type { Bucket } from '../wasi/keyvalue-port.ts';
import { executionOf } from './owner.ts';
import { Turns } from './turns.ts';

const stepKeys = 200;
/** A record is renewed when its session would last longer by this part of `idleMs`: an execution seldom writes one. */
const renewalParts = 8;
/** Of a session that has ended while it was in use, values are removed again after that: its executions may still write some. */
const endedMs = 5000;

/** `ended`: nobody enters it any more; its record is there for what is still written. */
type SessionRecord = { part: string; createdAt: number; ended?: boolean };
type Guest = { key: string; wanted: SessionWanted; inside: boolean };
type Active = { wanted: SessionWanted; guests: number; record: SessionRecord | undefined };
type Waiting = { resolve: () => void; reject: (problem: Problem) => void };

/**
 * Times in milliseconds since 1970. `function`: whose it is, or `name` if it is one of all functions that name it. `waiting`
 * counts executions that wait for their turn.
 */
export type SessionView = {
  id: string;
  function: string | null;
  name: string | null;
  createdAt: number;
  expiresAt: number;
  running: string | null;
  waiting: number;
};

export type SessionsOptions = { open: (bucket: string) => Bucket; onError: (error: unknown) => void };

const keyOf = ({ sessions, digest }: Pick<SessionWanted, 'sessions' | 'digest'>): string => `${sessions}/${digest}`;
/** In place of the record of a session that has ended while it was in use. */
const ended: SessionRecord = { part: '', createdAt: 0, ended: true };
/** Functions that share a session may give it different times: the longest counts. */
const longest = (a: SessionWanted, b: SessionWanted): SessionWanted => ({
  ...b,
  idleMs: Math.max(a.idleMs, b.idleMs),
  maxMs: Math.max(a.maxMs, b.maxMs),
});
const bytesOf = (record: SessionRecord): Uint8Array => Buffer.from(JSON.stringify(record));
const read = (bytes: Uint8Array): SessionRecord => JSON.parse(Buffer.from(bytes).toString()) as SessionRecord;

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #turns = new Turns();
  readonly #waiting = new Map<string, Waiting>();
  /** By execution. */
  readonly #guests = new Map<string, Guest>();
  /** Sessions with an execution under way. */
  readonly #active = new Map<string, Active>();
  readonly #making = new Map<string, Promise<SessionRecord>>();

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** Resolves with the bucket of the session when it is the execution's turn. @throws Problem `store-full`, `unavailable` */
  async enter(execution: string, wanted: SessionWanted): Promise<string> {
    const key = keyOf(wanted);
    const guest: Guest = { key, wanted, inside: false };
    this.#guests.set(execution, guest);
    if (wanted.serialize && !this.#turns.enter(key, execution)) await new Promise<void>((resolve, reject) => this.#waiting.set(execution, { resolve, reject }));
    guest.inside = true;
    const active: Active = this.#active.get(key) ?? { wanted, guests: 0, record: undefined };
    active.wanted = longest(active.wanted, wanted);
    active.guests++;
    this.#active.set(key, active);
    active.record = await this.#open(key, wanted);
    return `${sessionBucket(wanted.sessions, wanted.digest)}/${active.record.part}`;
  }

  /** The execution has ended, or waits no more. */
  leave(execution: string): void {
    const guest = this.#guests.get(execution);
    if (!guest) return;
    const { key, wanted, inside } = guest;
    this.#guests.delete(execution);
    this.#waiting.get(execution)?.reject(new Problem('unavailable', 'the execution waits no more'));
    this.#waiting.delete(execution);
    if (inside) this.#count(key);
    if (!wanted.serialize) return;
    const next = this.#turns.leave(key, execution);
    if (next === undefined) return;
    const waiting = this.#waiting.get(next);
    this.#waiting.delete(next);
    waiting?.resolve();
  }

  /** To be called before records of this bucket are removed because their time is over: those in use go on, of others all values go. */
  async expire(bucket: string, keys: readonly string[]): Promise<void> {
    const tenant = tenantOf(bucket);
    if (bucket !== bucketId(tenant, sessionsRoot)) return;
    for (const key of keys) {
      const [part = '', digest = ''] = key.split('/');
      const sessions = bucketId(tenant, `${sessionsRoot}/${part}`);
      const id = keyOf({ sessions, digest });
      if (this.#making.has(id) || this.#recorded(sessions, digest)) continue;
      const active = this.#active.get(id);
      if (active?.record && (await this.#renew(active.wanted, active.record))) continue;
      if (active) await this.#end(active);
      await this.#removeValues(sessions, digest);
    }
  }

  /** Executions of a function that was removed are in no session that the next one of its name could enter. */
  forget(sessions: string): void {
    for (const [key, active] of this.#active) if (key.startsWith(`${sessions}/`)) active.record = undefined;
  }

  /** The session has lasted for long enough, but executions of it are under way: its record stays until they have ended. */
  async #end(active: Active): Promise<void> {
    const { sessions, digest } = active.wanted;
    active.record = undefined;
    await this.#options.open(sessions).change({ kind: 'put', entries: [[digest, bytesOf(ended)]], until: Date.now() + endedMs });
  }

  /** Sessions of a tenant, of one function or of one name if that is given. */
  list(tenant: string, of: SessionsOwner | undefined, limit: number, after: string | undefined): { items: SessionView[]; next: string | undefined } {
    const bucket = this.#options.open(bucketId(tenant, sessionsRoot));
    const { keys, next } = bucket.list(after, of ? `${sessionsPart(of)}/` : '', limit);
    const items = keys.flatMap((key): SessionView[] => {
      const [value, until] = [bucket.get(key), bucket.until(key)];
      const record = value && read(value);
      if (!record || record.ended || until === undefined) return [];
      const [part = '', id = ''] = key.split('/');
      const { function: its = null, name = null } = ownerOfPart(part);
      const { running, waiting } = this.#turns.view(bucketId(tenant, `${sessionsRoot}/${key}`));
      const times = { createdAt: record.createdAt, expiresAt: until };
      return [{ id, function: its, name, ...times, running: running === undefined ? null : executionOf(running), waiting }];
    });
    return { items, next };
  }

  /** The bucket with the values of a session; undefined if there is none. `part`: its function, or `~` and its name. */
  values(tenant: string, part: string, digest: string): string | undefined {
    const sessions = bucketId(tenant, `${sessionsRoot}/${part}`);
    const record = this.#recorded(sessions, digest);
    return record && `${sessionBucket(sessions, digest)}/${record.part}`;
  }

  #count(key: string): void {
    const active = this.#active.get(key);
    if (active && --active.guests === 0) this.#active.delete(key);
  }

  async #open(key: string, wanted: SessionWanted): Promise<SessionRecord> {
    const { sessions, digest, idleMs, maxMs, incarnation: onlyAt } = wanted;
    const bucket = this.#options.open(sessions);
    const [value, until, record] = [bucket.get(digest), bucket.until(digest), this.#recorded(sessions, digest)];
    if (value && record && until !== undefined) {
      const renewed = Math.min(Date.now() + idleMs, record.createdAt + maxMs);
      if (renewed - until > idleMs / renewalParts)
        bucket.change({ kind: 'put', entries: [[digest, value]], until: renewed, onlyAt }).catch(this.#options.onError);
      return record;
    }
    const making = this.#making.get(key) ?? this.#make(key, wanted).finally(() => this.#making.delete(key));
    this.#making.set(key, making);
    return making;
  }

  /** The record is there before its executions write anything, so that nothing is left without one. */
  async #make(key: string, wanted: SessionWanted): Promise<SessionRecord> {
    const { sessions, digest } = wanted;
    const known = this.#active.get(key)?.record;
    if (known && (await this.#renew(wanted, known))) return known;
    const nowMs = Date.now();
    const record: SessionRecord = { part: `${nowMs.toString(36)}${randomBytes(3).toString('hex')}`, createdAt: nowMs };
    await this.#renew(wanted, record);
    this.#removeValues(sessions, digest).catch(this.#options.onError);
    return record;
  }

  /** Lets a session last for another while; false if it has lasted for long enough. */
  async #renew({ sessions, digest, idleMs, maxMs, incarnation: onlyAt }: SessionWanted, record: SessionRecord): Promise<boolean> {
    const until = Math.min(Date.now() + idleMs, record.createdAt + maxMs);
    if (until <= Date.now()) return false;
    await this.#options.open(sessions).change({ kind: 'put', entries: [[digest, bytesOf(record)]], until, onlyAt });
    return true;
  }

  #recorded(sessions: string, digest: string): SessionRecord | undefined {
    const value = this.#options.open(sessions).get(digest);
    const record = value && read(value);
    return record?.ended ? undefined : record;
  }

  /** Removes what sessions of this key kept that have ended, a few values at a time. */
  async #removeValues(sessions: string, digest: string): Promise<void> {
    const id = sessionBucket(sessions, digest);
    for (let after: string | undefined; ; ) {
      const bucket = this.#options.open(id);
      const { keys, next } = bucket.list(after, '', stepKeys);
      const kept = this.#recorded(sessions, digest)?.part;
      const gone = keys.filter((key) => kept === undefined || !key.startsWith(`${kept}/`));
      if (gone.length > 0) await bucket.change({ kind: 'put', entries: gone.map((key) => [key, undefined]) });
      if (next === undefined) return;
      after = next;
    }
  }
}
