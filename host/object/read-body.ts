import type { ObjectReader } from '../capability/object-reader.ts';
import type { Digest } from '../store/blobs.ts';
import type { Piece } from './read-plan.ts';

/** The bytes of a plan's body, in chunks of at most 1 MiB. A whole object is checked against its digest, parts by their checksums. */
export async function* readBody(blobs: ObjectReader['blobs'], digest: Digest, bytes: number, body: readonly Piece[]): AsyncGenerator<Uint8Array, void, void> {
  for (const piece of body) {
    if ('text' in piece) yield Buffer.from(piece.text, 'latin1');
    else if (piece.start === 0 && piece.end === bytes) yield* blobs.stream(digest);
    else yield* blobs.range(digest, piece.start, piece.end);
  }
}
