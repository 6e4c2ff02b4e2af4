import type { Err } from '../../base/result.ts';
import type { ByteSink } from '../../base/stream.ts';
import type { InputStream } from './input-stream.ts';
import { type Listener, type Readiness, Signal } from './pollable.ts';
import type { Parent } from './resource.ts';
import { closed, failed, type StreamError } from './stream-error.ts';

/** Where an output stream writes to. Finishing and aborting is its owner's. */
export type OutputTarget = Pick<ByteSink, 'capacity' | 'write' | 'writable' | 'flushed' | 'drained'>;

type Done = undefined | Err<StreamError>;

/** Largest `contents` of blocking-write-and-flush and blocking-write-zeroes-and-flush, by the text of wasi:io. */
export const blockingWriteBytesMax = 4096;

const permitMax = 0xffff_ffff;

/** The resource `wasi:io/streams.output-stream`. */
export class OutputStream implements Parent, Readiness {
  children = 0;
  /** Counts this stream as its child until it is dropped. */
  readonly parent: Parent | null;
  private target: OutputTarget | null;
  private permit = 0;
  private flushing = false;
  private signal: Signal | null = null;

  constructor(target: OutputTarget, parent: Parent | null) {
    this.target = target;
    this.parent = parent;
    if (parent !== null) parent.children++;
  }

  get ready(): boolean {
    const { target } = this;
    if (target === null) return true;
    if (this.flushing && !target.drained) return this.broken;
    try {
      return target.capacity > 0;
    } catch {
      return true;
    }
  }

  listen(listener: Listener): void {
    this.signal ??= new Signal(() => this.wait());
    this.signal.listen(listener);
  }

  unlisten(listener: Listener): void {
    this.signal?.unlisten(listener);
  }

  checkWrite(): number | Err<StreamError> {
    const { target } = this;
    if (target === null) return closed;
    try {
      const { capacity } = target;
      if (this.flushing) this.flushing = !target.drained;
      this.permit = this.flushing ? 0 : Math.min(capacity, permitMax);
      return this.permit;
    } catch (error) {
      return this.fail(error);
    }
  }

  /** Throws, which ends the guest, if check-write did not permit as much. */
  write(contents: Uint8Array): Done {
    this.spend(contents.length);
    return this.put(contents);
  }

  writeZeroes(length: bigint): Done {
    this.spend(length > permitMax ? Number.POSITIVE_INFINITY : Number(length));
    return this.put(new Uint8Array(Number(length)));
  }

  flush(): Done {
    if (this.target === null) return closed;
    try {
      this.flushing = !this.target.drained;
      return undefined;
    } catch (error) {
      return this.fail(error);
    }
  }

  blockingFlush(): Done | Promise<Done> {
    const answer = this.flush();
    return answer === undefined && this.flushing ? this.flushed() : answer;
  }

  blockingWriteAndFlush(contents: Uint8Array): Done | Promise<Done> {
    if (contents.length > blockingWriteBytesMax)
      throw new Error(`cannot write ${contents.length} bytes at once: at most ${blockingWriteBytesMax} with blocking-write-and-flush`);
    const { target } = this;
    if (target === null) return closed;
    try {
      if (this.flushing && !target.drained) return this.writeLater(contents);
      if (target.capacity < contents.length) return this.writeLater(contents);
      this.permit = 0;
      if (contents.length > 0) target.write(contents);
      this.flushing = !target.drained;
      return this.flushing ? this.flushed() : undefined;
    } catch (error) {
      return this.fail(error);
    }
  }

  blockingWriteZeroesAndFlush(length: bigint): Done | Promise<Done> {
    if (length > blockingWriteBytesMax)
      throw new Error(`cannot write ${length} zeroes at once: at most ${blockingWriteBytesMax} with blocking-write-zeroes-and-flush`);
    return this.blockingWriteAndFlush(new Uint8Array(Number(length)));
  }

  /** check-write, then read, then write; returns the number of bytes moved. */
  splice(source: InputStream, length: bigint): number | Err<StreamError> {
    const permit = this.checkWrite();
    if (typeof permit !== 'number') return permit;
    this.permit = 0;
    const chunk = source.read(length < permit ? length : BigInt(permit));
    if (!(chunk instanceof Uint8Array)) return chunk;
    return this.put(chunk) ?? chunk.length;
  }

  blockingSplice(source: InputStream, length: bigint): number | Err<StreamError> | Promise<number | Err<StreamError>> {
    return this.ready && source.ready ? this.splice(source, length) : this.spliceLater(source, length);
  }

  drop(): void {
    this.target = null;
    if (this.parent !== null) this.parent.children--;
  }

  private get broken(): boolean {
    try {
      return this.target === null || this.target.capacity < 0;
    } catch {
      return true;
    }
  }

  protected spend(bytes: number): void {
    if (this.target !== null && bytes > this.permit) throw new Error(`cannot write ${bytes} bytes: check-write permitted ${this.permit}`);
    this.permit -= bytes;
  }

  private put(contents: Uint8Array): Done {
    if (this.target === null) return closed;
    try {
      if (contents.length > 0) this.target.write(contents);
      return undefined;
    } catch (error) {
      return this.fail(error);
    }
  }

  private fail(error: unknown): Err<StreamError> {
    this.target = null;
    return failed(error);
  }

  private async wait(): Promise<void> {
    if (this.target === null) return;
    await (this.flushing ? this.target.flushed() : this.target.writable());
  }

  private writable(): Promise<void> {
    return new Promise((resolve) => this.listen(resolve));
  }

  private async flushed(): Promise<Done> {
    while (this.flushing) {
      await this.writable();
      const permit = this.checkWrite();
      if (typeof permit !== 'number') return permit;
      this.permit = 0;
    }
    return undefined;
  }

  private async writeLater(contents: Uint8Array): Promise<Done> {
    for (let offset = 0; offset < contents.length; ) {
      if (!this.ready) await this.writable();
      const permit = this.checkWrite();
      if (typeof permit !== 'number') return permit;
      this.permit = 0;
      const answer = this.put(contents.subarray(offset, offset + permit));
      if (answer !== undefined) return answer;
      offset += permit;
    }
    return this.blockingFlush();
  }

  private async spliceLater(source: InputStream, length: bigint): Promise<number | Err<StreamError>> {
    while (!this.ready) await this.writable();
    while (!source.ready) await source.readable();
    return this.splice(source, length);
  }
}
