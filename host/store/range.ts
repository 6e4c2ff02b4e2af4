import { checkKey } from './limits.ts';
import type { ScanOptions } from './table.ts';

/** Keys `k` with `low <= k < high`, compared as bytes. */
export type Range = { low: Buffer; high: Buffer };

/** UTF-8 has no byte 0xff, so this is above every key, and `prefix` + this above every key with the prefix. */
const aboveAll = Buffer.from([0xff]);
const lowest = Buffer.from([0]);

/** @throws Problem `request-invalid` when a bound is no key */
export function scanRange({ prefix, start, end, reverse, cursor }: ScanOptions): Range {
  let { low, high } = prefixRange(prefix ?? '');
  const raise = (bound: Buffer) => {
    if (Buffer.compare(bound, low) > 0) low = bound;
  };
  const lower = (bound: Buffer) => {
    if (Buffer.compare(bound, high) < 0) high = bound;
  };
  if (start !== undefined && start !== '') raise(keyBytes(start));
  if (end !== undefined) lower(end === '' ? lowest : keyBytes(end));
  if (cursor !== undefined) {
    const last = keyBytes(cursor);
    if (reverse) lower(last);
    else raise(Buffer.concat([last, lowest]));
  }
  return { low, high };
}

export function prefixRange(prefix: string): Range {
  if (prefix === '') return { low: lowest, high: aboveAll };
  const low = keyBytes(prefix);
  return { low, high: Buffer.concat([low, aboveAll]) };
}

function keyBytes(key: string): Buffer {
  checkKey(key);
  return Buffer.from(key);
}
