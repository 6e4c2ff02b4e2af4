/**
 * Executions whose answer depends on their request alone: generators of objects. Clocks stand still, random numbers come from
 * a seed, and of the request only what was meant for the guest is there, in pieces of the same size each time.
 */
import { createHash } from 'node:crypto';
import type { ByteSource } from '../base/stream.ts';
import type { SourceObject } from './blobstore-port.ts';
import type { ExecutionPorts, GuestRequest, WasiContext } from './context.ts';

/** A moment that every format of dates can hold. */
export const frozenMs = Date.UTC(2000, 0, 1);
export const frozenNs = 1_000_000_000n;

/** Headers by which the node tells what an execution is to be given; the guest does not see them. */
export const fixedHeaders = { seed: 'nacelle-seed', sources: 'nacelle-sources' } as const;

type Fixed = { seed: string; sources: readonly SourceObject[] };
const initial: Fixed = { seed: '', sources: [] };
const known = new WeakMap<ExecutionPorts, Fixed>();

/** What an execution was given; the same for all while an instance is initialised. */
export const fixedOf = (ports: ExecutionPorts): Fixed => known.get(ports) ?? initial;

type Stream = { ports: ExecutionPorts; block: Uint8Array; used: number; count: number };
const streams = new WeakMap<WasiContext, Stream>();

const blockOf = (seed: string, count: number): Uint8Array => createHash('sha256').update(`${seed}\n${count}`).digest();

/** Fills `target` with the next numbers of this execution. */
export const fillSeeded = (context: WasiContext, target: Uint8Array): Uint8Array => {
  const ports = context.execution;
  const { seed } = fixedOf(ports);
  let stream = streams.get(context);
  if (stream?.ports !== ports) {
    stream = { ports, block: blockOf(seed, 0), used: 0, count: 0 };
    streams.set(context, stream);
  }
  for (let i = 0; i < target.length; i++) {
    if (stream.used === stream.block.length) Object.assign(stream, { block: blockOf(seed, ++stream.count), used: 0 });
    target[i] = stream.block[stream.used++] as number;
  }
  return target;
};

const pieceBytes = 64 * 1024;

/** Gives the bytes of another source in pieces that do not depend on how they arrived. */
class SteadySource implements ByteSource {
  readonly #source: ByteSource;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #ended = false;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  get ready(): boolean {
    this.#fill();
    return this.#ended || this.#heldBytes >= pieceBytes;
  }

  read(max: number): Uint8Array | null {
    if (!this.ready) return new Uint8Array(0);
    if (this.#heldBytes === 0) return null;
    const whole = this.#held.length === 1 ? (this.#held[0] as Uint8Array) : Buffer.concat(this.#held);
    const piece = whole.subarray(0, Math.min(max, pieceBytes));
    this.#held = piece.length < whole.length ? [whole.subarray(piece.length)] : [];
    this.#heldBytes -= piece.length;
    return piece;
  }

  async readable(): Promise<void> {
    while (!this.ready) await this.#source.readable();
  }

  trailers(): undefined {}

  cancel(): void {
    this.#source.cancel();
  }

  #fill(): void {
    while (!this.#ended && this.#heldBytes < pieceBytes) {
      const chunk = this.#source.read(pieceBytes);
      if (chunk === null) this.#ended = true;
      else if (chunk.length === 0) return;
      else {
        this.#held.push(chunk);
        this.#heldBytes += chunk.length;
      }
    }
  }
}

const shownHeaders = ['content-type'];

/** The request as a deterministic guest sees it; notes what was given with it. */
export const fixRequest = ({ method, pathWithQuery, headers, body }: GuestRequest, ports: ExecutionPorts): GuestRequest => {
  const header = (name: string): string => Buffer.from(headers.find(([found]) => found === name)?.[1] ?? []).toString('latin1');
  known.set(ports, { seed: header(fixedHeaders.seed), sources: JSON.parse(decodeURIComponent(header(fixedHeaders.sources)) || '[]') as SourceObject[] });
  const shown = headers.filter(([name]) => shownHeaders.includes(name));
  return { method, scheme: 'http', authority: 'generator', pathWithQuery, headers: shown, body: body && new SteadySource(body) };
};
