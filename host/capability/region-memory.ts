import type { RegionStep } from '../wasi/overlay.ts';
import { SharedRefusal } from '../wasi/shared-port.ts';

/** Parts of a region that are stored together. */
export const chunkBytes = 64 * 1024;
export const regionBytesMax = 4 * 1024 * 1024;

export const regionBytesDefault = 4096;

const chunksMax = regionBytesMax / chunkBytes;
/** Before the bytes: for each chunk whether it was written since it was last stored. */
const headBytes = chunksMax * 4;

const outOfBounds = (): SharedRefusal => new SharedRefusal({ tag: 'out-of-bounds' });

/** Memory of a region of at least `bytes`; it can grow, and all threads that have it see that. */
export const allocateRegion = (bytes: number): SharedArrayBuffer =>
  new SharedArrayBuffer(headBytes + Math.ceil(bytes / 8) * 8, { maxByteLength: headBytes + regionBytesMax });

export const growRegion = (buffer: SharedArrayBuffer, bytes: number): void => {
  const wanted = headBytes + Math.ceil(bytes / 8) * 8;
  if (buffer.byteLength < wanted) buffer.grow(wanted);
};

export const bytesOfRegion = (buffer: SharedArrayBuffer): number => buffer.byteLength - headBytes;

/**
 * A view of the memory of a region, of its first `bytes`. Whoever writes marks the chunks afterwards; whoever stores them
 * takes the marks before it copies, so nothing that was written before a mark is lost.
 */
export class RegionMemory {
  readonly bytes: number;
  private readonly data: Uint8Array;
  private readonly numbers: BigInt64Array;
  private readonly marks: Int32Array;

  constructor(buffer: SharedArrayBuffer, bytes: number) {
    this.bytes = bytes;
    this.data = new Uint8Array(buffer, headBytes, bytes);
    this.numbers = new BigInt64Array(buffer, headBytes, Math.floor(bytes / 8));
    this.marks = new Int32Array(buffer, 0, chunksMax);
  }

  /** @throws SharedRefusal `out-of-bounds`, as all that follow */
  read(offset: bigint, length: number): Uint8Array {
    const start = this.startOf(offset, length);
    return this.data.slice(start, start + length);
  }

  write(offset: bigint, bytes: Uint8Array): void {
    const start = this.startOf(offset, bytes.length);
    this.data.set(bytes, start);
    this.mark(start, bytes.length);
  }

  add(offset: bigint, delta: bigint): bigint {
    const index = this.indexOf(offset);
    const before = Atomics.add(this.numbers, index, delta);
    this.mark(index * 8, 8);
    return BigInt.asIntN(64, before + delta);
  }

  compareAndSwap(offset: bigint, expected: bigint, replacement: bigint): bigint {
    const index = this.indexOf(offset);
    const before = Atomics.compareExchange(this.numbers, index, expected, replacement);
    if (before === expected) this.mark(index * 8, 8);
    return before;
  }

  /** The chunks that were written since this was asked last; they count as stored. */
  takeMarked(): number[] {
    const marked: number[] = [];
    for (let chunk = 0; chunk * chunkBytes < this.bytes; chunk++) if (Atomics.exchange(this.marks, chunk, 0) === 1) marked.push(chunk);
    return marked;
  }

  get isMarked(): boolean {
    for (let chunk = 0; chunk * chunkBytes < this.bytes; chunk++) if (Atomics.load(this.marks, chunk) === 1) return true;
    return false;
  }

  markAgain(chunks: readonly number[]): void {
    for (const chunk of chunks) Atomics.store(this.marks, chunk, 1);
  }

  chunk(index: number): Uint8Array {
    return this.data.slice(index * chunkBytes, (index + 1) * chunkBytes);
  }

  /** Sets what a chunk had when it was stored; a longer one is cut. */
  load(index: number, bytes: Uint8Array): void {
    this.data.set(bytes.subarray(0, Math.max(0, this.bytes - index * chunkBytes)), index * chunkBytes);
  }

  /** Makes what is committed, and so is stored already: it needs no mark. */
  settle(step: RegionStep): void {
    if (step.step === 'write') this.data.set(step.bytes, step.offset);
    else if (step.step === 'add') Atomics.add(this.numbers, step.offset / 8, step.delta);
  }

  private mark(start: number, length: number): void {
    const last = Math.floor((start + length - 1) / chunkBytes);
    for (let chunk = Math.floor(start / chunkBytes); chunk <= last; chunk++) if (Atomics.load(this.marks, chunk) === 0) Atomics.store(this.marks, chunk, 1);
  }

  startOf(offset: bigint, length: number): number {
    if (offset < 0n || offset + BigInt(length) > BigInt(this.bytes)) throw outOfBounds();
    return Number(offset);
  }

  /** Of an aligned number of 64 bits. */
  indexOf(offset: bigint): number {
    const start = this.startOf(offset, 8);
    if (start % 8 !== 0) throw outOfBounds();
    return start / 8;
  }
}
