// A process whose files may not grow beyond a size: commits until that fails, then shows that it goes on, and prints what it saw.
import type { Problem } from '../../../host/base/errors.ts';
import { openStore } from '../../../host/store/lmdb/store.ts';

const store = await openStore(process.argv[2] as string, { bytesMax: 2 ** 30 });
let stored = 0;
try {
  for (; stored < 200; stored++) {
    await Promise.all(['a', 'b'].map((half) => store.table.commit([{ key: `${half}/${stored}`, put: new Uint8Array(30_000) }])));
  }
} catch (error) {
  console.log(`${(error as Problem).code}`);
}
await new Promise((resolve) => setTimeout(resolve, 100));
await store.table.commit([{ key: 'a/0', delete: true }]).then(
  () => console.log('went on'),
  (error) => console.log(`went on: ${error.code}`),
);
const { entries } = await store.table.scan({ prefix: 'b/', limit: 1000 });
console.log(`${entries.length >= stored}`);
process.exit(0);
