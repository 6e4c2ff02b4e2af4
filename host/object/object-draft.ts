import { createHash } from 'node:crypto';
import { Problem } from '../base/errors.ts';
import { bucketId, bucketOf, tenantOf } from '../capability/keyvalue-keys.ts';
import { checkObjectKey } from '../capability/object-limits.ts';
import {
  type BucketRecord,
  type BucketSettings,
  bucketKey,
  componentHolder,
  defaultSettings,
  etagOf,
  isMade,
  type ObjectManifest,
  type ObjectRecord,
  objectHolder,
  objectKey,
  type SourceRef,
  versionHolder,
  versionKey,
} from '../capability/object-model.ts';
import type { Digest } from '../store/blobs.ts';
import { holderKey } from '../store/held-blobs.ts';
import type { Table, Write } from '../store/table.ts';
import { TableDraft } from '../store/table-draft.ts';
import type { ObjectEvent } from './object-event.ts';
import { type Preconditions, requireChange } from './preconditions.ts';

export type NewObject = Omit<ObjectRecord, 'createdAt'>;

/** A change of the objects of one bucket. Bytes that it holds are claimed by whoever asks for it, until it is committed. */
export type ObjectChange =
  | { kind: 'put'; key: string; object: NewObject; conditions?: Preconditions }
  /** Removing what is not there succeeds. */
  | { kind: 'remove'; key: string; conditions?: Preconditions }
  | { kind: 'remove-version'; key: string; version: number }
  /** Holds the bytes of a computed object or lets go of them: the object stays the same to everybody. Nothing if it is another by now. */
  | { kind: 'settle'; key: string; digest: Digest; stored: boolean; manifest: ObjectManifest }
  /** `writes`: what else is to happen in the same commit. */
  | { kind: 'configure'; settings: BucketSettings; writes: Write[] }
  /** The bucket must be empty. */
  | { kind: 'drop-bucket'; writes: Write[] };

/** What a change came to: the object before it. */
export type ObjectOutcome = { before: ObjectRecord | undefined };

/** A change must wait until these objects, which are computed, have been made real. Never leaves the writer's caller. */
export class Unstored extends Error {
  readonly objects: { id: string; key: string }[];
  constructor(objects: { id: string; key: string }[]) {
    super('computed objects must be made real before');
    this.objects = objects;
  }
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');
/** Who is computed from an object; hashes, since two keys do not fit in one. */
const dependantsPrefix = (id: string, key: string): string => `${tenantOf(id)}/object-dependant/${hashOf(`${bucketOf(id)}/${key}`)}/`;
const dependantKey = ({ bucket, key }: SourceRef, tenant: string, dependant: string): string =>
  dependantsPrefix(bucketId(tenant, bucket), key) + hashOf(dependant);
/** Every object with a manifest, over all tenants. */
export const computedPrefix = '~node/computed/';
const computedKey = (id: string, key: string): string => `${computedPrefix}${objectHolder(id, key)}`;

/** Objects that one is computed from, directly or not, which are walked through for a cycle. */
const walkMax = 256;

export type DraftOptions = { table: Table; ownerKey: (tenant: string) => string; isOwner: (record: unknown) => boolean; quotaBytes: number; now: () => number };

/** The records that a draft reads and sets; it sets what it has read or what depends on that. */
export type DraftRecords = Pick<TableDraft, 'get' | 'revision' | 'set' | 'size' | 'writes'>;

/** Changes of objects, applied one by one, each on what the ones before it made. */
export class ObjectDraft {
  readonly events: ObjectEvent[] = [];
  /** Bytes that lose a holder. */
  readonly doubts: Digest[] = [];
  readonly #draft: DraftRecords;
  readonly #extra: Write[] = [];
  readonly #options: DraftOptions;

  constructor(options: DraftOptions, records: DraftRecords = new TableDraft(options.table)) {
    this.#options = options;
    this.#draft = records;
  }

  get size(): number {
    return this.#draft.size + this.#extra.length;
  }

