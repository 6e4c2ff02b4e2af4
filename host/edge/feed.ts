import type { Serial } from '../base/serial.ts';
import { createSerial } from '../base/serial.ts';
import type { Table } from '../store/table.ts';
import { type FeedMessage, signMessage } from './message.ts';
import { protocols } from './protocol.ts';
import { changesBetween, digestOfHolder, type Records, readRecords, stampOfRecords } from './records.ts';
import type { Signer } from './signing.ts';

/** Where the revision stands, so that it never goes back. */
const feedKey = '~node/feed';
type FeedRecord = { revision: number; stamp: string };

/** Changes that are kept for edges that come back; beyond, they get the whole state. */
const changesKept = 256;
const changeBytesKept = 8 * 1024 * 1024;

export type FeedOptions = { table: Table; signer: Signer; domain: string; product: string };

/** An event of the stream as it goes out; the same bytes for every edge. */
export type FeedEvent = Uint8Array;

const eventOf = (signer: Signer, message: FeedMessage): FeedEvent =>
  Buffer.from(`id: ${message.revision}\nevent: state\ndata: ${signMessage(signer, message)}\n\n`);

type Kept = { base: number; revision: number; event: FeedEvent };

/**
 * What an origin tells its edges. It reads nothing before the first edge asks, so a node without edges pays nothing.
 * Each change of the deployments makes a revision; its message is made and signed once, for all edges.
 */
export class Feed {
  private readonly options: FeedOptions;
  private readonly serial: Serial = createSerial();
  private readonly listeners = new Set<(event: FeedEvent) => void>();
  private records: Records = new Map();
  private revision = 0;
  private kept: Kept[] = [];
  private waiting: Promise<void> | undefined;
  private whole: { revision: number; event: FeedEvent } | undefined;

  constructor(options: FeedOptions) {
    this.options = options;
  }

  get publicKey(): string {
    return this.options.signer.publicKey;
  }

  get at(): number {
    return this.revision;
  }

  /** Deployments have changed: tells those who listen. Does nothing before anybody ever did. */
  async refresh(): Promise<void> {
    if (this.revision > 0) await this.renewed();
  }

  /**
   * Calls `listener` with what is missing after the revision `after` (undefined: with the whole state), and then with every change.
   * @returns what ends it
   */
  async follow(after: number | undefined, listener: (event: FeedEvent) => void): Promise<() => void> {
    await this.renewed();
    for (const event of this.missing(after)) listener(event);
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Whether the component belongs to what edges are told of. */
  async has(digest: string): Promise<boolean> {
    if (this.revision === 0) await this.renewed();
    for (const key of this.records.keys()) if (digestOfHolder(key) === digest) return true;
    return false;
  }

  private missing(after: number | undefined): FeedEvent[] {
    if (after === this.revision) return [];
    const from = this.kept.findIndex(({ base }) => base === after);
    if (from >= 0) return this.kept.slice(from).map(({ event }) => event);
    if (this.whole?.revision !== this.revision) this.whole = { revision: this.revision, event: this.encode(null, [...this.records], []) };
    return [this.whole.event];
  }

  private encode(base: number | null, put: FeedMessage['put'], remove: string[]): FeedEvent {
    const { signer, domain, product } = this.options;
    return eventOf(signer, { format: protocols.oldest, product, domain, revision: this.revision, base, put, remove });
  }

  /** Resolves when what was there at the call has been read. Those who call while others wait share one reading: many edges may come back at once. */
  private renewed(): Promise<void> {
    this.waiting ??= this.serial(() => {
      this.waiting = undefined;
      return this.renew();
    });
    return this.waiting;
  }

  private async renew(): Promise<void> {
    const { table } = this.options;
    const records = await readRecords(table);
    const known = this.revision > 0 ? undefined : await table.get<FeedRecord>(feedKey);
    const base = known?.value.revision ?? this.revision;
    const changes = changesBetween(this.records, records);
    const stamp = stampOfRecords(records);
    const isSame = this.revision > 0 ? changes.put.length + changes.remove.length === 0 : known?.value.stamp === stamp;
    if (!isSame) await table.commit([{ key: feedKey, put: { revision: base + 1, stamp } satisfies FeedRecord }]);
    const isFirst = this.revision === 0;
    this.records = records;
    this.revision = isSame ? base : base + 1;
    if (!isSame && !isFirst) this.tell(base, changes.put, changes.remove);
  }

  private tell(base: number, put: FeedMessage['put'], remove: string[]): void {
    const event = this.encode(base, put, remove);
    this.kept.push({ base, revision: this.revision, event });
    let bytes = this.kept.reduce((sum, kept) => sum + kept.event.length, 0);
    while (this.kept.length > changesKept || bytes > changeBytesKept) bytes -= (this.kept.shift() as Kept).event.length;
    for (const listener of this.listeners) listener(event);
  }
}
