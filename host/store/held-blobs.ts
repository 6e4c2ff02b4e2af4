/**
 * Bytes in Blobs that records in the Table refer to. A *holder* is a record for each thing that refers to bytes, written
 * and removed in the commit of that thing: bytes without one are garbage. Puts and deletions may overlap as they like: a
 * put claims its digest before its bytes can be seen, and claimed bytes are not deleted. One for each node, in the thread
 * that writes: it collects from `start` on; `sweep` is to be called when the node starts, and now and then.
 * What can be made again is *cached*: it has no holder either, and takes no more room than there is for all of it.
 */
import type { BlobInfo, Blobs, Digest, PutOptions } from './blobs.ts';
import type { Table, Write } from './table.ts';

/** Bytes that nobody holds yet. They stay at least until `release`, to be called when a holder is committed, or not wanted any more. */
export type Claim = BlobInfo & { release(): void };

export type HeldBlobsOptions = {
  table: Table;
  blobs: Blobs;
  /** How long bytes stay after their last holder, for those who are reading them; default 0. */
  graceMs?: number;
  /** Most bytes that are cached; default: no limit. */
  cachedBytesMax?: number;
  /** `performance.now()`. */
  nowMs?: () => number;
};

const collectEveryMs = 5000;
export const holdersPrefix = '~node/holder/';
const holderPrefix = (digest: Digest): string => `${holdersPrefix}${digest}/`;

/** The record by which `who` refers to bytes. `who` is unique among all that refer to anything: `tenant`, or `tenant/bucket/key`. */
export const holderKey = (digest: Digest, who: string): string => holderPrefix(digest) + who;
export const hold = (digest: Digest, who: string): Write => ({ key: holderKey(digest, who), put: true });
export const letGo = (digest: Digest, who: string): Write => ({ key: holderKey(digest, who), delete: true });

export class HeldBlobs {
  readonly #table: Table;
  readonly #blobs: Blobs;
  readonly #graceMs: number;
  readonly #cachedBytesMax: number;
  readonly #nowMs: () => number;
  readonly #claims = new Map<Digest, number>();
  /** Being looked at; taken out by a claim that comes meanwhile. */
  readonly #examined = new Set<Digest>();
  readonly #deleting = new Map<Digest, Promise<void>>();
  /** Bytes that may have lost their last holder, and from when on they may go; in the order of that. */
  readonly #doubtful = new Map<Digest, number>();
  /** What is cached, the longest unused first. */
  readonly #cached = new Map<Digest, number>();
  #cachedBytes = 0;
  #evicted = 0;
  #collecting: Promise<void> = Promise.resolve();

  constructor({ table, blobs, graceMs = 0, cachedBytesMax = Number.POSITIVE_INFINITY, nowMs = () => performance.now() }: HeldBlobsOptions) {
    this.#table = table;
    this.#blobs = blobs;
    this.#graceMs = graceMs;
    this.#cachedBytesMax = cachedBytesMax;
    this.#nowMs = nowMs;
  }

  /** As `Blobs.put`; a store that is full is first rid of all that nobody holds. */
  async put(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, options: PutOptions): Promise<Claim> {
    let claim: (() => void) | undefined;
    const onDigest = (digest: Digest): void => {
      options.onDigest?.(digest);
      claim = this.claim(digest);
    };
    try {
      const info = await this.#blobs.put(source, { ...options, onDigest });
      return { ...info, release: claim as unknown as () => void };
    } catch (error) {
      (claim as (() => void) | undefined)?.();
      if ((error as { code?: string }).code === 'store-full') await this.collect(true);
      throw error;
    }
  }

  /** As `Blobs.get`. */
  get(digest: Digest): Promise<Uint8Array | undefined> {
    return this.#blobs.get(digest);
  }

  /** Keeps bytes until the returned function is called, held or not. Says nothing of whether they are there. */
  claim(digest: Digest): () => void {
    this.#examined.delete(digest);
    this.#claims.set(digest, (this.#claims.get(digest) ?? 0) + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const rest = (this.#claims.get(digest) ?? 0) - 1;
      if (rest > 0) this.#claims.set(digest, rest);
      else this.#claims.delete(digest);
      this.doubt(digest);
      if (this.#cached.has(digest)) this.#trim();
    };
  }

