import { functionPrefix, incarnationKey, secretKey, tenantKey } from '../deploy/keys.ts';
import type { FunctionRecord, TenantRecord } from '../deploy/model.ts';
import { noteRemoval } from '../deploy/removals.ts';
import { defaultRoutes } from '../deploy/route.ts';
import { createSealer, type Sealer } from '../deploy/secret.ts';
import type { Entry, Json, Table, Write } from '../store/table.ts';
import type { FeedMessage, Position } from './message.ts';
import { changesBetween, isSecretKey, type KeptSecret, type RecordChanges, type Records, readRecords, type SecretNote, tenantOfKey } from './records.ts';

/** Whom an edge follows, how far it has come, and under which id the origin knows it. */
const originKey = '~node/origin';
type OriginRecord = Position & { edge: string };

const writesOfCommit = 400;

/** Values of secrets by their keys. Those that the edge may not have are not in it. */
export type SecretValues = ReadonlyMap<string, { value: string; stamp: string }>;

export type ReplicaOptions = { table: Table; secretKey: Uint8Array; domain: string };

const functionPattern = /^([a-z0-9-]+)\/function\/([a-z0-9-]+)$/;

/** What it shared is to be removed, and its executions write nothing more to it. */
const endWrites = (tenant: string, name: string): Write[] => [noteRemoval(tenant, name), { key: incarnationKey(tenant, name), delete: true }];

/** The copy of an origin's deployments in the Table of an edge: what deployments read there, as if they had been made there. */
export class Replica {
  private readonly table: Table;
  private readonly sealer: Sealer;
  private readonly domain: string;

  constructor({ table, secretKey: key, domain }: ReplicaOptions) {
    this.table = table;
    this.sealer = createSealer(key);
    this.domain = domain;
  }

  async origin(): Promise<OriginRecord | undefined> {
    return (await this.table.get<OriginRecord>(originKey))?.value;
  }

  async setOrigin(record: OriginRecord): Promise<void> {
    await this.table.commit([{ key: originKey, put: record }]);
  }

  /** Whether functions were deployed here, not taken from an origin. */
  async hasOwnFunctions(): Promise<boolean> {
    if (await this.origin()) return false;
    return [...(await readRecords(this.table)).keys()].some((key) => functionPattern.test(key));
  }

  /** What is here of the origin's deployments. */
  records(): Promise<Records> {
    return readRecords(this.table);
  }

  async known(key: string): Promise<Json | undefined> {
    return (await this.table.get(key))?.value as Json | undefined;
  }

  /** What the message changes here. A whole state may say what is there already. */
  async changesOf({ base, put, remove, domain }: FeedMessage): Promise<RecordChanges> {
    const local: [string, Json][] = put.map(([key, value]) => [key, this.localised(key, value, domain)]);
    if (base !== null) return { put: local, remove };
    return changesBetween(await readRecords(this.table), new Map(local));
  }

  /** Keys of secrets among the changes whose values are not here. */
  async missingSecrets({ put }: RecordChanges): Promise<string[]> {
    const missing: string[] = [];
    for (const [key, value] of put) {
      if (!isSecretKey(key)) continue;
      const known = await this.table.get<KeptSecret>(key);
      if (known?.value.stamp !== (value as SecretNote).stamp) missing.push(key);
    }
    return missing;
  }

  /**
   * Writes the changes, and last where the edge then is. Functions come after what they need and what is removed goes after
   * them, so that a kill in between leaves functions that can be served.
   * @returns tenants that are gone: all that they own here is to be erased
   */
  async apply(changes: RecordChanges, secrets: SecretValues, at: OriginRecord): Promise<string[]> {
    const gone = changes.remove.flatMap((key) => tenantOfKey(key) ?? []);
    const puts = changes.put.filter(([key]) => !functionPattern.test(key)).flatMap(([key, value]) => this.write(key, value, secrets));
    const functions = (await Promise.all(changes.put.map((put) => this.writesOfFunction(put)))).flat();
    const removed = changes.remove.filter((key) => tenantOfKey(key) === undefined).map((key): Write => ({ key, delete: true }));
    const former = functionsOf(changes).flatMap(({ tenant, name }) => endWrites(tenant, name));
    const writes = [...puts, ...functions, ...(await this.removals(gone)), ...former, ...removed, { key: originKey, put: at } satisfies Write];
    for (let i = 0; i < writes.length; i += writesOfCommit) await this.table.commit(writes.slice(i, i + writesOfCommit));
    return gone;
  }

