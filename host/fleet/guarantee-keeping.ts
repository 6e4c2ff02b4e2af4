/**
 * What is remembered of executions by key: how much that is, and until when. Begins with `open`, which measures what earlier
 * lives of the node have left; ends with `close`, when the step under way has been made.
 */
import { Problem } from '../base/errors.ts';
import { createSerial } from '../base/serial.ts';
import { Shares } from '../base/shares.ts';
import type { GuaranteeRecord } from '../execution/guarantee.ts';
import type { KeptBodies } from '../execution/kept-bodies.ts';
import { scanRecords } from '../store/scan.ts';
import type { Entry, Table, Write } from '../store/table.ts';
import type { GuaranteeKeys } from './guarantee-keys.ts';
import { type EndedRecord, endedKey, endedPrefix, isRemembered, putRecord, responseOwner } from './guarantee-records.ts';

export type GuaranteeKeepingOptions = {
  table: Pick<Table, 'commit' | 'get' | 'refresh' | 'scan'>;
  keys: GuaranteeKeys;
  bodies: Pick<KeptBodies, 'dropped' | 'drops' | 'sweep'>;
  config: { ttlMs: number; bytesMax: number };
  isUnderWay: (id: string) => boolean;
  onError: (error: unknown) => void;
  now: () => number;
};

const sweepMsMax = 60_000;
/** Executions that are forgotten in one commit: each has up to three records, and a commit 512 writes. */
const forgottenAtOnce = 160;

/** Earlier versions of nacelle kept executions without a key here too: those take no room of keys. */
const isMeasured = ({ guarantee }: EndedRecord): boolean => guarantee !== null;

export class GuaranteeKeeping {
  readonly #options: GuaranteeKeepingOptions;
  readonly #room: Shares;
  /** Written by this life of the node while what was there before is being measured. */
  #written: Set<string> | undefined = new Set();
  readonly #inTurn = createSerial();
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: GuaranteeKeepingOptions) {
    this.#options = options;
    this.#room = new Shares(options.config.bytesMax);
  }

  open(): void {
    void this.#inTurn(() => this.#measure()).catch(this.#options.onError);
    this.#start();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await this.#inTurn(async () => undefined);
  }

  /** @throws Problem `store-full` if the tenant has its share, or with `more` bytes would have more than that */
  checkRoom(tenant: string, more = 0): void {
    if (this.#room.fits(tenant, more)) return;
    const what = more === 0 ? 'remember another key' : `keep a response of ${more} bytes`;
    throw new Problem('store-full', `cannot ${what}: the tenant has its share of the ${this.#options.config.bytesMax} bytes of all keys (guarantees.bytesMax)`);
  }

  /** The write that remembers an execution, for the commit in which it ends. It counts at once. */
  write(id: string, ended: EndedRecord): Write {
    this.#written?.add(id);
    this.#room.take(ended.more.tenant, ended.bytes);
    return putRecord(endedKey(id), ended, 0);
  }

  /** There was no commit. */
  takeBack(id: string, ended: EndedRecord): void {
    this.#written?.delete(id);
    this.#room.giveBack(ended.more.tenant, ended.bytes);
  }

  /** Removes what ended longer ago than it is to be remembered; not while it is being measured, or another sweep is under way. */
  sweep(): Promise<void> {
    return this.#inTurn(() => this.#sweep());
  }

  /** Forgets keys of which nobody is, with their responses. */
  async forget(prefix: string): Promise<void> {
    const { table, bodies } = this.#options;
    for (let { entries } = await table.scan<GuaranteeRecord>({ prefix }); entries.length > 0; { entries } = await table.scan<GuaranteeRecord>({ prefix })) {
      await table.commit(entries.flatMap(({ key, value }): Write[] => [{ key, delete: true }, ...this.drops(value.last)]));
      for (const { value } of entries) bodies.dropped(value.last?.response.body);
      table.refresh();
    }
  }

  /** What lets go of a response that is kept. */
  drops(last: GuaranteeRecord['last'] | undefined): Write[] {
    return last ? this.#options.bodies.drops(last.response.body, responseOwner(last.execution)) : [];
  }

  #start(): void {
    const everyMs = Math.max(100, Math.min(sweepMsMax, this.#options.config.ttlMs / 4));
    const again = (): void => {
      if (!this.#closing.signal.aborted) this.#start();
    };
    this.#timer = setTimeout(() => void this.sweep().catch(this.#options.onError).finally(again), everyMs).unref();
  }

  async #measure(): Promise<void> {
    const { table, bodies, isUnderWay } = this.#options;
    const { signal } = this.#closing;
    for await (const { value } of scanRecords<EndedRecord>(table, endedPrefix, { signal }))
      if (isMeasured(value) && !this.#written?.has(value.more.id)) this.#room.take(value.more.tenant, value.bytes);
    this.#written = undefined;
    await bodies.sweep((owner) => isRemembered(table, owner, isUnderWay), signal);
  }

  async #sweep(): Promise<void> {
    const { table, now, config } = this.#options;
    const { signal } = this.#closing;
    const before = now() - config.ttlMs;
    let old: Entry<EndedRecord>[] = [];
    for await (const entry of scanRecords<EndedRecord>(table, endedPrefix, { signal })) {
      if (entry.value.more.arrivedAt > before) break;
      if (entry.value.at > before || old.push(entry) < forgottenAtOnce) continue;
      await this.#forget(old, before);
      if (signal.aborted) return;
      old = [];
    }
    if (!signal.aborted) await this.#forget(old, before);
  }

  /** Executions and, where nothing was executed with them since, their keys. What somebody uses is left for the next time. */
  async #forget(old: readonly Entry<EndedRecord>[], before: number): Promise<void> {
    const { table, keys, bodies } = this.#options;
    const gone = old.filter(({ value: { guarantee } }) => guarantee === null || !keys.has(guarantee));
    const held = [...new Set(gone.flatMap(({ value: { guarantee } }) => guarantee ?? []))].map((at) => keys.at(at));
    const forgetting = keys.holding(held, async () => {
      const unused = held.filter(({ record, active }) => record && active.size === 0 && record.at <= before);
      const writes = gone.flatMap(({ key, value }): Write[] => [{ key, delete: true }, ...bodies.drops(value.body, responseOwner(value.more.id))]);
      writes.push(...unused.map(({ at, revision }): Write => ({ key: at, delete: true, expectRevision: revision })));
      if (writes.length > 0) await table.commit(writes);
      for (const key of unused) key.unset();
    });
    await forgetting.finally(() => {
      for (const key of held) keys.drop(key);
    });
    for (const { value } of gone) {
      bodies.dropped(value.body);
      if (isMeasured(value)) this.#room.giveBack(value.more.tenant, value.bytes);
    }
  }
}
