import { type Chunks, type Obtain, openBytes, rangeOf } from '../capability/followed-bytes.ts';
import type { ObjectRecord } from '../capability/object-model.ts';
import type { ObjectReader } from '../capability/object-reader.ts';
import type { Piece, ReadPlan } from './read-plan.ts';

async function* read(body: readonly Piece[], range: (start: number, end: number) => AsyncIterable<Uint8Array>): Chunks {
  for (const piece of body) {
    if ('text' in piece) yield Buffer.from(piece.text, 'latin1');
    else yield* range(piece.start, piece.end);
  }
}

/** The bytes of a plan's body, which are there. */
export const readBody = (reader: ObjectReader, object: ObjectRecord, { body }: ReadPlan): Chunks =>
  read(body, (start, end) => rangeOf(reader, object, start, end));

/**
 * The same of an object that must be obtained first: what is computed is sent when its digest is right, and where it is long
 * while it is made; then `chunks` throws before the last of them if the digest is wrong.
 * @throws Problem as `obtain`
 */
export const obtainBody = async (
  reader: ObjectReader,
  object: ObjectRecord,
  { body, bytes }: ReadPlan,
  obtain: Obtain,
): Promise<{ chunks: AsyncIterable<Uint8Array>; release(): void }> => {
  const { range, withhold, release } = await openBytes(reader, object, bytes, obtain);
  return { chunks: withhold(read(body, range)), release };
};
