/**
 * The memory of regions, one a node. A region is loaded when the first thread asks for it, and goes when the last has left
 * and all of it is stored. What is written is stored when somebody flushes, and every second.
 */
import { Problem } from '../base/errors.ts';
import { tenantOf } from '../capability/keyvalue-keys.ts';
import { allocateRegion, bytesOfRegion, chunkBytes, growRegion, RegionMemory } from '../capability/region-memory.ts';
import type { Bucket } from '../wasi/keyvalue-port.ts';

const storeEveryMs = 1000;
const mib = 1024 * 1024;
/** What a region counts for at least: memory of its own has a price, and requests may name very many. */
const footprintMin = 16 * 1024;
const footprint = (bytes: number): number => Math.max(bytes, footprintMin);

export type RegionLimits = { tenantBytesMax: number; allBytesMax: number };
/** Memory of the regions of one tenant, and of all. */
const limitsDefault: RegionLimits = { tenantBytesMax: 64 * mib, allBytesMax: 256 * mib };

export type RegionsOptions = {
  /** The bucket of a region: chunks by their number. */
  open: (id: string) => Bucket;
  /** Has chunks stored as they are when the commit of the store is made, in one order with all other changes of the region. */
  store: (id: string, bytes: number, chunks: readonly number[]) => Promise<unknown>;
  /** Asks threads to let go of regions that nobody uses; resolves when they have. */
  shed: () => Promise<void>;
  onError: (error: unknown) => void;
  limits?: RegionLimits;
};

type Loaded = {
  readonly id: string;
  readonly buffer: SharedArrayBuffer;
  memory: RegionMemory;
  /** Grants by thread, or commit. */
  readonly threads: Map<object, number>;
  storing: Promise<void> | undefined;
};

export type RegionView = { id: string; bytes: number; stored: boolean };

