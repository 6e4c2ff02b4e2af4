import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** Layout of a header page of LMDB's data format 2 (mdb.c, MDB_meta), in bytes from the start of the page. */
const header = { bytes: 160, magic: 24, version: 28, pageBytes: 48, freeRoot: 88, mainRoot: 136, lastPage: 144, transaction: 152 };
const magic = 0xbeefc0de;
const formatVersion = 2;
/** An empty tree. */
const noPage = 0xffff_ffff_ffff_ffffn;

/**
 * What LMDB would meet in the directory: opening a file without its headers or its root pages ends the whole process.
 * `short`: the last pages are not in the file, because it was cut off or, seldom, because they were never written.
 */
export function inspectDataFile(directory: string): 'absent' | 'sound' | 'short' | 'damaged' {
  let file: number;
  try {
    file = openSync(join(directory, 'data.mdb'), 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'absent';
    throw error;
  }
  try {
    return inspect(file);
  } finally {
    closeSync(file);
  }
}

function inspect(file: number): 'absent' | 'sound' | 'short' | 'damaged' {
  const first = readHeader(file, 0);
  if (!first) return fstatSync(file).size === 0 ? 'absent' : 'damaged';
  const second = readHeader(file, first.pageBytes);
  if (!second) return 'damaged';
  const newest = first.transaction > second.transaction ? first : second;
  const pages = BigInt(Math.floor(fstatSync(file).size / first.pageBytes));
  if (newest.roots.some((root) => root !== noPage && root >= pages)) return 'damaged';
  return newest.lastPage < pages ? 'sound' : 'short';
}

function readHeader(file: number, at: number): { pageBytes: number; roots: bigint[]; lastPage: bigint; transaction: bigint } | undefined {
  const page = Buffer.alloc(header.bytes);
  if (readSync(file, page, 0, header.bytes, at) < header.bytes) return undefined;
  if (page.readUInt32LE(header.magic) !== magic || page.readUInt32LE(header.version) !== formatVersion) return undefined;
  const pageBytes = page.readUInt32LE(header.pageBytes);
  if (pageBytes < 512 || pageBytes > 65_536) return undefined;
  const roots = [page.readBigUInt64LE(header.freeRoot), page.readBigUInt64LE(header.mainRoot)];
  return { pageBytes, roots, lastPage: page.readBigUInt64LE(header.lastPage), transaction: page.readBigUInt64LE(header.transaction) };
}
