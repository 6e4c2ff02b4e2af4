// A process that fills a cache for ever, and prints each entry that was answered.
import { openCache } from '../../host/module/cache.ts';
import { pattern } from '../contract/blobs.ts';

const cache = await openCache(process.argv[2] as string, { ttlMs: 3_600_000, bytesMax: 2 ** 30 });
for (let seed = 1; ; seed++) {
  await cache.getOrFill(`k${seed}`, async () => pattern(2_500_000, seed));
  console.log(seed);
}
