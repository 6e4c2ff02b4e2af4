import { getStderr } from 'wasi:cli/stderr';
import { encode } from './text.ts';

const LINE_BYTES_MAX = 4096;

function textOf(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}\n${value.stack ?? ''}`;
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
}

function line(...values: unknown[]): void {
  const stream = getStderr();
  stream.blockingWriteAndFlush(encode(`${values.map(textOf).join(' ')}\n`).subarray(0, LINE_BYTES_MAX));
  stream[Symbol.dispose]();
}

Object.assign(globalThis, { console: { log: line, info: line, warn: line, error: line, debug: line } });
