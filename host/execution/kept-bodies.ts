/** Bodies of requests and responses that are kept: small ones in their record, larger ones in Blobs under a holder's name. */
import { Problem } from '../base/errors.ts';
import { type HeldBlobs, hold, holdersPrefix, letGo } from '../store/held-blobs.ts';
import { scanRecords } from '../store/scan.ts';
import type { Table, Write } from '../store/table.ts';
import type { KeptBody } from './guarantee.ts';
import type { SpilledBody } from './stored-run.ts';

/** A record has room for a MiB. */
const inlineBytesMax = 48 * 1024;

/**
 * A body to be kept by a record: `writes` belong in its commit, and `release` is to be called after that, or when there is
 * none.
 */
export type BodyToKeep = { body: KeptBody; writes: Write[]; release: () => void };

const sliced = function* (body: Uint8Array): Iterable<Uint8Array> {
  const sliceBytes = 1024 * 1024;
  for (let at = 0; at < body.length; at += sliceBytes) yield body.subarray(at, at + sliceBytes);
};

export type KeptBodiesOptions = {
  table: Table;
  held: Pick<HeldBlobs, 'claimPresent' | 'doubt' | 'get' | 'put'>;
  /** Of what holds bodies; no tenant has a name that begins with "~". */
  kind: string;
};

export class KeptBodies {
  readonly #options: KeptBodiesOptions;

  constructor(options: KeptBodiesOptions) {
    this.#options = options;
  }

  /** @throws Problem `store-full` */
  async keep(body: Uint8Array, owner: string): Promise<BodyToKeep> {
    if (body.length <= inlineBytesMax) return this.inner(body);
    const { digest, bytes, release } = await this.#options.held.put(sliced(body), { bytesMax: body.length });
    return { body: { digest, bytes }, writes: [hold(digest, this.#who(owner))], release };
  }

  /** By itself, whatever its size: for whoever keeps it in no record. */
  inner(body: Uint8Array): BodyToKeep {
    return { body: { base64: Buffer.from(body.buffer, body.byteOffset, body.length).toString('base64') }, writes: [], release: () => undefined };
  }

  /** `keep` for what is in Blobs already. @throws Problem `conflict` if it is there no more */
  async keepSpilled(spilled: SpilledBody, owner: string): Promise<BodyToKeep> {
    return { ...(await this.claimSpilled(spilled)), writes: [hold(spilled.digest, this.#who(owner))] };
  }

  /** The same, and no record is to hold it. */
  async claimSpilled({ digest, bytes }: SpilledBody): Promise<BodyToKeep> {
    const release = await this.#options.held.claimPresent(digest);
    if (!release) throw new Problem('conflict', 'cannot keep the response: its bytes are not there any more');
    return { body: { digest, bytes }, writes: [], release };
  }

  /** What a commit needs so that a body is kept no longer; `dropped` is to be called after it. */
  drops(body: KeptBody | null | undefined, owner: string): Write[] {
    return body && 'digest' in body ? [letGo(body.digest, this.#who(owner))] : [];
  }

  dropped(body: KeptBody | null | undefined): void {
    if (body && 'digest' in body) this.#options.held.doubt(body.digest);
  }

  async read(body: KeptBody): Promise<Uint8Array> {
    if ('base64' in body) return Buffer.from(body.base64, 'base64');
    const bytes = await this.#options.held.get(body.digest);
    if (!bytes) throw new Problem('internal', `cannot read a kept body: ${body.digest} is not in the store`);
    return bytes;
  }

  /** Lets go of bodies whose owners are not there any more, as those of a tenant that was removed. */
  async sweep(isThere: (owner: string) => Promise<boolean>, signal?: AbortSignal): Promise<void> {
    const { table } = this.#options;
    const own = `/${this.#who('')}`;
    for await (const { key } of scanRecords(table, holdersPrefix, { signal })) {
      const at = key.indexOf(own);
      if (at !== -1 && !(await isThere(key.slice(at + own.length)))) await table.commit([{ key, delete: true }]);
    }
  }

  #who(owner: string): string {
    return `~${this.#options.kind}/${owner}`;
  }
}
