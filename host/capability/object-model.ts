/** What is kept of objects, and where: shared by the threads that read them and the one that writes. */
import type { Digest } from '../store/blobs.ts';
import { bucketOf, tenantOf } from './keyvalue-keys.ts';

/** Headers of a response that whoever put the object has set, by lower-case name; metadata of the user begins with `nacelle-meta-`. */
export type ObjectHeaders = Readonly<Record<string, string>>;

/** Another object, as it was when something was made from it. */
export type SourceRef = { bucket: string; key: string; digest: Digest; bytes: number };

/** How an object can be made again. Everything that shapes the output is in it, so two outputs of one manifest are equal. */
export type ObjectManifest = {
  function: string;
  version: number;
  /** Digest of the function's component, which stays as long as the manifest does. */
  component: Digest;
  /** Of the function when the object was put: they hold for every run. */
  limits: { memoryMib: number; cpuMs: number; timeMs: number; concurrency: number; trust: 'shared' | 'isolated' };
  sources: SourceRef[];
  params: Record<string, string>;
  /** The rule of the bucket by which it came, if one did. */
  rule: string | null;
  /** How many computed objects stand one behind the other before the first that was put. */
  depth: number;
  /** Runtimes that gave the digest twice: only under these may the bytes be let go. */
  proven: string[];
  /** Why it is kept for good, if it is: its generator gave other bytes, or failed. If its bytes are gone, as soon as they have been made once more. */
  distrusted?: string;
};

export type ObjectRecord = {
  digest: Digest;
  bytes: number;
  contentType: string;
  headers: ObjectHeaders;
  /** When it was put, in milliseconds since 1970. */
  createdAt: number;
  /** Whether its bytes are held; if not, `manifest` says how they are made. */
  stored: boolean;
  manifest?: ObjectManifest;
};

/** Objects of `keys` are made from objects of `from` (`bucket/key`), where `*` stands for the same text in both. */
export type ObjectRule = { keys: string; from: string; function: string; version?: number | undefined; params: Record<string, string> };

/** Whether it is made from its sources whenever its bytes are not at hand: then these must stay what they are. */
export const isMade = ({ stored, manifest }: ObjectRecord): boolean => manifest !== undefined && !(stored && manifest.distrusted !== undefined);

/** What a tenant says of a bucket. */
export type BucketSettings = {
  /** Anybody may read it through the gateways. */
  public: boolean;
  /** Routes beside the default one, in the form of a manifest's routes. */
  routes: string[];
  /** Most bytes of all objects, computed ones and former versions included. Null: the node's own limit. */
  quotaBytes: number | null;
  /** Whether what is overwritten or removed is kept as a version. */
  versions: boolean;
  rules: ObjectRule[];
  /** What a change of an object does when others are computed from it: makes them real before, or is refused. */
  whenSource: 'keep' | 'refuse';
};

/** Counted in the commits that change the bucket. Former versions count as bytes, not as objects. */
export type BucketUsage = { objects: number; bytes: number; storedBytes: number };

export type BucketRecord = BucketSettings & { name: string; createdAt: number; usage: BucketUsage };

export const defaultSettings: BucketSettings = { public: false, routes: [], quotaBytes: null, versions: false, rules: [], whenSource: 'keep' };

/** Buckets are named by ids, `tenant/bucket`, as grants name them. Keys in the Table begin with the tenant, and so go with it. */
export const bucketKey = (id: string): string => `${bucketsPrefix(tenantOf(id))}${bucketOf(id)}`;
export const bucketsPrefix = (tenant: string): string => `${tenant}/bucket/`;
export const objectKey = (id: string, key: string): string => objectPrefix(id) + key;
export const objectPrefix = (id: string): string => `${tenantOf(id)}/object/${bucketOf(id)}/`;
export const objectsPrefix = (tenant: string): string => `${tenant}/object/`;

const revisionDigits = 16;
/** Former versions of one object, the latest first; NUL is in no key. */
export const versionKey = (id: string, key: string, version: number): string =>
  `${versionPrefix(id, key)}${String(10 ** revisionDigits - 1 - version).padStart(revisionDigits, '0')}`;
export const versionPrefix = (id: string, key: string): string => `${versionsPrefix(id)}${key}\0`;
export const versionsPrefix = (id: string): string => `${tenantOf(id)}/object-version/${bucketOf(id)}/`;
export const allVersionsPrefix = (tenant: string): string => `${tenant}/object-version/`;
export const versionOf = (key: string): number => 10 ** revisionDigits - 1 - Number(key.slice(-revisionDigits));

/** Names an object among all that hold bytes; former versions have their number behind a NUL. */
export const objectHolder = (id: string, key: string): string => `${id}/${key}`;
export const versionHolder = (id: string, key: string, version: number): string => `${id}/${key}\0${version}`;
/** The same for the component of its manifest. */
export const componentHolder = (id: string, key: string): string => `${id}/${key}\0component`;

/** The entity tag: strong, since it names the very bytes. */
export const etagOf = ({ digest }: Pick<ObjectRecord, 'digest'>): string => `"${digest.slice('sha256:'.length)}"`;
