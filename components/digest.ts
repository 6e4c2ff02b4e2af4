import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** fixtures/sources.json: by fixture, the digests of its sources when it was built, and of the result. */
export type Sources = Record<string, { sources: string; wasm: string }>;

/** sha-256 over the names and contents of files under components/. */
export function sourceDigest(sources: readonly string[]): string {
  const hash = createHash('sha256');
  for (const source of sources) {
    const bytes = readFileSync(new URL(source, import.meta.url));
    hash.update(`${source}\n${bytes.length}\n`).update(bytes);
  }
  return hash.digest('hex');
}

/** sha-256 of a built fixture. */
export function wasmDigest(name: string): string {
  const bytes = readFileSync(new URL(`../fixtures/${name}.wasm`, import.meta.url));
  return createHash('sha256').update(bytes).digest('hex');
}
