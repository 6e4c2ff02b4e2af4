import type { Blobs } from './blobs.ts';
import type { Table } from './table.ts';

/** What a node keeps. Its records and blobs share one limit of bytes. */
export type Store = { table: Table; blobs: Blobs; close(): Promise<void> };

export type TableReader = Pick<Table, 'get' | 'scan' | 'watch' | 'refresh'>;
export type BlobsReader = Pick<Blobs, 'get' | 'stream' | 'range' | 'written' | 'exists' | 'size'>;
export type StoreReader = { table: TableReader; blobs: BlobsReader; close(): Promise<void> };
