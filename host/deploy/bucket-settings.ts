import { Problem } from '../base/errors.ts';
import { bucketId } from '../capability/keyvalue-keys.ts';
import { type BucketRecord, type BucketSettings, bucketKey, bucketsPrefix, defaultSettings } from '../capability/object-model.ts';
import type { ObjectChange } from '../object/object-draft.ts';
import type { Write } from '../store/table.ts';
import { parseBucketSettings } from './bucket-schema.ts';
import { allowedRoutes, claimWrites } from './claim.ts';
import { type Ground, requireTenant } from './ground.ts';
import { compareRoutes, type FunctionRoute, formatRoute, parseRoute } from './route.ts';
import { type Listed, type ListPage, listPage } from './scan.ts';

/** Makes a change of objects: `ObjectStore.change`. */
export type ChangeObjects = (id: string, change: ObjectChange) => Promise<unknown>;

/** Where a public bucket answers without asking. No function's name begins with "~". */
const defaultBucketRoute = (tenant: string, bucket: string): FunctionRoute => {
  const prefix = `/~${tenant}/~objects/${bucket}`;
  return { host: null, path: `${prefix}/*`, stripPrefix: prefix };
};

/** The routes of a bucket; those it was given remove their path too, so that what follows is the key. */
export const bucketRoutes = (tenant: string, { name, public: isPublic, routes }: Pick<BucketRecord, 'name' | 'public' | 'routes'>): FunctionRoute[] => {
  if (!isPublic) return [];
  const own = routes.flatMap((text) => {
    const pattern = parseRoute(text);
    return typeof pattern === 'string' ? [] : [{ ...pattern, stripPrefix: pattern.path.endsWith('/*') ? pattern.path.slice(0, -2) : '' }];
  });
  return [defaultBucketRoute(tenant, name), ...own].sort(compareRoutes);
};

/** Settings of buckets of objects. A public one has routes, which it claims as functions do. */
export class Buckets {
  readonly #ground: Ground;
  readonly #change: ChangeObjects;

  constructor(ground: Ground, change: ChangeObjects) {
    this.#ground = ground;
    this.#change = change;
  }

  async find(tenant: string, name: string): Promise<BucketRecord | undefined> {
    this.#ground.table.refresh();
    return (await this.#ground.table.get<BucketRecord>(bucketKey(bucketId(tenant, name))))?.value;
  }

  /** @throws Problem `not-found` */
  async require(tenant: string, name: string): Promise<BucketRecord> {
    const bucket = await this.find(tenant, name);
    if (!bucket) throw new Problem('not-found', `there is no bucket "${name}"`);
    return bucket;
  }

  list(tenant: string, page: ListPage): Promise<Listed<BucketRecord>> {
    return listPage<BucketRecord>(this.#ground.table, bucketsPrefix(tenant), page);
  }

  /** Makes the bucket, or gives it other settings; what is not named has its default. @throws Problem `request-invalid`, `route-taken`, `route-not-allowed` */
  async configure(tenant: string, name: string, input: unknown): Promise<BucketRecord> {
    const settings = parseBucketSettings(name, input);
    const wrong = settings.routes.flatMap((text) => {
      const pattern = parseRoute(text);
      return typeof pattern === 'string' ? [`cannot use ${JSON.stringify(text.slice(0, 80))} as a route of bucket "${name}": ${pattern}`] : [];
    });
    if (wrong.length > 0) throw new Problem('request-invalid', wrong[0] ?? '', wrong);
    const changed = await this.#ground.serial(() => this.#commit(tenant, name, settings));
    if (changed) await this.#ground.publish();
    return this.require(tenant, name);
  }

  /** @throws Problem `not-found`, `conflict` when it is not empty */
  async remove(tenant: string, name: string): Promise<void> {
    const { table, serial, publish } = this.#ground;
    await serial(async () => {
      const bucket = await this.require(tenant, name);
      const writes = await claimWrites(table, { tenant, function: '' }, bucketRoutes(tenant, bucket), []);
      await this.#change(bucketId(tenant, name), { kind: 'drop-bucket', writes });
    });
    await publish();
  }

  /** @returns whether its routes are others now */
  async #commit(tenant: string, name: string, settings: BucketSettings): Promise<boolean> {
    const { table } = this.#ground;
    const owner = await requireTenant(table, tenant);
    const routes = allowedRoutes(owner.value, name, settings.routes).map(formatRoute);
    const before = bucketRoutes(tenant, (await this.find(tenant, name)) ?? { ...defaultSettings, name });
    const after = bucketRoutes(tenant, { ...settings, name, routes });
    const writes: Write[] = await claimWrites(table, { tenant, function: `~objects/${name}` }, before, after);
    await this.#change(bucketId(tenant, name), { kind: 'configure', settings: { ...settings, routes }, writes });
    return before.map(formatRoute).join() !== after.map(formatRoute).join();
  }
}
