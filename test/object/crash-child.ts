// A process that puts objects into a store on disk and is killed by itself in the phase that is named: `upload` (half of the bytes
// have come), `written` (all are in Blobs, and nobody refers to them), `commit` (that has begun), `answered`. Or it lets go of the
// bytes of a computed object and is killed in the commit (`drop`), after it (`dropped`), or while they are deleted (`collect`). Or `fill`: its files
// may not grow beyond a size; it puts until that fails, and prints what it saw.
import type { Problem } from '../../host/base/errors.ts';
import { createObjects, type Objects } from '../../host/object/objects.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { openStore } from '../../host/store/lmdb/store.ts';

const [, , data = '', phase = ''] = process.argv;
const die = (): void => void process.kill(process.pid, 'SIGKILL');
const store = await openStore(data, { bytesMax: 2 ** 30 });
const held = new HeldBlobs(store);
let deadly = false;
const objects: Objects = createObjects({
  ...store,
  held,
  ownerKey: () => 'owner',
  isOwner: () => true,
  objectBytesMax: 2 ** 30,
  quotaBytes: 2 ** 30,
  eventWrites: () => {
    if (deadly && phase === 'written') die();
    if (deadly && (phase === 'commit' || phase === 'drop')) queueMicrotask(() => setImmediate(die));
    return [];
  },
});
const id = 'acme/b';
const chunks = function* (filled: number): Generator<Uint8Array> {
  for (let i = 0; i < 40; i++) {
    yield new Uint8Array(100_000).fill(filled);
    if (deadly && phase === 'upload' && i === 20) die();
  }
};

const fill = async (): Promise<void> => {
  let stored = 0;
  let code = 'none';
  for (; stored < 100 && code === 'none'; stored++) {
    await objects.store.put(id, `k${stored}`, { source: chunks(stored + 1) }).catch((error: Problem) => {
      code = error.code;
      stored--;
    });
  }
  const first = Buffer.from((await store.blobs.get(objects.store.find(id, 'k0')?.digest ?? '')) ?? []);
  const removed = await objects.store.remove(id, 'k0').then(
    () => 'removed',
    (error: Problem) => error.code,
  );
  const { usage } = objects.store.reader.bucket(id) ?? {};
  console.log(JSON.stringify({ code, stored, intact: first.length === 4_000_000 && first.every((byte) => byte === 1), removed, usage }));
};

const letGo = async (): Promise<void> => {
  const source = (await objects.store.put(id, 'before', { source: [Buffer.from('before')] })).object;
  const claim = await held.put(chunks(7), { bytesMax: 2 ** 30 });
  const sources = [{ bucket: 'b', key: 'before', digest: source.digest, bytes: source.bytes }];
  const limits = { memoryMib: 1, cpuMs: 1, timeMs: 1, concurrency: 1, trust: 'shared' as const };
  const manifest = { function: 'f', version: 1, component: source.digest, limits, sources, params: {}, rule: null, depth: 1, proven: ['r'] };
  const object = { digest: claim.digest, bytes: claim.bytes, contentType: 'text/plain', headers: {}, stored: true, manifest };
  await objects.store.change(id, { kind: 'put', key: 'k', object });
  claim.release();
  deadly = true;
  await objects.store.change(id, { kind: 'settle', key: 'k', digest: claim.digest, stored: false, manifest });
  if (phase !== 'collect') return;
  const remove = store.blobs.delete.bind(store.blobs);
  store.blobs.delete = (digest) => {
    setImmediate(die);
    return remove(digest);
  };
  await held.collect();
};

if (phase === 'fill') await fill();
else if (['drop', 'dropped', 'collect'].includes(phase)) {
  await letGo();
  die();
} else {
  await objects.store.put(id, 'before', { source: [Buffer.from('before')] });
  await objects.store.put(id, 'k', { source: [Buffer.from('old')] });
  deadly = true;
  await objects.store.put(id, 'k', { source: chunks(7) });
  die();
}
process.exit(0);
