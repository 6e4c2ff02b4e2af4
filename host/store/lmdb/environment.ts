import { type Database, open, type RootDatabase } from 'lmdb';
import { Problem } from '../../base/errors.ts';
import { inspectDataFile } from './data-file.ts';
import { WriteChain } from './write-chain.ts';

export type BinaryDatabase = Database<Buffer, Buffer>;

export type EnvironmentOptions = {
  /** Names of the databases in it, and whether their records have versions. */
  databases: Record<string, { versions: boolean }>;
  /** Address space set aside; it grows when needed, but to remap under readers is better avoided. */
  mapBytes: number;
  readOnly?: boolean;
};

/** `eventTurnBatching` is off: with it a failed commit (disk full) rejects an inner promise that nobody can catch. */
const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;

/**
 * An LMDB environment whose keys and values are bytes. All threads of a process share one mapping, so the first to open must
 * be one that writes. A thread that may be terminated must open it `readOnly`: termination in the middle of a write kills
 * the process.
 */
export class Environment {
  readonly path: string;
  private readonly root: RootDatabase<Buffer, Buffer>;
  private readonly opened = new Map<string, BinaryDatabase>();

  /** @throws Problem `internal` when the file is damaged; Error when there is none yet and it is opened read-only */
  constructor(path: string, { databases, mapBytes, readOnly = false }: EnvironmentOptions) {
    this.path = path;
    if (inspectDataFile(path) === 'damaged') throw new Problem('internal', `cannot open ${path}: its file is damaged or cut off`);
    this.root = open<Buffer, Buffer>({
      path,
      ...binary,
      mapSize: mapBytes,
      maxReaders: 512,
      maxDbs: 8,
      readOnly,
      eventTurnBatching: false,
    });
    this.root.on('aftercommit', new WriteChain().committed);
    for (const [name, { versions }] of Object.entries(databases)) {
      const database = this.root.openDB<Buffer, Buffer>({ name, ...binary, useVersions: versions, create: !readOnly } as { name: string });
      if (!database) throw new Error(`no database "${name}" in ${path}`);
      this.opened.set(name, database);
    }
  }

  database(name: string): BinaryDatabase {
    const database = this.opened.get(name);
    if (!database) throw new RangeError(`no database "${name}" in ${this.path}`);
    return database;
  }

  /** Memory that all threads of this process share under this name, at first zero. */
  shared(name: string, bytes: number): SharedArrayBuffer {
    type Sharing = { getUserSharedBuffer(key: Buffer, initial: ArrayBuffer): SharedArrayBuffer };
    return (this.root as unknown as Sharing).getUserSharedBuffer(Buffer.from(name), new ArrayBuffer(bytes));
  }

  /** The next read sees the newest commit, of whatever thread. */
  refresh(): void {
    this.root.resetReadTxn();
  }

  /** Bytes in pages that are in use; freed pages, which LMDB keeps for reuse, do not count. */
  usedBytes(): number {
    this.refresh();
    let pages = 0;
    let pageBytes = 4096;
    for (const database of this.opened.values()) {
      const stats = database.getStats() as TreeStats & { pageSize: number };
      pageBytes = stats.pageSize;
      pages += treePages(stats);
    }
    return pages * pageBytes;
  }

  lastTransaction(): number {
    this.refresh();
    return (this.root.getStats() as { lastTxnId: number }).lastTxnId;
  }

  async flush(): Promise<void> {
    await this.root.flushed;
  }

  async close(): Promise<void> {
    await this.root.close();
  }
}

type TreeStats = { treeBranchPageCount: number; treeLeafPageCount: number; overflowPages: number };

function treePages({ treeBranchPageCount, treeLeafPageCount, overflowPages }: TreeStats): number {
  return treeBranchPageCount + treeLeafPageCount + overflowPages;
}