export class Regions {
  readonly #options: RegionsOptions;
  readonly #limits: RegionLimits;
  readonly #loaded = new Map<string, Loaded>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: RegionsOptions) {
    this.#options = options;
    this.#limits = options.limits ?? limitsDefault;
    this.#timer = setInterval(() => this.#storeAll(), storeEveryMs).unref();
  }

  /** Gives a thread the memory of a region, once more. @throws Problem `capacity-exhausted` */
  async enter(thread: object, id: string, bytes: number): Promise<SharedArrayBuffer> {
    if (!this.#fits(id, bytes)) await this.#makeRoom();
    // Asked again in the same turn as it is loaded: others waited for the same room.
    if (!this.#fits(id, bytes)) throw this.#full(bytes);
    const loaded = this.#loaded.get(id) ?? this.#load(id, bytes);
    this.#grow(loaded, bytes);
    loaded.threads.set(thread, (loaded.threads.get(thread) ?? 0) + 1);
    return loaded.buffer;
  }

  /**
   * The memory of a region for a commit, loaded if it is not there; until `leave`. Its execution had it attached, so there was
   * room for it.
   */
  hold(who: object, id: string, bytes: number): { readonly memory: RegionMemory } {
    const loaded = this.#loaded.get(id) ?? this.#load(id, bytes);
    this.#grow(loaded, bytes);
    loaded.threads.set(who, (loaded.threads.get(who) ?? 0) + 1);
    return loaded;
  }

  leave(thread: object, id: string, grants: number): void {
    const loaded = this.#loaded.get(id);
    if (!loaded) return;
    const left = (loaded.threads.get(thread) ?? 0) - grants;
    if (left > 0) loaded.threads.set(thread, left);
    else this.#left(loaded, thread);
  }

  /** The thread has ended. */
  lost(thread: object): void {
    for (const loaded of this.#loaded.values()) if (loaded.threads.has(thread)) this.#left(loaded, thread);
  }

  /** Resolves when all that was written before is stored. @throws Problem `store-full`, `not-found` (the tenant) */
  async flush(id: string): Promise<void> {
    const loaded = this.#loaded.get(id);
    if (!loaded) return;
    await loaded.storing?.catch(() => undefined);
    await this.#store(loaded);
  }

  /** Who has a region now, and what those of its tenant take together: what an attachment is decided from. */
  use(id: string): { threads: number; tenantBytes: number } {
    let tenantBytes = 0;
    for (const loaded of this.#loaded.values()) if (tenantOf(loaded.id) === tenantOf(id)) tenantBytes += footprint(bytesOfRegion(loaded.buffer));
    return { threads: this.#loaded.get(id)?.threads.size ?? 0, tenantBytes };
  }

  views(): RegionView[] {
    return [...this.#loaded.values()].map(({ id, buffer, memory, storing }) => ({ id, bytes: bytesOfRegion(buffer), stored: !storing && !memory.isMarked }));
  }

  /** Forgets the regions whose ids begin so: whoever they belong to is gone. Resolves when nothing more of them is stored. */
  async forget(prefix: string): Promise<void> {
    const gone = [...this.#loaded.values()].filter(({ id }) => id.startsWith(prefix));
    for (const { id } of gone) this.#loaded.delete(id);
    await Promise.all(gone.map(({ storing }) => storing?.catch(() => undefined)));
  }

  /** Stores what is not stored. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#loaded.keys()].map((id) => this.flush(id).catch(this.#options.onError)));
  }

  #fits(id: string, bytes: number): boolean {
    const present = this.#loaded.get(id);
    if (present && bytesOfRegion(present.buffer) >= bytes) return true;
    let [own, all] = [footprint(bytes), footprint(bytes)];
    for (const loaded of this.#loaded.values()) {
      if (loaded === present) continue;
      const size = footprint(bytesOfRegion(loaded.buffer));
      all += size;
      if (tenantOf(loaded.id) === tenantOf(id)) own += size;
    }
    return own <= this.#limits.tenantBytesMax && all <= this.#limits.allBytesMax;
  }

  #grow(loaded: Loaded, bytes: number): void {
    if (bytesOfRegion(loaded.buffer) >= bytes) return;
    growRegion(loaded.buffer, bytes);
    loaded.memory = new RegionMemory(loaded.buffer, bytesOfRegion(loaded.buffer));
  }

  async #makeRoom(): Promise<void> {
    await this.#options.shed();
    await Promise.all([...this.#loaded.values()].filter(({ threads }) => threads.size === 0).map((loaded) => this.#storeAndDrop(loaded)));
  }

  #full(bytes: number): Problem {
    const { tenantBytesMax, allBytesMax } = this.#limits;
    return new Problem(
      'capacity-exhausted',
      `cannot attach a region of ${bytes} bytes: those in use take at most ${tenantBytesMax} bytes of one tenant, ${allBytesMax} of all`,
    );
  }

  /** A region that was stored when it was larger keeps its size: what is beyond must not be lost. */
  #load(id: string, bytes: number): Loaded {
    const bucket = this.#options.open(id);
    const chunks = bucket.list(undefined).keys.map((key): [number, Uint8Array] => [Number(key), bucket.get(key) ?? new Uint8Array()]);
    const stored = chunks.reduce((most, [chunk, { length }]) => Math.max(most, chunk * chunkBytes + length), 0);
    const buffer = allocateRegion(Math.max(bytes, stored));
    const memory = new RegionMemory(buffer, bytesOfRegion(buffer));
    for (const [chunk, value] of chunks) memory.load(chunk, value);
    const loaded: Loaded = { id, buffer, memory, threads: new Map(), storing: undefined };
    this.#loaded.set(id, loaded);
    return loaded;
  }

  #left(loaded: Loaded, thread: object): void {
    loaded.threads.delete(thread);
    if (loaded.threads.size === 0) void this.#storeAndDrop(loaded);
  }

  /** What cannot be stored now is kept, and tried again; a tenant that is gone takes its regions along. */
  async #storeAndDrop(loaded: Loaded): Promise<void> {
    try {
      await this.flush(loaded.id);
    } catch (error) {
      if (error instanceof Problem && error.code === 'not-found') this.#loaded.delete(loaded.id);
      return;
    }
    if (loaded.threads.size === 0 && !loaded.memory.isMarked && this.#loaded.get(loaded.id) === loaded) this.#loaded.delete(loaded.id);
  }

  #storeAll(): void {
    for (const loaded of this.#loaded.values()) {
      if (loaded.threads.size === 0) void this.#storeAndDrop(loaded);
      else if (!loaded.storing) this.#store(loaded).catch(this.#options.onError);
    }
  }

  #store(loaded: Loaded): Promise<void> {
    loaded.storing ??= this.#write(loaded).finally(() => {
      loaded.storing = undefined;
    });
    return loaded.storing;
  }

  /** All chunks that were written go into one commit. */
  async #write({ id, buffer, memory }: Loaded): Promise<void> {
    const marked = memory.takeMarked();
    if (marked.length === 0) return;
    try {
      await this.#options.store(id, bytesOfRegion(buffer), marked);
    } catch (error) {
      memory.markAgain(marked);
      throw error;
    }
  }
}
