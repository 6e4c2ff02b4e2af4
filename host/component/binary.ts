import { Problem } from '../base/errors.ts';

/** One section of a core module or component: its id and a reader over its contents. */
export type Section = { id: number; contents: Reader };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/**
 * Reads the WebAssembly binary format from `bytes[start, end)`. Every read is bounds-checked and throws
 * `Problem('module-invalid')` with the byte offset. Views that it hands out share the memory of `bytes`.
 *
 * Format: https://webassembly.github.io/spec/core/binary/
 */
export class Reader {
  readonly bytes: Uint8Array;
  readonly end: number;
  offset: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = start;
    this.end = end;
  }

  get done(): boolean {
    return this.offset >= this.end;
  }

  get remaining(): number {
    return this.end - this.offset;
  }

  /** Throws the problem `cannot read the binary at byte <offset>: <why>`. */
  fail(why: string, offset: number = this.offset): never {
    throw new Problem('module-invalid', `cannot read the binary at byte ${offset}: ${why}`);
  }

  byte(): number {
    if (this.offset >= this.end) this.fail('it ends too early');
    return this.bytes[this.offset++] as number;
  }

  /** The next byte, not consumed; -1 at the end. */
  peek(): number {
    return this.offset < this.end ? (this.bytes[this.offset] as number) : -1;
  }

  u32(): number {
    const first = this.byte();
    return first < 0x80 ? first : this.unsigned(first);
  }

  private unsigned(first: number): number {
    let value = first & 0x7f;
    for (let shift = 7; shift <= 28; shift += 7) {
      const byte = this.byte();
      if (shift === 28 && byte > 0x0f) this.fail('the integer does not fit in 32 bits');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    return this.fail('the integer does not fit in 32 bits');
  }

  s32(): number {
    return Number(this.signed(32));
  }

  /** A block type or heap type: negative values are type codes, others indices. */
  s33(): number {
    const first = this.peek();
    if (first >= 0 && first < 0x80) {
      this.offset++;
      return first < 0x40 ? first : first - 0x80;
    }
    return Number(this.signed(33));
  }

  s64(): bigint {
    return this.signed(64);
  }

  u64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (value >= 1n << 64n) break;
      return value;
    }
    return this.fail('the integer does not fit in 64 bits');
  }

  private signed(bits: number): bigint {
    let value = 0n;
    const width = BigInt(bits);
    for (let shift = 0n; shift < width; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (byte & 0x40) value -= 1n << (shift + 7n);
      if (BigInt.asIntN(bits, value) !== value) break;
      return value;
    }
    return this.fail(`the integer does not fit in ${bits} signed bits`);
  }

  /** Passes over an integer of up to 64 bits without decoding it. */
  skipInteger(): void {
    for (let length = 1; this.byte() >= 0x80; length++) if (length >= 10) this.fail('the integer is too long');
  }

  skip(length: number): void {
    if (length > this.end - this.offset) this.fail(`${length} bytes are wanted, ${this.end - this.offset} are left`);
    this.offset += length;
  }

  /** A view of the next `length` bytes. */
  take(length: number): Uint8Array {
    const start = this.offset;
    this.skip(length);
    return this.bytes.subarray(start, this.offset);
  }

  /** A reader over the next `length` bytes, which this one passes over. Its offsets are those of the whole. */
  within(length: number): Reader {
    const start = this.offset;
    this.skip(length);
    return new Reader(this.bytes, start, this.offset);
  }

  /** A reader at the same place that moves by itself. */
  fork(): Reader {
    return new Reader(this.bytes, this.offset, this.end);
  }

  /** The count before a vector; refused above `max`, or if that many items of at least a byte each cannot follow. */
  count(what: string, max: number): number {
    const at = this.offset;
    const count = this.u32();
    if (count > max) this.fail(`at most ${max} ${what} are allowed, got ${count}`, at);
    if (count > this.remaining) this.fail(`${count} ${what} are announced, ${this.remaining} bytes are left`, at);
    return count;
  }

  /** A name: length and strict UTF-8. */
  name(bytesMax = 100_000): string {
    const at = this.offset;
    const length = this.u32();
    if (length > bytesMax) this.fail(`a name may have ${bytesMax} bytes, got ${length}`, at);
    const bytes = this.take(length);
    try {
      return utf8.decode(bytes);
    } catch {
      return this.fail('the name is not UTF-8', at);
    }
  }

  /** Refuses bytes left over after what was read. */
  expectEnd(what: string): void {
    if (!this.done) this.fail(`${this.remaining} bytes are left over after ${what}`);
  }

  /** The sections from here to the end, in order. */
  *sections(): Generator<Section> {
    while (!this.done) {
      const id = this.byte();
      const contents = this.within(this.u32());
      yield { id, contents };
    }
  }
}

/** Builds WebAssembly binary in a buffer that grows. */
export class Writer {
  private buffer: Uint8Array;
  /** Bytes written so far. */
  length = 0;

  constructor(capacity = 256) {
    this.buffer = new Uint8Array(Math.max(16, capacity));
  }

  /** What was written: a view, valid until the next write. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  private reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.buffer.length * 2));
    grown.set(this.bytes);
    this.buffer = grown;
  }

  byte(value: number): this {
    if (this.length === this.buffer.length) this.reserve(1);
    this.buffer[this.length++] = value;
    return this;
  }

  /** Overwrites a byte that was written before. */
  patch(at: number, value: number): void {
    this.buffer[at] = value;
  }

  /** Forgets what was written after the first `length` bytes; keeps the buffer. */
  truncate(length: number): void {
    this.length = Math.min(this.length, length);
  }

  raw(bytes: ArrayLike<number>): this {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  /** Copies `source[start, end)`. */
  copy(source: Uint8Array, start: number, end: number): this {
    if (end - start > 24) return this.raw(source.subarray(start, end));
    this.reserve(end - start);
    for (let at = start; at < end; at++) this.buffer[this.length++] = source[at] as number;
    return this;
  }

  u32(value: number): this {
    this.reserve(5);
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.buffer[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.buffer[this.length++] = rest;
    return this;
  }

  s32(value: number): this {
    this.reserve(5);
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && !(low & 0x40)) || (rest === -1 && low & 0x40)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  s64(value: bigint): this {
    let rest = BigInt.asIntN(64, value);
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && !(low & 0x40)) || (rest === -1n && low & 0x40)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  name(text: string): this {
    return this.sized(encoder.encode(text));
  }

  /** The length of `bytes`, then `bytes`. */
  sized(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }

  section(id: number, contents: Uint8Array): this {
    return this.byte(id).sized(contents);
  }
}
