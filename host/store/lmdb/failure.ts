import { Problem } from '../../base/errors.ts';

const mapFull = -30792;
/** EIO: so LMDB also tells of a write of which the disk took only a part, since there was no room for more. */
const ioError = 5;
const diskFull = new Set([28 /* ENOSPC */, 27 /* EFBIG */, 122 /* EDQUOT */, 69 /* EDQUOT on macOS */, mapFull]);

/** lmdb rejects a write with an error that holds the reason as a promise, which must be caught as well. */
type CommitFailure = Error & { commitError?: Promise<unknown> };

/** The outcome of a write, with lmdb's failure to commit as a Problem: `store-full` or `unavailable`. */
export async function written<T>(write: PromiseLike<T>): Promise<T> {
  try {
    return await write;
  } catch (error) {
    throw await explained(error as CommitFailure);
  }
}

async function explained(error: CommitFailure): Promise<Error> {
  if (!error.commitError) return error;
  const reason = await error.commitError.then(
    () => error,
    (found: Error & { code?: number }) => found,
  );
  const code = (reason as { code?: number }).code;
  if (code !== undefined && diskFull.has(code)) return new Problem('store-full', `cannot write: the disk is full (${reason.message})`);
  if (code === ioError) return new Problem('store-full', `cannot write: the disk is full, or fails (${reason.message})`);
  return new Problem('unavailable', `cannot write: ${reason.message}`);
}
