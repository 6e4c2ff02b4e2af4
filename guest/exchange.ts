// What incoming and outgoing exchanges of wasi:http share.
import type { Pair } from './headers.ts';
import { decode } from './text.ts';

const READ_BYTES = 65536;
const CHUNK_BYTES = 4096;
const METHODS = new Set(['get', 'head', 'post', 'put', 'delete', 'connect', 'options', 'trace', 'patch']);

export function concat(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The body of a message, read only when it is asked for. */
export function readBody(incoming): Uint8Array {
  const body = incoming.consume();
  const stream = body.stream();
  const parts: Uint8Array[] = [];
  try {
    for (;;) parts.push(stream.blockingRead(READ_BYTES));
  } catch (error) {
    if (error.payload?.tag !== 'closed') throw error;
    return concat(parts);
  } finally {
    stream[Symbol.dispose]();
    body[Symbol.dispose]();
  }
}

export function writeBody(body, bytes: Uint8Array): void {
  if (bytes.length === 0) return;
  const stream = body.write();
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) stream.blockingWriteAndFlush(bytes.subarray(at, at + CHUNK_BYTES));
  stream[Symbol.dispose]();
}

export function headersOf(message): Pair[] {
  const fields = message.headers();
  const pairs = fields.entries().map(([name, value]): Pair => [name, decode(value)]);
  fields[Symbol.dispose]();
  return pairs;
}

export const methodOf = (name: string) => (METHODS.has(name.toLowerCase()) ? { tag: name.toLowerCase() } : { tag: 'other', val: name });
