import { Problem } from '../base/errors.ts';
import type { ByteSource } from '../base/stream.ts';
import type { Blobstore, ObjectInfo, OutgoingObject, SourceObject } from '../wasi/blobstore-port.ts';
import type { Overlay } from '../wasi/overlay.ts';
import { type Obtain, openBytes, rangeOf } from './followed-bytes.ts';
import { bucketOf } from './keyvalue-keys.ts';
import type { ObjectClient } from './object-client.ts';
import { checkObjectKey } from './object-limits.ts';
import type { ObjectRecord } from './object-model.ts';
import { OverlaidBlobstore } from './object-overlay.ts';
import { ObjectSource } from './object-source.ts';
import { againIfReplaced } from './replaced.ts';

const requireFound = (object: ObjectRecord | undefined, container: string, name: string): ObjectRecord => {
  if (!object) throw new Problem('not-found', `there is no object ${JSON.stringify(name.slice(0, 200))} in "${bucketOf(container)}"`);
  return object;
};

const refuseChange = (): never => {
  throw new Problem('forbidden', 'cannot change sources');
};

class GuestBlobstore implements Blobstore {
  readonly #client: ObjectClient;
  readonly #onChange: () => void;

  constructor(client: ObjectClient, onChange: () => void) {
    this.#client = client;
    this.#onChange = onChange;
  }

  of(sources: readonly SourceObject[]): Blobstore {
    return new SourceBlobstore(this.#client, sources);
  }

  within(overlay: Overlay): Blobstore {
    return new OverlaidBlobstore(this, this.#client, overlay);
  }

  refresh(): void {
    this.#client.reader.refresh();
  }

  createdAt(container: string): number | undefined {
    return this.#client.reader.bucket(container)?.createdAt;
  }

  find(container: string, name: string): ObjectInfo | undefined {
    const object = this.#client.reader.find(container, name)?.value;
    return object && { name, bytes: object.bytes, createdAt: object.createdAt };
  }

  list(container: string, after: string | undefined, limit: number): { names: string[]; next: string | undefined } {
    const { objects, next } = this.#client.reader.list(container, { after, limit });
    return { names: objects.map(({ key }) => key), next };
  }

  async read(container: string, name: string, start: number, end: number): Promise<{ source: ByteSource; bytes: number }> {
    return againIfReplaced(
      () => this.#read(container, name, start, end),
      () => {
        this.refresh();
        return true;
      },
    );
  }

  async #read(container: string, name: string, start: number, end: number): Promise<{ source: ByteSource; bytes: number }> {
    const { reader } = this.#client;
    const object = requireFound(reader.find(container, name)?.value, container, name);
    const from = Math.min(start, object.bytes);
    const to = Math.max(from, Math.min(end, object.bytes));
    if (!object.manifest) return { source: new ObjectSource(rangeOf(reader, object, from, to)), bytes: to - from };
    const obtain: Obtain = (onWritten) => this.#client.obtain(container, name, object.digest, onWritten);
    const { range, withhold, release } = await openBytes(reader, object, to - from, obtain);
    return { source: new ObjectSource(withhold(range(from, to)), release), bytes: to - from };
  }

  write(): OutgoingObject {
    const leaving = this.#client.put();
    const commit = async (container: string, name: string): Promise<void> => {
      checkObjectKey(name);
      await this.#changed(() => leaving.commit(container, name));
    };
    return { sink: leaving.sink, commit, abort: () => leaving.abort() };
  }

  async remove(container: string, names: readonly string[]): Promise<void> {
    for (const name of names) checkObjectKey(name);
    await this.#changed(() => this.#client.change({ kind: 'remove', id: container, keys: [...names] }));
  }

  async copy(from: { container: string; name: string }, to: { container: string; name: string }): Promise<void> {
    for (const { name } of [from, to]) checkObjectKey(name);
    await this.#changed(() => this.#client.change({ kind: 'copy', from: { id: from.container, key: from.name }, to: { id: to.container, key: to.name } }));
  }

  async #changed(change: () => Promise<void>): Promise<void> {
    this.#onChange();
    await change();
    this.refresh();
  }
}

/** The sources of one generator: their bytes are in Blobs for as long as it runs. */
class SourceBlobstore extends GuestBlobstore {
  readonly #sources: ReadonlyMap<string, SourceObject>;
  readonly #reader: ObjectClient['reader'];

  constructor(client: ObjectClient, sources: readonly SourceObject[]) {
    super(client, refuseChange);
    this.#reader = client.reader;
    this.#sources = new Map(sources.map((source) => [source.name, source]));
  }

  override createdAt(): number {
    return 0;
  }

  override find(_container: string, name: string): ObjectInfo | undefined {
    const source = this.#sources.get(name);
    return source && { name, bytes: source.bytes, createdAt: 0 };
  }

  override list(_container: string, after: string | undefined, limit: number): { names: string[]; next: string | undefined } {
    const names = [...this.#sources.keys()];
    const from = after === undefined ? 0 : names.indexOf(after) + 1;
    const page = names.slice(from, from + limit);
    return { names: page, next: from + limit < names.length ? page.at(-1) : undefined };
  }

  override async read(_container: string, name: string, start: number, end: number): Promise<{ source: ByteSource; bytes: number }> {
    const source = this.#sources.get(name);
    if (!source) throw new Problem('not-found', `there is no source ${JSON.stringify(name.slice(0, 200))}`);
    const from = Math.min(start, source.bytes);
    const to = Math.max(from, Math.min(end, source.bytes));
    this.#reader.refresh();
    return { source: new ObjectSource(this.#reader.blobs.range(source.digest, from, to)), bytes: to - from };
  }
}

/** The objects of all tenants, for the guests of one thread. `onChange` is called with each change that is asked for. */
export const createBlobstore = (client: ObjectClient, onChange: () => void = () => undefined): Blobstore => new GuestBlobstore(client, onChange);