  writes(): Write[] {
    return [...this.#draft.writes(), ...this.#extra];
  }

  /** @throws Problem, `Unstored`; then nothing of the change is in the draft */
  async apply(id: string, change: ObjectChange): Promise<ObjectOutcome> {
    const owner = await this.#draft.get(this.#options.ownerKey(tenantOf(id)));
    if (!this.#options.isOwner(owner)) throw new Problem('not-found', `there is no tenant "${tenantOf(id)}"`);
    if ('key' in change) checkObjectKey(change.key);
    const bucket = structuredClone((await this.#draft.get<BucketRecord>(bucketKey(id))) ?? this.#newBucket(id));
    if (change.kind === 'configure') return this.#configure(id, { ...bucket, ...change.settings }, change.writes);
    if (change.kind === 'drop-bucket') return this.#dropBucket(id, bucket, change.writes);
    const before = await this.#draft.get<ObjectRecord>(objectKey(id, change.key));
    if (change.kind === 'settle') await this.#settle(id, bucket, change, before);
    else if (change.kind === 'remove-version') await this.#removeVersion(id, bucket, change.key, change.version);
    else await this.#replace(id, bucket, change, before);
    return { before };
  }

  #newBucket(id: string): BucketRecord {
    return { ...defaultSettings, name: bucketOf(id), createdAt: this.#options.now(), usage: { objects: 0, bytes: 0, storedBytes: 0 } };
  }

  #configure(id: string, bucket: BucketRecord, writes: Write[]): ObjectOutcome {
    this.#draft.set(bucketKey(id), bucket);
    this.#extra.push(...writes);
    return { before: undefined };
  }

  #dropBucket(id: string, { usage }: BucketRecord, writes: Write[]): ObjectOutcome {
    if (usage.objects > 0 || usage.bytes > 0)
      throw new Problem('conflict', `cannot remove bucket "${bucketOf(id)}": it must be empty, it has ${usage.objects} objects and ${usage.bytes} bytes`);
    this.#draft.set(bucketKey(id), undefined);
    this.#extra.push(...writes);
    return { before: undefined };
  }

  /** Puts an object in the place of what is there, or removes that. */
  async #replace(id: string, bucket: BucketRecord, change: Extract<ObjectChange, { kind: 'put' | 'remove' }>, before: ObjectRecord | undefined): Promise<void> {
    const { key } = change;
    const object = change.kind === 'put' ? { ...change.object, createdAt: this.#options.now() } : undefined;
    requireChange(change.conditions ?? {}, key, before);
    if (!object && !before) return;
    if (before && before.digest !== object?.digest) await this.#requireReal(id, bucket, key, before);
    if (object?.manifest && !object.manifest.distrusted) await this.#requireSources(id, key, object.manifest);
    const usage = { ...bucket.usage };
    if (before) count(usage, before, -1);
    const version = before && bucket.versions ? await this.#draft.revision(objectKey(id, key)) : 0;
    if (before && version > 0) count(usage, before, 1, 0);
    if (object) count(usage, object, 1);
    const quotaBytes = bucket.quotaBytes ?? this.#options.quotaBytes;
    if (usage.bytes > quotaBytes && usage.bytes > bucket.usage.bytes)
      throw new Problem(
        'quota-exceeded',
        `cannot put ${JSON.stringify(key)} in bucket "${bucketOf(id)}": at most ${quotaBytes} bytes, it has ${bucket.usage.bytes}`,
      );
    if (before) this.#unlink(id, key, before);
    if (before && version > 0) this.#keepVersion(id, key, before, version);
    if (object) this.#link(id, key, object);
    this.#draft.set(objectKey(id, key), object);
    this.#draft.set(bucketKey(id), { ...bucket, usage });
    this.#tell(object ? 'created' : 'removed', id, key, object ?? (before as ObjectRecord));
  }

  #tell(kind: ObjectEvent['kind'], id: string, key: string, object: ObjectRecord): void {
    this.events.push({ kind, id, key, etag: etagOf(object), bytes: object.bytes, contentType: object.contentType, at: this.#options.now() });
  }

  /** Everything that refers to something on behalf of an object. */
  #link(id: string, key: string, { digest, stored, manifest }: ObjectRecord): void {
    if (stored) this.#draft.set(holderKey(digest, objectHolder(id, key)), true);
    if (!manifest) return;
    this.#draft.set(holderKey(manifest.component, componentHolder(id, key)), true);
    this.#draft.set(computedKey(id, key), true);
    for (const source of manifest.sources) this.#draft.set(dependantKey(source, tenantOf(id), objectHolder(id, key)), { bucket: bucketOf(id), key });
  }

  #unlink(id: string, key: string, { digest, stored, manifest }: ObjectRecord): void {
    if (stored) this.#letGo(digest, objectHolder(id, key));
    if (!manifest) return;
    this.#letGo(manifest.component, componentHolder(id, key));
    this.#draft.set(computedKey(id, key), undefined);
    for (const source of manifest.sources) this.#draft.set(dependantKey(source, tenantOf(id), objectHolder(id, key)), undefined);
  }

  #letGo(digest: Digest, who: string): void {
    this.#draft.set(holderKey(digest, who), undefined);
    this.doubts.push(digest);
  }

  /** Former versions are kept as they are: they cannot be computed. */
  #keepVersion(id: string, key: string, { manifest: _, ...before }: ObjectRecord, version: number): void {
    this.#draft.set(versionKey(id, key, version), before);
    this.#draft.set(holderKey(before.digest, versionHolder(id, key, version)), true);
  }