  /** Bytes without a holder that can be made again; to be called whenever somebody uses them, while they are claimed. */
  cache(digest: Digest, bytes: number): void {
    this.#uncache(digest);
    this.#cached.set(digest, bytes);
    this.#cachedBytes += bytes;
    this.#trim();
  }

  /** How much is cached, and how often something went because there was no room. */
  get cached(): { bytes: number; evicted: number } {
    return { bytes: this.#cachedBytes, evicted: this.#evicted };
  }

  /** Claims bytes that are there; undefined if they are not. */
  async claimPresent(digest: Digest): Promise<(() => void) | undefined> {
    const release = this.claim(digest);
    await this.#deleting.get(digest);
    if ((await this.#blobs.size(digest)) !== undefined) return release;
    release();
    return undefined;
  }

  /** To be called after a commit that removed a holder: the bytes go if it was the last. */
  doubt(digest: Digest): void {
    this.#doubtful.delete(digest);
    this.#doubtful.set(digest, this.#nowMs() + this.#graceMs);
  }

  /** Deletes what nobody holds. @param all also what is within its time of grace */
  collect(all = false): Promise<void> {
    const run = this.#collecting.then(() => this.#collect(all));
    this.#collecting = run.catch(() => undefined);
    return run;
  }

  /** Collects now and then, until the returned function is called. */
  start(onError: (error: unknown) => void): () => void {
    const timer = setInterval(() => void this.collect().catch(onError), Math.min(collectEveryMs, this.#graceMs / 4));
    return () => clearInterval(timer);
  }

  /** Looks at all bytes that there are, for what a crash left behind, and collects. */
  async sweep(): Promise<void> {
    for await (const digest of this.#blobs.digests()) if (!this.#doubtful.has(digest)) this.#doubtful.set(digest, this.#nowMs());
    await this.collect();
  }

  #uncache(digest: Digest): void {
    this.#cachedBytes -= this.#cached.get(digest) ?? 0;
    this.#cached.delete(digest);
  }

  /** Lets go at once of what is beyond the limit, but for what somebody claims: that comes up again when it is released. */
  #trim(): void {
    const before = this.#evicted;
    for (const digest of this.#cached.keys()) {
      if (this.#cachedBytes <= this.#cachedBytesMax) break;
      if (this.#claims.has(digest)) continue;
      this.#uncache(digest);
      this.#evicted++;
      this.#doubtful.set(digest, this.#nowMs());
    }
    // What fails here is tried again, and told, when it is time to collect.
    if (this.#evicted > before) void this.collect().catch(() => undefined);
  }

  async #collect(all: boolean): Promise<void> {
    this.#table.refresh();
    for (const [digest, dueMs] of [...this.#doubtful]) {
      if (this.#claims.has(digest)) this.#doubtful.delete(digest);
      else await this.#examine(digest, all || dueMs <= this.#nowMs());
    }
  }

  async #delete(digest: Digest): Promise<void> {
    this.#uncache(digest);
    const deleting = this.#blobs.delete(digest).then(() => undefined);
    this.#deleting.set(
      digest,
      deleting.catch(() => undefined),
    );
    await deleting.finally(() => this.#deleting.delete(digest));
  }

  async #examine(digest: Digest, due: boolean): Promise<void> {
    this.#examined.add(digest);
    const { entries } = await this.#table.scan({ prefix: holderPrefix(digest), limit: 1 });
    const unheld = entries.length === 0;
    if (due || !unheld) this.#doubtful.delete(digest);
    if (!unheld) this.#uncache(digest);
    // A claim that came meanwhile has taken it out: its put may have relied on the bytes, and even be done by now.
    if (unheld && due && this.#examined.has(digest)) await this.#delete(digest);
    this.#examined.delete(digest);
  }
}
