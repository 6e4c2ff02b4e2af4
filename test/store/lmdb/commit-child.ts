// A process that commits pairs of records and puts blobs for ever, one of them half, and prints each when it is acknowledged.
import { openStore } from '../../../host/store/lmdb/store.ts';
import { pattern } from '../../contract/blobs.ts';

const store = await openStore(process.argv[2] as string, { bytesMax: 2 ** 30 });

async function commits(lane: number): Promise<void> {
  for (let index = 0; ; index++) {
    await store.table.commit([
      { key: `left/${lane}/${index}`, put: index, expectRevision: 0 },
      { key: `right/${lane}/${index}`, put: new Uint8Array(300), expectRevision: 0 },
      { key: `last/${lane}`, put: index },
    ]);
    console.log(`commit ${lane} ${index}`);
  }
}

async function blobs(): Promise<void> {
  for (let seed = 1; ; seed++) {
    const { digest } = await store.blobs.put([pattern(3_000_000, seed)], { bytesMax: 3_000_000 });
    console.log(`blob ${digest}`);
    if (seed % 3 === 0) {
      await store.blobs.delete(digest);
      console.log(`gone ${digest}`);
    }
  }
}

/** A put that has written chunks and never ends. */
async function halfBlob(): Promise<void> {
  async function* source() {
    yield pattern(2_500_000, 77);
    await new Promise(() => {});
  }
  await store.blobs.put(source(), { bytesMax: 3_000_000 });
}

await Promise.all([commits(0), commits(1), commits(2), blobs(), halfBlob()]);
