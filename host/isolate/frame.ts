import type { HeaderList } from '../wasi/context.ts';

/**
 * What travels between a gateway thread and an isolate: `kind`, the run it belongs to, then fields by kind.
 *
 * | kind | from | fields |
 * |---|---|---|
 * | open | gateway | holding, `openFlags`, execution id with method, scheme, authority and path, headers; the run of its overlay, if it has one; what it shares, if anything; container and name of its upload, if it has one |
 * | stop | gateway | code, message |
 * | head | isolate | status, headers |
 * | interim | isolate | status, headers |
 * | fail | isolate | error-code, detail |
 * | chunk, end, broken | either | bytes of a body; its trailers; code and reason |
 * | credit | either | bytes of a body that have been taken |
 * | output | isolate | stream, bytes |
 * | record | isolate | level, context, message |
 * | effect | isolate | none: the guest is about to do what cannot be undone |
 * | gathered | isolate | a part of what the execution's overlay holds, before `ended` |
 * | ended | isolate | the end of the run (end-frame.ts); nothing if it was not begun |
 * | answer | isolate | status, headers, body and the end of the run: all of a small response that was whole by then |
 */
export const kinds = {
  open: 1,
  stop: 2,
  head: 3,
  interim: 4,
  fail: 5,
  chunk: 6,
  end: 7,
  broken: 8,
  credit: 9,
  output: 10,
  record: 11,
  effect: 12,
  ended: 13,
  gathered: 14,
  answer: 15,
} as const;

export type Kind = (typeof kinds)[keyof typeof kinds];

/**
 * `body`: the request has one. `placed`: by the supervisor, which is told of the run's end by the execution's id.
 * `overlay`: its effects gather instead of being made. `upload`: it may read the object whose upload it is called for.
 */
export const openFlags = { body: 1, placed: 2, overlay: 4, shared: 8, upload: 16 } as const;

const PREFIX_BYTES = 5;

/** Up to here a loop is faster than a call into native code, for which V8 would move a small array out of its heap. */
const LOOPED_BYTES_MAX = 64;

/** Builds one frame after the other in a buffer that grows as needed; it is valid until the next `begin`. */
export class FrameWriter {
  /** The frame is its first `length` bytes. */
  buffer = Buffer.allocUnsafeSlow(65_536);
  length = 0;
  private view = new DataView(this.buffer.buffer);

  begin(kind: Kind, run: number): this {
    this.view.setUint8(0, kind);
    this.view.setUint32(1, run, true);
    this.length = PREFIX_BYTES;
    return this;
  }

  private room(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.buffer.length * 2, this.length + bytes));
    this.buffer.copy(larger, 0, 0, this.length);
    this.buffer = larger;
    this.view = new DataView(larger.buffer);
  }

  /** A whole number from 0 to 2^32 - 1. */
  number(value: number): this {
    this.room(4);
    this.view.setUint32(this.length, value, true);
    this.length += 4;
    return this;
  }

  decimal(value: number): this {
    this.room(8);
    this.view.setFloat64(this.length, value, true);
    this.length += 8;
    return this;
  }

  text(value: string): this {
    this.room(value.length * 3 + 4);
    const bytes = value === '' ? 0 : this.buffer.write(value, this.length + 4);
    this.view.setUint32(this.length, bytes, true);
    this.length += 4 + bytes;
    return this;
  }

  /** Several at the price of one: what costs is the call into native code. */
  texts(values: readonly string[]): this {
    let whole = '';
    for (const value of values) {
      this.number(value.length);
      whole += value;
    }
    return this.text(whole);
  }

  bytes(value: Uint8Array): this {
    this.number(value.length).room(value.length);
    this.buffer.set(value, this.length);
    this.length += value.length;
    return this;
  }

  headers(list: HeaderList): this {
    this.number(list.length);
    let names = '';
    for (const [name, value] of list) {
      this.number(name.length);
      names += name;
      this.bytes(value);
    }
    return list.length === 0 ? this : this.text(names);
  }
}

/** Reads the fields of one frame in the order in which they were written. */
export class FrameReader {
  private readonly data: Buffer;
  private readonly view: DataView;
  private at = 0;
  kind: Kind = kinds.open;
  run = 0;

  /** @param data memory that frames are in */
  constructor(data: Buffer) {
    this.data = data;
    this.view = new DataView(data.buffer, data.byteOffset, data.length);
  }

  begin(start: number): this {
    this.kind = this.view.getUint8(start) as Kind;
    this.run = this.view.getUint32(start + 1, true);
    this.at = start + PREFIX_BYTES;
    return this;
  }

  number(): number {
    const value = this.view.getUint32(this.at, true);
    this.at += 4;
    return value;
  }

  decimal(): number {
    const value = this.view.getFloat64(this.at, true);
    this.at += 8;
    return value;
  }

  text(): string {
    const length = this.number();
    this.at += length;
    return length === 0 ? '' : this.data.toString('utf8', this.at - length, this.at);
  }

  /** `count` texts that `texts` wrote. */
  texts(count: number): string[] {
    const lengths = this.numbers(count);
    return parts(this.text(), lengths);
  }

  private numbers(count: number): number[] {
    const numbers: number[] = [];
    for (let i = 0; i < count; i++) numbers.push(this.number());
    return numbers;
  }

  /** A copy in memory of this thread's own. */
  bytes(): Uint8Array {
    const length = this.number();
    const start = this.at;
    this.at += length;
    const copy = new Uint8Array(length);
    if (length > LOOPED_BYTES_MAX) this.data.copy(copy, 0, start, this.at);
    else for (let i = 0; i < length; i++) copy[i] = this.data[start + i] as number;
    return copy;
  }

  headers(): HeaderList {
    const count = this.number();
    if (count === 0) return [];
    const lengths: number[] = [];
    const values: Uint8Array[] = [];
    for (let i = 0; i < count; i++) {
      lengths.push(this.number());
      values.push(this.bytes());
    }
    return parts(this.text(), lengths).map((name, i) => [name, values[i] as Uint8Array]);
  }
}

/** The parts of a text by their lengths. */
const parts = (whole: string, lengths: readonly number[]): string[] => {
  let at = 0;
  return lengths.map((length) => {
    at += length;
    return whole.substring(at - length, at);
  });
};
