import { type Err, err } from '../../base/result.ts';
import { ByteStreamError } from '../../base/stream.ts';
import { type IoError, ioErrorOf } from './io-error.ts';

export type StreamError = { tag: 'closed' } | { tag: 'last-operation-failed'; val: IoError };

export const closed: Err<StreamError> = err({ tag: 'closed' });

/** Largest number of bytes that one call moves, whatever the guest asks for. */
export const transferBytesMax = 64 * 1024;

/** The answer to a guest whose stream broke. Any other exception is passed on and ends the guest. */
export function failed(error: unknown): Err<StreamError> {
  if (!(error instanceof ByteStreamError)) throw error;
  return err({ tag: 'last-operation-failed', val: ioErrorOf(error) });
}

/** A u64 length from a guest as a number of at most `transferBytesMax`. */
export const clampLength = (length: bigint): number => (length > transferBytesMax ? transferBytesMax : Number(length));
