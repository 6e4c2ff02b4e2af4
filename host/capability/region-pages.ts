import { Problem } from '../base/errors.ts';
import type { RegionStep } from '../wasi/overlay.ts';
import { chunkBytes } from './region-memory.ts';

const numberBytes = 8;

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const bytesOfNumber = (number: bigint): Uint8Array => {
  const bytes = new Uint8Array(numberBytes);
  viewOf(bytes).setBigInt64(0, number, true);
  return bytes;
};

/** The chunks that have some of these bytes. */
export const chunksOf = (offset: number, length: number): number[] => {
  const first = Math.floor(offset / chunkBytes);
  const count = length === 0 ? 0 : Math.floor((offset + length - 1) / chunkBytes) - first + 1;
  return Array.from({ length: count }, (_, index) => first + index);
};

const chunksOfStep = (one: RegionStep): number[] => {
  if (one.step === 'store') return [one.chunk];
  return chunksOf(one.offset, one.step === 'add' ? numberBytes : one.bytes.length);
};

/** The chunks that steps need to be made. */
export const chunksTouched = (steps: readonly RegionStep[]): Set<number> => new Set(steps.flatMap(chunksOfStep));

/** The chunks that steps have stored. */
export const chunksChanged = (steps: readonly RegionStep[]): Set<number> => new Set(steps.filter(({ step }) => step !== 'seen').flatMap(chunksOfStep));

/** A region as one execution leaves it: copies of the chunks that it touched. Offsets are checked by whoever calls. */
export class RegionPages {
  readonly #pages = new Map<number, Uint8Array>();
  readonly #copyOf: (chunk: number) => Uint8Array;

  /** @param copyOf the bytes of a chunk, for the pages to have */
  constructor(copyOf: (chunk: number) => Uint8Array) {
    this.#copyOf = copyOf;
  }

  page(chunk: number): Uint8Array {
    const known = this.#pages.get(chunk);
    if (known) return known;
    const page = this.#copyOf(chunk);
    this.#pages.set(chunk, page);
    return page;
  }

  /** A copy. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (const chunk of chunksOf(offset, length)) {
      const start = chunk * chunkBytes;
      bytes.set(this.page(chunk).subarray(Math.max(0, offset - start), offset + length - start), Math.max(0, start - offset));
    }
    return bytes;
  }

  write(offset: number, bytes: Uint8Array): void {
    for (const chunk of chunksOf(offset, bytes.length)) {
      const start = chunk * chunkBytes;
      this.page(chunk).set(bytes.subarray(Math.max(0, start - offset), start + chunkBytes - offset), Math.max(0, offset - start));
    }
  }

  number(offset: number): bigint {
    return viewOf(this.read(offset, numberBytes)).getBigInt64(0, true);
  }

  /** Answers with the sum. */
  add(offset: number, delta: bigint): bigint {
    const sum = BigInt.asIntN(64, this.number(offset) + delta);
    this.write(offset, bytesOfNumber(sum));
    return sum;
  }
}

/** Does the steps again. @throws Problem `conflict` if a read would see something else now */
export const replay = (pages: RegionPages, steps: readonly RegionStep[]): void => {
  for (const one of steps) {
    if (one.step === 'add') pages.add(one.offset, one.delta);
    else if (one.step === 'write') pages.write(one.offset, one.bytes);
    else if (one.step === 'seen' && Buffer.compare(pages.read(one.offset, one.bytes.length), one.bytes) !== 0)
      throw new Problem('conflict', 'cannot commit: the region was changed meanwhile');
  }
};
