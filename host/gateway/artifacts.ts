import { Problem } from '../base/errors.ts';
import type { StoredSource } from '../base/load-source.ts';
import type { CompiledArtifact } from '../instance/compiled.ts';
import { type Artifact, decodeArtifact, PROFILE } from '../module/artifact.ts';
import { type ArtifactCache, artifactKey } from '../module/cache.ts';
import type { Preparer } from '../module/preparer.ts';
import type { Blobs } from '../store/blobs.ts';

export type PreparedModule = { artifact: Artifact; from: StoredSource };

/** Where the modules of a node come from: the cache, or else the component's bytes, prepared. Each is fetched once at a time. */
export type Artifacts = {
  /** @throws Problem `module-not-found`, `module-invalid`, `import-unknown` */
  get(digest: string): Promise<PreparedModule>;
  /** Whether it is in the cache; no use of it. */
  has(digest: string): boolean;
  /** With its core modules compiled, to be posted to threads. */
  compile(digest: string): Promise<{ artifact: CompiledArtifact; from: StoredSource }>;
  /** Compiles those that are in the cache before anybody asks, and keeps them for the first who do: a start need not let its first requests wait. Returns them, most recently used first. */
  prefetch(digests: readonly string[]): string[];
};

export type ArtifactsOptions = {
  cache: ArtifactCache;
  preparer: Preparer;
  blobs: Blobs;
  /** Brings bytes that are not on this node into Blobs; undefined where there is no other place. */
  pull?: (digest: string) => Promise<void>;
  /** Told how long a preparation took. */
  onPrepared: (seconds: number) => void;
};

/** Modules that are compiled before anybody asks, and how long they are kept for those who do. */
const prefetchedMax = 32;
const prefetchedMs = 10_000;

const compileAll = async ({ artifact, from }: PreparedModule): Promise<{ artifact: CompiledArtifact; from: StoredSource }> => {
  const { plan, reports, restorable } = artifact;
  const modules = await Promise.all(artifact.modules.map((bytes) => WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>)));
  return { artifact: { plan, reports, restorable, modules }, from };
};

type Compiled = ReturnType<Artifacts['compile']>;

const keepForAWhile = (kept: Map<string, Compiled>, digests: readonly string[], compile: Artifacts['compile']): void => {
  for (const digest of digests) {
    const compiled = compile(digest);
    kept.set(digest, compiled);
    compiled.catch(() => kept.delete(digest));
  }
  setTimeout(() => kept.clear(), prefetchedMs).unref();
};

/** The bytes of a component, brought here if they are elsewhere. */
const loadBytes = async ({ blobs, pull }: ArtifactsOptions, digest: string, onPulled: () => void): Promise<Uint8Array> => {
  let bytes = await blobs.get(digest);
  if (!bytes && pull) {
    await pull(digest);
    onPulled();
    bytes = await blobs.get(digest);
  }
  if (!bytes) throw new Problem('module-not-found', `cannot prepare module ${digest}: its bytes are not in the store`);
  return bytes;
};

export const createArtifacts = (options: ArtifactsOptions): Artifacts => {
  const { cache, preparer, onPrepared } = options;
  const compiling = new Map<string, Compiled>();
  const prefetched = new Map<string, Compiled>();

  const prepare = async (digest: string, onPulled: () => void): Promise<Uint8Array<ArrayBuffer>> => {
    const startMs = performance.now();
    const artifact = await preparer.prepare(digest, () => loadBytes(options, digest, onPulled));
    onPrepared((performance.now() - startMs) / 1000);
    return artifact;
  };

  const get = async (digest: string): Promise<PreparedModule> => {
    let isPulled = false;
    const { value, from } = await cache.getOrFill(artifactKey(digest, PROFILE), () =>
      prepare(digest, () => {
        isPulled = true;
      }),
    );
    const artifact = decodeArtifact(value);
    if (!artifact) throw new Problem('internal', `cannot read the artifact of module ${digest}: it is damaged`);
    return { artifact, from: isPulled && from === 'prepared' ? 'pulled' : from };
  };

  const has = (digest: string): boolean => cache.has(artifactKey(digest, PROFILE));

  const compile: Artifacts['compile'] = (digest) => {
    const known = (has(digest) ? prefetched.get(digest) : undefined) ?? compiling.get(digest);
    if (known) return known;
    const compiled = get(digest)
      .then(compileAll)
      .finally(() => compiling.delete(digest));
    compiling.set(digest, compiled);
    return compiled;
  };

  const usedAtMs = (digest: string): number => cache.usedAtMs(artifactKey(digest, PROFILE)) ?? 0;

  const prefetch: Artifacts['prefetch'] = (digests) => {
    const recent = digests.filter(has).toSorted((a, b) => usedAtMs(b) - usedAtMs(a));
    keepForAWhile(prefetched, recent.slice(0, prefetchedMax), compile);
    return recent;
  };

  return { get, has, compile, prefetch };
};
