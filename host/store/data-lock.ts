/**
 * One node a data directory. The kernel's file locks are the only ones that end with their process, however it ends, and
 * work alike on Linux and macOS and across containers; Node gives them to programs only through SQLite. So the lock is an
 * exclusive transaction, never written to, on an empty SQLite file. It lasts from `lockData` until it is released or the
 * process is gone. No other code of the process may open the file: closing it would give up the lock.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Problem } from '../base/errors.ts';

const sqliteBusy = 5;

/** Locks are held by reference: a collected one would be released. */
const held = new Set<DatabaseSync>();

/**
 * Makes the directory if need be, readable by its owner only.
 * @returns what releases the lock
 * @throws Problem `data-in-use` at once when somebody holds it, in this process or another
 */
export function lockData(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const lock = new DatabaseSync(join(dataDir, 'lock'), { timeout: 0 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if ((error as { errcode?: number }).errcode !== sqliteBusy) throw error;
    throw new Problem('data-in-use', `cannot open the data directory ${dataDir}: another node uses it`);
  }
  held.add(lock);
  return () => {
    if (held.delete(lock)) lock.close();
  };
}
