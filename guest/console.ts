import { getStderr } from 'wasi:cli/stderr';
import { placed } from './lines.ts';
import { stage } from './stage.ts';
import { encode } from './text.ts';

const CHUNK_BYTES = 4096;

function textOf(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}\n${value.stack ?? ''}`.trimEnd();
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
}

function line(...values: unknown[]): void {
  if (!stage.serving) return;
  const bytes = encode(`${placed(values.map(textOf).join(' '))}\n`);
  const stream = getStderr();
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) stream.blockingWriteAndFlush(bytes.subarray(at, at + CHUNK_BYTES));
  stream[Symbol.dispose]();
}

Object.assign(globalThis, { console: { log: line, info: line, warn: line, error: line, debug: line, trace: line } });