  /**
   * Ends functions in whose place others of their names are to come: from now on nothing is written to what they shared.
   * @returns functions that are to come: what former ones of their names have left must go first
   */
  async endFormer({ put }: RecordChanges): Promise<{ tenant: string; name: string }[]> {
    const coming: { tenant: string; name: string }[] = [];
    for (const [key, value] of put) {
      const [, tenant, name] = functionPattern.exec(key) ?? [];
      if (tenant === undefined || name === undefined) continue;
      const known = (await this.table.get<FunctionRecord>(key))?.value.createdAt;
      if (known === (value as unknown as FunctionRecord).createdAt) continue;
      if (known !== undefined) await this.table.commit(endWrites(tenant, name));
      coming.push({ tenant, name });
    }
    return coming;
  }

  private async writesOfFunction([key, value]: RecordChanges['put'][number]): Promise<Write[]> {
    const [, tenant, name] = functionPattern.exec(key) ?? [];
    if (tenant === undefined || name === undefined) return [];
    const { createdAt } = value as unknown as FunctionRecord;
    const known = await this.table.get<number>(incarnationKey(tenant, name));
    return [{ key, put: value }, ...(known?.value === createdAt ? [] : [{ key: incarnationKey(tenant, name), put: createdAt }])];
  }

  private write(key: string, value: Json, secrets: SecretValues): Write[] {
    if (!isSecretKey(key)) return [{ key, put: value }];
    const secret = secrets.get(key);
    if (!secret) return [];
    const { name, updatedAt } = value as SecretNote;
    return [{ key, put: { name, updatedAt, sealed: this.sealer.seal(key, secret.value), stamp: secret.stamp } satisfies KeptSecret }];
  }

  private async removals(tenants: readonly string[]): Promise<Write[]> {
    const entries = await Promise.all(tenants.map((tenant) => this.table.get<TenantRecord>(tenantKey(tenant))));
    return entries
      .filter((entry): entry is Entry<TenantRecord> => entry !== undefined)
      .map(({ key, value }) => ({ key, put: { ...value, state: 'removing' } }));
  }

  /** Default hosts are under the edge's own domain. */
  private localised(key: string, value: Json, domain: string): Json {
    const [, tenant, name] = functionPattern.exec(key) ?? [];
    if (tenant === undefined || name === undefined || domain === this.domain) return value;
    const record = value as unknown as FunctionRecord;
    const theirs = new Map(defaultRoutes(tenant, name, domain).map((route, index) => [route.host, index]));
    const ours = defaultRoutes(tenant, name, this.domain);
    const routes = record.routes.map((route) => {
      const index = route.host === null ? undefined : theirs.get(route.host);
      return index === undefined ? route : { ...route, host: ours[index]?.host ?? route.host };
    });
    return { ...(value as object), routes } as Json;
  }
}

/** The parts of a secret's key, to look it up where it was put. */
export const secretOfKey = (key: string): { tenant: string; function: string; name: string } | undefined => {
  const [tenant, kind, name, ...rest] = key.split('/');
  const parts = tenant !== undefined && name !== undefined && kind === 'secret' ? { tenant, function: name, name: rest.join('/') } : undefined;
  return parts && secretKey(parts.tenant, parts.function, parts.name) === key ? parts : undefined;
};

export const functionsOf = (changes: RecordChanges): { tenant: string; name: string }[] =>
  changes.remove.flatMap((key) => {
    const [, tenant, name] = functionPattern.exec(key) ?? [];
    return tenant !== undefined && name !== undefined && key === `${functionPrefix(tenant)}${name}` ? [{ tenant, name }] : [];
  });
