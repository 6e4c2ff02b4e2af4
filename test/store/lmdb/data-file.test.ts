import { truncateSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import { openStore } from '../../../host/store/lmdb/store.ts';
import { pattern } from '../../contract/blobs.ts';
import { rejects } from '../../contract/table.ts';
import { temporaryDirectory } from '../directory.ts';

test('openStore: refuses a damaged file instead of taking the process down, and lets the directory go', async () => {
  const options = { bytesMax: 2 ** 24 };
  for (const harm of [
    (file: string) => truncateSync(file, 8192),
    (file: string) => truncateSync(file, 100),
    (file: string) => writeFileSync(file, pattern(50_000)),
  ]) {
    const directory = temporaryDirectory();
    const store = await openStore(directory, options);
    await store.table.commit([{ key: 'a', put: 1 }]);
    await store.close();
    harm(`${directory}/store/data.mdb`);
    for (const _ of [1, 2]) await rejects(openStore(directory, options), 'internal');
    writeFileSync(`${directory}/store/data.mdb`, '');
    await (await openStore(directory, options)).close();
  }
});

test.run();
