import type { ByteSource } from '../base/stream.ts';

const chunkBytes = 65_536;

/**
 * The whole of a body. @throws what its source throws
 * @param count told the bytes of each chunk before it is kept; if it throws, nothing more is read
 */
export const readAll = async (body: ByteSource, count: (bytes: number) => void = () => undefined): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = body.read(chunkBytes);
    if (chunk === null) return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks);
    if (chunk.length === 0) await body.readable();
    else {
      count(chunk.length);
      chunks.push(chunk);
    }
  }
};