  async #removeVersion(id: string, bucket: BucketRecord, key: string, version: number): Promise<void> {
    const record = await this.#draft.get<ObjectRecord>(versionKey(id, key, version));
    if (!record) return;
    const usage = { ...bucket.usage };
    count(usage, record, -1, 0);
    this.#letGo(record.digest, versionHolder(id, key, version));
    this.#draft.set(versionKey(id, key, version), undefined);
    this.#draft.set(bucketKey(id), { ...bucket, usage });
  }

  async #settle(
    id: string,
    bucket: BucketRecord,
    { key, digest, stored, manifest }: Extract<ObjectChange, { kind: 'settle' }>,
    before: ObjectRecord | undefined,
  ): Promise<void> {
    if (!before?.manifest || before.digest !== digest) return;
    const changed = before.stored && !stored && !(await this.#hasSources(id, key, manifest));
    const after: ObjectRecord = changed ? { ...before, manifest: { ...manifest, distrusted: 'its source was changed' } } : { ...before, stored, manifest };
    const usage = { ...bucket.usage };
    count(usage, before, -1);
    count(usage, after, 1);
    this.#unlink(id, key, before);
    this.#link(id, key, after);
    this.#draft.set(objectKey(id, key), after);
    this.#draft.set(bucketKey(id), { ...bucket, usage });
  }

  /** What depends on the bytes that go must have its own by now. @throws `Unstored`, Problem `source-in-use` */
  async #requireReal(id: string, bucket: BucketRecord, key: string, before: ObjectRecord): Promise<void> {
    const missing: { id: string; key: string }[] = [];
    for await (const dependant of this.#dependants(id, key)) {
      const { object } = dependant;
      if (!object.stored && object.manifest?.sources.some((source) => source.bucket === bucketOf(id) && source.key === key)) missing.push(dependant);
    }
    if (missing.length > 0 && bucket.whenSource === 'refuse') {
      const [first] = missing;
      throw new Problem(
        'source-in-use',
        `cannot change ${JSON.stringify(key)}: ${missing.length} objects are computed from it, ${JSON.stringify(first?.key)} among them`,
      );
    }
    if (bucket.versions && !before.stored) missing.push({ id, key });
    if (missing.length > 0) throw new Unstored(missing);
  }

  async *#dependants(id: string, key: string): AsyncGenerator<{ id: string; key: string; object: ObjectRecord }> {
    const prefix = dependantsPrefix(id, key);
    let cursor: string | undefined;
    do {
      const page = await this.#options.table.scan<{ bucket: string; key: string }>({ prefix, limit: 1000, ...(cursor !== undefined && { cursor }) });
      for (const { value } of page.entries) {
        const dependant = { id: bucketId(tenantOf(id), value.bucket), key: value.key };
        const object = await this.#options.table.get<ObjectRecord>(objectKey(dependant.id, dependant.key));
        if (object) yield { ...dependant, object: object.value };
      }
      cursor = page.next;
    } while (cursor !== undefined);
  }

  async #hasSources(id: string, key: string, manifest: ObjectManifest): Promise<boolean> {
    try {
      await this.#requireSources(id, key, manifest);
      return true;
    } catch (error) {
      if (error instanceof Problem) return false;
      throw error;
    }
  }

  /** The sources are still those of the manifest, and none is made from this object. @throws Problem `conflict`, `generator-refused` */
  async #requireSources(id: string, key: string, manifest: ObjectManifest): Promise<void> {
    const tenant = tenantOf(id);
    const waiting = manifest.sources.map(({ bucket, key: source, digest }) => ({ bucket, key: source, digest }));
    const seen = new Set<string>();
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const name = `${next.bucket}/${next.key}`;
      if (seen.has(name)) continue;
      seen.add(name);
      if (name === `${bucketOf(id)}/${key}` || seen.size > walkMax)
        throw new Problem(
          'generator-refused',
          `cannot compute ${JSON.stringify(key)}: it would be made from itself, through ${[...seen].slice(0, 8).join(', ')}`,
        );
      const source = await this.#draft.get<ObjectRecord>(objectKey(bucketId(tenant, next.bucket), next.key));
      if (source?.digest !== next.digest) throw new Problem('conflict', `cannot compute ${JSON.stringify(key)}: its source ${name} was changed meanwhile`);
      if (source.manifest && isMade(source)) waiting.push(...source.manifest.sources);
    }
  }
}

const count = (usage: BucketRecord['usage'], { bytes, stored }: ObjectRecord, times: 1 | -1, objects = 1): void => {
  usage.objects += times * objects;
  usage.bytes += times * bytes;
  if (stored) usage.storedBytes += times * bytes;
};
