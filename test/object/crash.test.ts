import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ObjectRecord, objectPrefix } from '../../host/capability/object-model.ts';
import { ObjectReader } from '../../host/capability/object-reader.ts';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { openStore } from '../../host/store/lmdb/store.ts';
import { temporaryDirectory } from '../store/directory.ts';

const child = fileURLToPath(new URL('crash-child.ts', import.meta.url));
const id = 'acme/b';

for (const [phase, outcome] of [
  ['upload', 'old'],
  ['written', 'old'],
  ['commit', 'either'],
  ['answered', 'new'],
] as const) {
  test(`objects: kill -9 in the phase "${phase}" of a put leaves the object as it was or as it is to be, and no bytes without one`, async () => {
    const data = temporaryDirectory();
    const { signal } = await promisify(execFile)(process.execPath, [child, data, phase]).then(
      () => ({ signal: 'none' }),
      (error: { signal: string }) => error,
    );
    assert.is(signal, 'SIGKILL');
    const store = await openStore(data, { bytesMax: 2 ** 30 });
    await new HeldBlobs(store).sweep();
    const reader = new ObjectReader(store);
    const digests: string[] = [];
    const sizes = new Map<string, number>();
    for (const { key, object } of reader.list(id, { limit: 10 }).objects) {
      digests.push(object.digest);
      sizes.set(key, (await store.blobs.get(object.digest))?.length ?? -1);
      assert.is(sizes.get(key), object.bytes, 'the bytes are there');
    }
    assert.is(sizes.get('before'), 6);
    const now = sizes.get('k') === 3 ? 'old' : 'new';
    assert.ok(outcome === 'either' || now === outcome, `${phase}: ${now}`);
    assert.equal((await Array.fromAsync(store.blobs.digests())).sort(), digests.sort());
    assert.equal(reader.bucket(id)?.usage, { objects: 2, bytes: now === 'old' ? 9 : 4_000_006, storedBytes: now === 'old' ? 9 : 4_000_006 });
    assert.is((await store.table.scan({ prefix: objectPrefix(id), limit: 10 })).entries.length, 2);
    await store.close();
  });
}

for (const phase of ['drop', 'dropped', 'collect']) {
  test(`objects: kill -9 in the phase "${phase}" of letting go: the object is there, its bytes are if it says so, and no others`, async () => {
    const data = temporaryDirectory();
    const { signal } = await promisify(execFile)(process.execPath, [child, data, phase]).then(
      () => ({ signal: 'none' }),
      (error: { signal: string }) => error,
    );
    assert.is(signal, 'SIGKILL');
    const store = await openStore(data, { bytesMax: 2 ** 30 });
    await new HeldBlobs(store).sweep();
    const reader = new ObjectReader(store);
    const [before, k] = ['before', 'k'].map((key) => reader.find(id, key)?.value) as [ObjectRecord, ObjectRecord];
    assert.ok(phase === 'drop' || !k.stored);
    assert.is((await store.blobs.get(k.digest))?.length, k.stored ? 4_000_000 : undefined);
    assert.equal((await Array.fromAsync(store.blobs.digests())).sort(), [before.digest, ...(k.stored ? [k.digest] : [])].sort());
    assert.equal(reader.bucket(id)?.usage, { objects: 2, bytes: 4_000_006, storedBytes: k.stored ? 4_000_006 : 6 });
    await store.close();
  });
}

test('objects: a disk that is full refuses a put with its reason; what was there stays, and is counted right', async () => {
  const limited = 'ulimit -f 40000; exec "$0" "$@"';
  const { stdout } = await promisify(execFile)('sh', ['-c', limited, process.execPath, child, temporaryDirectory(), 'fill']);
  const { code, stored, intact, removed, usage } = JSON.parse(stdout) as { code: string; stored: number; intact: boolean; removed: string; usage: object };
  assert.ok(['store-full', 'unavailable'].includes(code), stdout);
  assert.ok(stored > 0 && intact, stdout);
  const left = removed === 'removed' ? stored - 1 : stored;
  assert.equal(usage, { objects: left, bytes: left * 4_000_000, storedBytes: left * 4_000_000 }, stdout);
});

test.run();
