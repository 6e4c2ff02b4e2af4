/** Bodies of requests and responses that are kept: small ones in their record, larger ones in Blobs under a holder's name. */
import { createHash } from 'node:crypto';
import { Problem } from '../base/errors.ts';
import type { Blobs } from '../store/blobs.ts';
import type { Table, Write } from '../store/table.ts';
import type { KeptBody } from './guarantee.ts';

/** A record has room for a MiB. */
const inlineBytesMax = 48 * 1024;
const holders = '~node/holder/';

const sliced = function* (body: Uint8Array): Iterable<Uint8Array> {
  const sliceBytes = 1024 * 1024;
  for (let at = 0; at < body.length; at += sliceBytes) yield body.subarray(at, at + sliceBytes);
};

export class KeptBodies {
  readonly #table: Table;
  readonly #blobs: Blobs;
  /** What follows the digest in the key of a holder. */
  readonly #own: string;

  /** @param kind of the holders; no tenant has a name that begins with "~" */
  constructor(table: Table, blobs: Blobs, kind: string) {
    this.#table = table;
    this.#blobs = blobs;
    this.#own = `/~${kind}/`;
  }

  /** @throws Problem `store-full` */
  async keep(body: Uint8Array, owner: string): Promise<KeptBody> {
    if (body.length <= inlineBytesMax) return { base64: Buffer.from(body.buffer, body.byteOffset, body.length).toString('base64') };
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
    // The holder comes first: bytes without one may be swept at any time.
    await this.#table.commit([{ key: this.#holder(digest, owner), put: true }]);
    try {
      await this.#blobs.put(sliced(body), { bytesMax: body.length, digest });
    } catch (error) {
      await this.#table.commit([this.#drop(digest, owner)]).catch(() => undefined);
      throw error;
    }
    return { digest, bytes: body.length };
  }

  /** What a commit needs so that a body is kept no longer. The bytes go with the next sweep of Blobs. */
  drops(body: KeptBody | null | undefined, owner: string): Write[] {
    return body && 'digest' in body ? [this.#drop(body.digest, owner)] : [];
  }

  async read(body: KeptBody): Promise<Uint8Array> {
    if ('base64' in body) return Buffer.from(body.base64, 'base64');
    const bytes = await this.#blobs.get(body.digest);
    if (!bytes) throw new Problem('internal', `cannot read a kept body: ${body.digest} is not in the store`);
    return bytes;
  }

  /** Removes the holders of owners that are not there any more: the node was ended between the holder and its record. */
  async sweep(isThere: (owner: string) => Promise<boolean>): Promise<void> {
    let cursor: string | undefined;
    do {
      const page = await this.#table.scan({ prefix: holders, limit: 500, ...(cursor === undefined ? {} : { cursor }) });
      for (const { key } of page.entries) {
        const at = key.indexOf(this.#own);
        if (at !== -1 && !(await isThere(key.slice(at + this.#own.length)))) await this.#table.commit([{ key, delete: true }]);
      }
      cursor = page.next;
    } while (cursor !== undefined);
  }

  #drop(digest: string, owner: string): Write {
    return { key: this.#holder(digest, owner), delete: true };
  }

  #holder(digest: string, owner: string): string {
    return `${holders}${digest}${this.#own}${owner}`;
  }
}
