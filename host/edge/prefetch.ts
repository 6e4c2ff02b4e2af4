import { type Labels, matchesLabels } from '../base/labels.ts';
import { versionKey } from '../deploy/keys.ts';
import type { FunctionRecord, VersionRecord } from '../deploy/model.ts';
import type { Json } from '../store/table.ts';
import type { Arrival } from './arrivals.ts';
import type { RecordChanges, Records } from './records.ts';

/** What an edge does with a component before anybody asks for it: nothing, fetch it, or prepare it too. */
export type Prefetch = 'none' | 'pull' | 'prepare';

const functionPattern = /^([a-z0-9-]+)\/function\/([a-z0-9-]+)$/;
const versionPattern = /^[a-z0-9-]+\/version\/[a-z0-9-]+\/\d+$/;

const digestsOf = ({ digest, composition }: VersionRecord): string[] => [digest, ...(composition?.sidecars ?? []).map((sidecar) => sidecar.digest)];

/** What its manifest asks for, else what is usual on the node; nothing of what edges with other labels serve. Instances that are made ahead need a component that is prepared. */
const prefetchOf = ({ manifest, adjusted }: VersionRecord, usual: Prefetch, labels: Labels): Prefetch => {
  if (manifest.edges && !matchesLabels(labels, manifest.edges)) return 'none';
  return (adjusted?.prewarm ?? manifest.capacity.prewarm) > 0 ? 'prepare' : (manifest.capacity.prefetch ?? usual);
};

/** Versions that edges answer by, some of them before the others. */
export const answering = ({ live, staged }: FunctionRecord): number[] => [...live.map(({ version }) => version), ...(staged ? [staged.version] : [])];

const versionOf = (record: Json | undefined): VersionRecord | undefined => record as unknown as VersionRecord | undefined;

type Live = { tenant: string; name: string; record: FunctionRecord };

export const liveOf = ([key, value]: readonly [string, Json]): Live[] => {
  const [, tenant, name] = functionPattern.exec(key) ?? [];
  return tenant === undefined || name === undefined ? [] : [{ tenant, name, record: value as unknown as FunctionRecord }];
};

/** Components that are to be here ahead, and those of live versions that are to be prepared, too. */
export function aheadOf(records: Records, usual: Prefetch, labels: Labels = {}): { pull: string[]; prepare: string[] } {
  const [pull, prepare] = [new Set<string>(), new Set<string>()];
  for (const [key, value] of records) {
    const version = versionPattern.test(key) ? versionOf(value) : undefined;
    if (version && prefetchOf(version, usual, labels) !== 'none') for (const digest of digestsOf(version)) pull.add(digest);
  }
  for (const { tenant, name, record } of [...records].flatMap(liveOf)) {
    for (const version of answering(record)) {
      const live = versionOf(records.get(versionKey(tenant, name, version)));
      if (live && prefetchOf(live, usual, labels) === 'prepare') for (const digest of digestsOf(live)) prepare.add(digest);
    }
  }
  return { pull: [...pull], prepare: [...prepare] };
}

export type ReadyOptions = {
  changes: RecordChanges;
  /** The changes came while the edge followed: they are few, and somebody waits for them. */
  isNews: boolean;
  usual: Prefetch;
  /** Of the edge. */
  labels?: Labels;
  /** A record as it is here before the changes. */
  known: (key: string) => Promise<Json | undefined>;
  /** Whether the component is prepared. */
  isPrepared: (digest: string) => boolean;
};

/** Versions that should be served only when they are prepared: of functions that are in use here, and where that is asked for. */
export async function readyFirst({ changes, isNews, usual, labels = {}, known, isPrepared }: ReadyOptions): Promise<Arrival[]> {
  const put = new Map(changes.put);
  const found: Arrival[] = [];
  for (const { tenant, name, record } of changes.put.flatMap(liveOf)) {
    const version = async (number: number): Promise<VersionRecord | undefined> => {
      const key = versionKey(tenant, name, number);
      return versionOf(put.get(key) ?? (await known(key)));
    };
    const before = (await known(`${tenant}/function/${name}`)) as unknown as FunctionRecord | undefined;
    const answered = before ? answering(before) : [];
    const served = await Promise.all([...answered, ...(before?.history.slice(-1) ?? [])].map(version));
    const used = served.some((one) => one !== undefined && isPrepared(one.digest));
    for (const answers of answering(record)) {
      const next = answered.includes(answers) ? undefined : await version(answers);
      if (!next) continue;
      const wanted = prefetchOf(next, usual, labels);
      const digests = digestsOf(next).filter((digest) => !isPrepared(digest));
      if (digests.length > 0 && (used || wanted === 'prepare' || (isNews && wanted === 'pull'))) found.push({ tenant, name, version: answers, digests });
    }
  }
  return found;
}

/** Versions whose components are not here, of functions of which another version is: they were on their way when the edge ended. */
export async function unarrived(records: Records, isHere: (digest: string) => Promise<boolean>): Promise<Arrival[]> {
  const found: Arrival[] = [];
  for (const { tenant, name, record } of [...records].flatMap(liveOf)) {
    const arrivals: Arrival[] = [];
    for (const version of [...answering(record), ...record.history.slice(-1)]) {
      const known = versionOf(records.get(versionKey(tenant, name, version)));
      if (!known) continue;
      const lacking = await Promise.all(digestsOf(known).map(async (digest) => ((await isHere(digest)) ? [] : [digest])));
      arrivals.push({ tenant, name, version, digests: lacking.flat() });
    }
    const isAny = arrivals.some(({ digests }) => digests.length === 0);
    if (isAny) found.push(...arrivals.filter(({ version, digests }) => digests.length > 0 && answering(record).includes(version)));
  }
  return found;
}
