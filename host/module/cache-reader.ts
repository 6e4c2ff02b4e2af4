import { checkKey } from '../store/limits.ts';
import type { CacheReport } from './cache.ts';
import { CacheStorage } from './cache-storage.ts';

/** Reads the cache in a thread that does not own it. */
export type CacheReader = {
  /** The entry, verified, of its own memory; undefined when there is none or it is damaged. Ask the supervisor then. */
  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  close(): Promise<void>;
};

/**
 * To be opened after the supervisor has opened the cache; the thread may be terminated.
 * @param report to be handed to `ArtifactCache.report`: it keeps used entries alive and drops damaged ones
 */
export function openCacheReader(dataDir: string, report: (report: CacheReport) => void): CacheReader {
  const storage = CacheStorage.openReader(dataDir);
  const get = async (key: string): Promise<Uint8Array<ArrayBuffer> | undefined> => {
    checkKey(key);
    const value = await storage.read(key);
    if (value === undefined) return undefined;
    report({ kind: value === 'damaged' ? 'damaged' : 'used', key });
    return value === 'damaged' ? undefined : value;
  };
  return { get, close: () => storage.close() };
}
