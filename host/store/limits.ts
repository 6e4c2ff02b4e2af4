import { Problem } from '../base/errors.ts';
import type { Write } from './table.ts';

export const keyBytesMax = 1280;
export const valueBytesMax = 1024 * 1024;
export const writesMax = 512;
export const commitBytesMax = 16 * 1024 * 1024;
export const pageBytesMax = 4 * 1024 * 1024;
export const scanLimitDefault = 100;
export const scanLimitMax = 1000;

/** @throws Problem `request-invalid` */
export function checkKey(key: string): void {
  if (typeof key !== 'string' || key === '' || !key.isWellFormed())
    throw new Problem('request-invalid', `cannot use ${JSON.stringify(key)} as a key: it must be a non-empty, well-formed string`);
  const bytes = Buffer.byteLength(key);
  if (bytes > keyBytesMax) throw new Problem('request-invalid', `cannot use "${key.slice(0, 40)}…" as a key: at most ${keyBytesMax} bytes, got ${bytes}`);
}

/** @throws Problem `request-invalid` */
export function checkWrites(writes: readonly Write[]): void {
  if (writes.length === 0 || writes.length > writesMax) throw new Problem('request-invalid', `cannot commit: 1 to ${writesMax} writes, got ${writes.length}`);
  const seen = new Set<string>();
  for (const write of writes) {
    checkKey(write.key);
    if (seen.has(write.key)) throw new Problem('request-invalid', `cannot commit: each key once, got "${write.key}" twice`);
    seen.add(write.key);
    const { expectRevision } = write;
    if (expectRevision !== undefined && !(Number.isSafeInteger(expectRevision) && expectRevision >= 0)) {
      throw new Problem('request-invalid', `cannot commit "${write.key}": expectRevision is 0 or a revision, got ${expectRevision}`);
    }
  }
}

/** @throws Problem `request-invalid` */
export function checkCommitBytes(bytes: number): void {
  if (bytes > commitBytesMax) throw new Problem('request-invalid', `cannot commit: at most ${commitBytesMax} bytes of values, got ${bytes}`);
}

/** @throws Problem `request-invalid` */
export function scanLimit(limit: number | undefined): number {
  if (limit === undefined) return scanLimitDefault;
  if (!Number.isInteger(limit) || limit < 1 || limit > scanLimitMax)
    throw new Problem('request-invalid', `cannot scan: limit is 1 to ${scanLimitMax}, got ${limit}`);
  return limit;
}

export function conflict(key: string, expected: number, found: number): Problem {
  const state = (revision: number) => (revision === 0 ? 'absent' : `at revision ${revision}`);
  return new Problem('conflict', `cannot commit: "${key}" must be ${state(expected)}, it is ${state(found)}`);
}

export function storeFull(bytesMax: number): Problem {
  return new Problem('store-full', `cannot write: the store holds at most ${bytesMax} bytes`);
}
