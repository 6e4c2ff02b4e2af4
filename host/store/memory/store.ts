import type { Store } from '../store.ts';
import { MemoryBlobs } from './blobs.ts';
import { MemoryTable } from './table.ts';

/** For tests: records and blobs each have the limit for themselves, and are gone with the process. */
export function openMemoryStore(options: { bytesMax?: number } = {}): Store {
  return { table: new MemoryTable(options), blobs: new MemoryBlobs(options), close: async () => {} };
}
