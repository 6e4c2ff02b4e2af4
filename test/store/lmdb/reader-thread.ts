// A worker thread that watches a prefix and posts each change; "spin" makes it read for ever.
import { parentPort, workerData } from 'node:worker_threads';
import { openStoreReader } from '../../../host/store/lmdb/store.ts';

const { directory, spin } = workerData as { directory: string; spin: boolean };
const { table } = openStoreReader(directory);
table.watch('w/', ({ key, entry }) => parentPort?.postMessage(`${key}=${entry?.value ?? 'gone'}`));
parentPort?.postMessage('ready');
parentPort?.on('message', () => {});
if (spin) for (;;) await table.get('w/1');
