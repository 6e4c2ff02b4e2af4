import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { lockData } from '../data-lock.ts';
import type { Store, StoreReader } from '../store.ts';
import { LmdbBlobs } from './blobs.ts';
import { Budget } from './budget.ts';
import { Environment } from './environment.ts';
import { LmdbTable } from './table.ts';

export type StoreOptions = {
  /** Records and blobs together, as pages in use. */
  bytesMax: number;
};

/** Which of the watches must look for other processes: none, for a node is the only one that writes to its directory. */
const noPoll = 0;
const databases = { table: { versions: true }, blobs: { versions: true } };

/**
 * Opens `<dataDir>/store` for the one process that may: locks the directory, removes what killed writers left.
 * @throws Problem `data-in-use` when another node, or this one, has it open
 */
export async function openStore(dataDir: string, options: StoreOptions): Promise<Store> {
  const release = lockData(dataDir);
  try {
    const { store, blobs } = open(dataDir, options);
    await blobs.sweep();
    const close = async () => {
      await store.close();
      release();
    };
    return { ...store, close };
  } catch (error) {
    release();
    throw error;
  }
}

/** Another thread of the process that called `openStore`. It must not be terminated, and be closed before the store is. */
export function attachStore(dataDir: string, options: StoreOptions): Store {
  return open(dataDir, options).store;
}

/**
 * Only reads: for threads that may be terminated, and for other processes (then with `watchPollMs`: how often a watch looks
 * for their commits). In the process of the store it must be opened after it.
 * @throws Error when there is no store yet
 */
export function openStoreReader(dataDir: string, { watchPollMs = noPoll }: { watchPollMs?: number } = {}): StoreReader {
  const environment = openEnvironment(dataDir, 0, true);
  return assemble(environment, 0, watchPollMs).store;
}

function open(dataDir: string, { bytesMax }: StoreOptions): { store: Store; blobs: LmdbBlobs } {
  return assemble(openEnvironment(dataDir, bytesMax, false), bytesMax, noPoll);
}

function openEnvironment(dataDir: string, bytesMax: number, readOnly: boolean): Environment {
  const path = join(resolve(dataDir), 'store');
  if (!readOnly) mkdirSync(path, { recursive: true, mode: 0o700 });
  return new Environment(path, { databases, mapBytes: mapBytes(bytesMax), readOnly });
}

function assemble(environment: Environment, bytesMax: number, watchPollMs: number): { store: Store; blobs: LmdbBlobs } {
  const budget = new Budget(bytesMax, () => environment.usedBytes());
  const table = new LmdbTable({ environment, budget, watchPollMs });
  const blobs = new LmdbBlobs({ environment, budget });
  const close = async () => {
    table.close();
    await environment.close();
  };
  return { store: { table, blobs, close }, blobs };
}

/** Twice the limit, since freed pages wait for the last reader that may still see them; at most 1 TiB. */
function mapBytes(bytesMax: number): number {
  const wanted = Math.min(2 * bytesMax + 64 * 1024 * 1024, 2 ** 40);
  return Math.ceil(wanted / 65536) * 65536;
}
