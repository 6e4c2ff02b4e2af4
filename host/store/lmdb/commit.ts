import { getLastVersion } from 'lmdb';
import { Problem } from '../../base/errors.ts';
import { encodeValue } from '../codec.ts';
import { checkCommitBytes, checkWrites, conflict, storeFull } from '../limits.ts';
import type { RevisionClock } from '../revision.ts';
import type { Write } from '../table.ts';
import type { Budget } from './budget.ts';
import type { BinaryDatabase } from './environment.ts';
import { written } from './failure.ts';

/** A write without an expectation is tried again when somebody else was faster; so often only when something is wrong. */
const attemptsMax = 1000;
/** Node header, version and slot of a record in a page, roughly. */
const recordOverheadBytes = 24;

type Step = { write: Write; key: Buffer; put: Buffer | undefined; found: number; foundBytes: number };

export type CommitContext = { database: BinaryDatabase; clock: RevisionClock; budget: Budget; refresh(): void };

/**
 * Commits by a chain of conditions, one inside the other: every key must be at the revision that was just read, whether
 * the caller expects one or not. So revisions grow strictly and sizes are known. No transaction callback: it would hold
 * the write lock of all threads until this thread's event loop is free.
 */
export async function commit(context: CommitContext, writes: readonly Write[]): Promise<{ revision: number }> {
  checkWrites(writes);
  const steps = writes.map(
    (write): Step => ({ write, key: Buffer.from(write.key), put: 'put' in write ? encodeValue(write.put) : undefined, found: 0, foundBytes: 0 }),
  );
  checkCommitBytes(steps.reduce((sum, { put }) => sum + (put?.length ?? 0), 0));
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    look(context, steps, attempt > 0);
    if (!context.budget.admits(growth(steps))) throw storeFull(context.budget.bytesMax);
    const revision = context.clock.next(Math.max(...steps.map(({ found }) => found)));
    if (await written(chain(context.database, steps, revision))) return { revision };
  }
  throw new Problem('unavailable', `cannot commit "${writes[0]?.key}": others changed the same keys ${attemptsMax} times meanwhile`);
}

/** @throws Problem `conflict` when an expectation does not hold in the newest snapshot */
function look(context: CommitContext, steps: Step[], fresh: boolean): void {
  if (fresh) context.refresh();
  for (const step of steps) {
    const bytes = context.database.getBinaryFast(step.key);
    step.found = bytes ? getLastVersion() : 0;
    step.foundBytes = bytes?.length ?? 0;
    const { expectRevision } = step.write;
    if (expectRevision === undefined || expectRevision === step.found) continue;
    if (fresh) throw conflict(step.write.key, expectRevision, step.found);
    look(context, steps, true);
    return;
  }
}

function growth(steps: Step[]): number {
  let bytes = 0;
  for (const { write, key, put, foundBytes } of steps) {
    if (put) bytes += put.length - foundBytes + (foundBytes === 0 ? key.length + recordOverheadBytes : 0);
    else if ('delete' in write) bytes -= foundBytes;
  }
  return bytes;
}

/** True when every condition held: an inner one alone says nothing, it may hold where an outer one does not. */
async function chain(database: BinaryDatabase, steps: Step[], revision: number): Promise<boolean> {
  const held: Promise<boolean>[] = [];
  const nest = (index: number): void => {
    const step = steps[index] as Step;
    const inner = () => (index + 1 < steps.length ? nest(index + 1) : write(database, steps, revision));
    held.push(step.found === 0 ? database.ifNoExists(step.key, inner) : database.ifVersion(step.key, step.found, inner));
  };
  nest(0);
  return (await Promise.all(held)).every(Boolean);
}

/** The outcome of each is that of the chain, so their promises are left alone. */
function write(database: BinaryDatabase, steps: Step[], revision: number): void {
  for (const { write, key, put, found } of steps) {
    if (put) void database.put(key, put, revision);
    else if ('delete' in write && found !== 0) void database.remove(key);
  }
}
