import type { Overlay, RegionStep } from '../wasi/overlay.ts';
import type { Region } from '../wasi/shared-port.ts';
import { chunkBytes, type RegionMemory } from './region-memory.ts';
import { bytesOfNumber, chunksOf, RegionPages } from './region-pages.ts';
import { noteOf, noteWrites } from './request-resources.ts';

/** What a step takes of an execution's room beside its bytes. */
const stepBytes = 32;
/** Writes for a chunk of a commit: it, and what was there; and for its bucket: the counter and the owner. */
const chunkWrites = 2;
const bucketWrites = 2;

/** What the stored chunks of a region take of a commit. */
export const regionCost = (chunks: number, bytes: number, id: string): { writes: number; bytes: number } => ({
  writes: chunks * chunkWrites + bucketWrites + (noteOf(id) ? noteWrites : 0),
  bytes: chunks * Math.min(chunkBytes, bytes),
});

/**
 * A region as an execution in an overlay has it: it reads what it wrote, and the memory stays as it is until the commit. What
 * a read or compare-and-swap saw must hold at the commit; the sum that `add` answers with is that of the moment.
 */
export class OverlaidRegion implements Region {
  readonly id: string;
  readonly bytes: number;
  readonly #memory: RegionMemory;
  readonly #overlay: Overlay;
  readonly #pages: RegionPages;
  readonly #steps: RegionStep[] = [];
  readonly #changed = new Set<number>();

  constructor(id: string, memory: RegionMemory, overlay: Overlay) {
    this.id = id;
    this.bytes = memory.bytes;
    this.#memory = memory;
    this.#overlay = overlay;
    this.#pages = new RegionPages((chunk) => memory.chunk(chunk));
  }

  read(offset: bigint, length: number): Uint8Array {
    return this.#see(this.#memory.startOf(offset, length), length);
  }

  write(offset: bigint, bytes: Uint8Array): void {
    this.#write(this.#memory.startOf(offset, bytes.length), bytes.slice());
  }

  add(offset: bigint, delta: bigint): bigint {
    const start = this.#memory.indexOf(offset) * 8;
    const last = this.#steps.at(-1);
    if (last?.step === 'add' && last.offset === start) last.delta = BigInt.asIntN(64, last.delta + delta);
    else {
      this.#spend(start, 8, 0);
      this.#push({ step: 'add', offset: start, delta });
    }
    return this.#pages.add(start, delta);
  }

  compareAndSwap(offset: bigint, expected: bigint, replacement: bigint): bigint {
    const start = this.#memory.indexOf(offset) * 8;
    this.#see(start, 8);
    const before = this.#pages.number(start);
    if (before === expected) this.#write(start, bytesOfNumber(replacement));
    return before;
  }

  /** What is written is stored by the commit, not before. */
  async flush(): Promise<void> {}

  #see(start: number, length: number): Uint8Array {
    const bytes = this.#pages.read(start, length);
    const last = this.#steps.at(-1);
    if (last?.step === 'seen' && last.offset === start && last.bytes.length === length) return bytes;
    this.#overlay.spend(0, stepBytes + length);
    this.#push({ step: 'seen', offset: start, bytes });
    return bytes;
  }

  #write(start: number, bytes: Uint8Array): void {
    this.#spend(start, bytes.length, bytes.length);
    this.#push({ step: 'write', offset: start, bytes });
    this.#pages.write(start, bytes);
  }

  #spend(start: number, length: number, own: number): void {
    const chunks = chunksOf(start, length).filter((chunk) => !this.#changed.has(chunk));
    const { writes, bytes } = chunks.length === 0 ? { writes: 0, bytes: 0 } : regionCost(chunks.length, this.bytes, this.id);
    this.#overlay.spend(writes, stepBytes + own + bytes);
    for (const chunk of chunks) this.#changed.add(chunk);
  }

  #push(step: RegionStep): void {
    if (this.#steps.length === 0) this.#overlay.gather(() => [{ kind: 'region', id: this.id, bytes: this.bytes, steps: this.#steps }]);
    this.#steps.push(step);
  }
}
