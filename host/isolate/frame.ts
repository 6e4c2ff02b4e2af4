import type { HeaderList } from '../wasi/context.ts';

/**
 * What travels between a gateway thread and an isolate: `kind`, the run it belongs to, then fields by kind.
 *
 * | kind | from | fields |
 * |---|---|---|
 * | open | gateway | holding, execution id, `openFlags`, method, scheme, authority, path, headers; the run of its overlay, if it has one; what it shares, if anything; container and name of its upload, if it has one |
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
 * | ended | isolate | the end of the run, as JSON |
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
} as const;

export type Kind = (typeof kinds)[keyof typeof kinds];

/**
 * `body`: the request has one. `placed`: by the supervisor, which is told of the run's end by the execution's id.
 * `overlay`: its effects gather instead of being made. `upload`: it may read the object whose upload it is called for.
 */
export const openFlags = { body: 1, placed: 2, overlay: 4, shared: 8, upload: 16 } as const;

const PREFIX_BYTES = 5;

/** Builds one frame after the other in a buffer that grows as needed; `take` is valid until the next `begin`. */
export class FrameWriter {
  private buffer = Buffer.allocUnsafe(65_536);
  private at = 0;

  begin(kind: Kind, run: number): this {
    this.at = 0;
    this.buffer[0] = kind;
    this.buffer.writeUInt32LE(run, 1);
    this.at = PREFIX_BYTES;
    return this;
  }

  private room(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.at + bytes));
    this.buffer.copy(larger, 0, 0, this.at);
    this.buffer = larger;
  }

  number(value: number): this {
    this.room(4);
    this.buffer.writeUInt32LE(value, this.at);
    this.at += 4;
    return this;
  }

  text(value: string): this {
    this.room(value.length * 3 + 4);
    const bytes = this.buffer.write(value, this.at + 4);
    this.buffer.writeUInt32LE(bytes, this.at);
    this.at += 4 + bytes;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.room(value.length + 4);
    this.buffer.writeUInt32LE(value.length, this.at);
    this.buffer.set(value, this.at + 4);
    this.at += 4 + value.length;
    return this;
  }

  headers(list: HeaderList): this {
    this.number(list.length);
    for (const [name, value] of list) this.text(name).bytes(value);
    return this;
  }

  take(): Uint8Array {
    return this.buffer.subarray(0, this.at);
  }
}

/** Reads the fields of one frame in the order in which they were written. */
export class FrameReader {
  private data: Buffer = Buffer.alloc(0);
  private at = 0;
  kind: Kind = kinds.open;
  run = 0;

  begin(data: Buffer, start: number): this {
    this.data = data;
    this.kind = data[start] as Kind;
    this.run = data.readUInt32LE(start + 1);
    this.at = start + PREFIX_BYTES;
    return this;
  }

  number(): number {
    const value = this.data.readUInt32LE(this.at);
    this.at += 4;
    return value;
  }

  text(): string {
    const length = this.number();
    this.at += length;
    return this.data.toString('utf8', this.at - length, this.at);
  }

  /** A copy in memory of this thread's own. */
  bytes(): Uint8Array {
    const length = this.number();
    this.at += length;
    const copy = new Uint8Array(length);
    this.data.copy(copy, 0, this.at - length, this.at);
    return copy;
  }

  headers(): HeaderList {
    const list: HeaderList = [];
    for (let left = this.number(); left > 0; left--) list.push([this.text(), this.bytes()]);
    return list;
  }
}
