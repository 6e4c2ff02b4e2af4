import { Problem } from '../base/errors.ts';
import type { ByteSource } from '../base/stream.ts';
import type { Blobstore, ObjectInfo, OutgoingObject, SourceObject } from '../wasi/blobstore-port.ts';
import type { Effect, Overlay, StagedObject } from '../wasi/overlay.ts';
import { objectCost } from './effect-writer.ts';
import { bucketOf } from './keyvalue-keys.ts';
import type { ObjectClient } from './object-client.ts';
import { checkObjectKey, contentTypeDefault } from './object-limits.ts';
import { bucketKey, objectKey } from './object-model.ts';
import { ObjectSource } from './object-source.ts';

type Name = { container: string; name: string };
/** Undefined: it was removed. */
type Pending = { object: StagedObject; createdAt: number } | undefined;

const compareNames = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Objects as one execution in an overlay sees them: what is committed, and over it what the execution changed. */
export class OverlaidBlobstore implements Blobstore {
  readonly #base: Blobstore;
  readonly #client: ObjectClient;
  readonly #overlay: Overlay;
  readonly #containers = new Map<string, Map<string, Pending>>();

  constructor(base: Blobstore, client: ObjectClient, overlay: Overlay) {
    this.#base = base;
    this.#client = client;
    this.#overlay = overlay;
    overlay.gather(() => this.#effects());
  }

  within(): Blobstore {
    return this;
  }

  of(sources: readonly SourceObject[]): Blobstore {
    return this.#base.of(sources);
  }

  refresh(): void {
    this.#base.refresh();
  }

  createdAt(container: string): number | undefined {
    const made = [...(this.#containers.get(container)?.values() ?? [])].find((pending) => pending !== undefined);
    return this.#base.createdAt(container) ?? made?.createdAt;
  }

  find(container: string, name: string): ObjectInfo | undefined {
    checkObjectKey(name);
    const changed = this.#containers.get(container);
    if (!changed?.has(name)) return this.#find({ container, name }) && this.#base.find(container, name);
    const pending = changed.get(name);
    return pending && { name, bytes: pending.object.bytes, createdAt: pending.createdAt };
  }

  list(container: string, after: string | undefined, limit: number): { names: string[]; next: string | undefined } {
    const { table } = this.#client.reader;
    // Whatever changes in a bucket changes its record.
    const bucket = table.get(bucketKey(container)) as { revision: number } | undefined;
    this.#overlay.read(bucketKey(container), bucket?.revision ?? 0);
    const { names, next } = this.#base.list(container, after, limit);
    const merged = new Set(names);
    for (const [name, pending] of this.#containers.get(container) ?? []) {
      if ((after !== undefined && compareNames(name, after) <= 0) || (next !== undefined && compareNames(name, next) > 0)) continue;
      if (pending) merged.add(name);
      else merged.delete(name);
    }
    const sorted = [...merged].sort(compareNames);
    if (sorted.length > limit) return { names: sorted.slice(0, limit), next: sorted[limit - 1] };
    return sorted.length === 0 && next !== undefined ? this.list(container, next, limit) : { names: sorted, next };
  }

  async read(container: string, name: string, start: number, end: number): Promise<{ source: ByteSource; bytes: number }> {
    checkObjectKey(name);
    const changed = this.#containers.get(container);
    if (!changed?.has(name)) {
      this.#find({ container, name });
      return this.#base.read(container, name, start, end);
    }
    const { digest, bytes } = this.#require({ container, name }).object;
    const from = Math.min(start, bytes);
    const to = Math.max(from, Math.min(end, bytes));
    this.refresh();
    return { source: new ObjectSource(this.#client.reader.blobs.range(digest, from, to)), bytes: to - from };
  }

  write(): OutgoingObject {
    const leaving = this.#client.put();
    const commit = async (container: string, name: string): Promise<void> => {
      checkObjectKey(name);
      const { digest, bytes, release } = await leaving.keep();
      this.#overlay.onEnd(release);
      this.#set({ container, name }, { digest, bytes, contentType: contentTypeDefault, headers: {} });
    };
    return { sink: leaving.sink, commit, abort: () => leaving.abort() };
  }

  async remove(container: string, names: readonly string[]): Promise<void> {
    for (const name of names) checkObjectKey(name);
    for (const name of names) this.#set({ container, name }, null);
  }

  async copy(from: Name, to: Name): Promise<void> {
    for (const { name } of [from, to]) checkObjectKey(name);
    if (this.#containers.get(from.container)?.has(from.name)) return this.#set(to, this.#require(from).object);
    const found = this.#find(from);
    if (!found) throw missing(from);
    const { digest, bytes, contentType, headers, manifest } = found;
    if (manifest) this.#overlay.onEnd(await this.#client.obtain(from.container, from.name, digest));
    this.#set(to, { digest, bytes, contentType, headers });
  }

  #find({ container, name }: Name) {
    const found = this.#client.reader.find(container, name);
    this.#overlay.read(objectKey(container, name), found?.revision ?? 0);
    return found?.value;
  }

  #require({ container, name }: Name): Exclude<Pending, undefined> {
    const pending = this.#containers.get(container)?.get(name);
    if (!pending) throw missing({ container, name });
    return pending;
  }

  #set({ container, name }: Name, object: StagedObject | null): void {
    const changed = this.#containers.get(container) ?? new Map<string, Pending>();
    if (!changed.has(name)) {
      const { writes, bytes } = objectCost(object);
      this.#overlay.spend(writes, bytes);
    }
    changed.set(name, object ? { object, createdAt: Date.now() } : undefined);
    this.#containers.set(container, changed);
  }

  #effects(): Effect[] {
    return [...this.#containers].flatMap(([bucket, changed]) =>
      [...changed].map(([key, pending]): Effect => ({ kind: 'object', bucket, key, object: pending?.object ?? null })),
    );
  }
}

const missing = ({ container, name }: Name): Problem =>
  new Problem('not-found', `there is no object ${JSON.stringify(name.slice(0, 200))} in "${bucketOf(container)}"`);
