import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Environment } from '../../../host/store/lmdb/environment.ts';
import { openStore } from '../../../host/store/lmdb/store.ts';
import type { Store } from '../../../host/store/store.ts';
import { digestOf } from '../../contract/blobs.ts';
import { type Child, startChild } from '../child.ts';
import { temporaryDirectory } from '../directory.ts';

const mib = 1024 * 1024;

async function keys(store: Store, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await store.table.scan({ prefix, limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
    found.push(...page.entries.map(({ key }) => key));
    if (page.next === undefined) return found;
    cursor = page.next;
  }
}

async function runAndKill(directory: string, round: number): Promise<Child> {
  const child = startChild('lmdb/commit-child.ts', directory);
  await child.printed(40 + 30 * round);
  await new Promise((resolve) => setTimeout(resolve, 7 * round));
  await child.kill();
  return child;
}

test('openStore: has every acknowledged commit whole after kill -9, and none half', async () => {
  for (let round = 0; round < 3; round++) {
    const directory = temporaryDirectory();
    const child = await runAndKill(directory, round);
    const store = await openStore(directory, { bytesMax: 2 ** 30 });
    const left = await keys(store, 'left/');
    assert.equal(
      await keys(store, 'right/'),
      left.map((key) => key.replace('left', 'right')),
    );
    const acknowledged = child.lines.filter((line) => line.startsWith('commit ')).map((line) => `left/${line.slice(7).replace(' ', '/')}`);
    assert.ok(acknowledged.length > 20);
    const there = new Set(left);
    assert.equal(
      acknowledged.filter((key) => !there.has(key)),
      [],
    );
    for (const lane of [0, 1, 2]) {
      const last = (await store.table.get<number>(`last/${lane}`))?.value ?? -1;
      assert.is(left.filter((key) => key.startsWith(`left/${lane}/`)).length, last + 1);
    }
    await store.close();
  }
});

test('openStore: has every acknowledged blob whole after kill -9, and no chunks of others', async () => {
  for (let round = 1; round < 4; round++) {
    const directory = temporaryDirectory();
    const child = await runAndKill(directory, round);
    const store = await openStore(directory, { bytesMax: 2 ** 30 });
    const stored: string[] = [];
    for await (const digest of store.blobs.digests()) stored.push(digest);
    const acknowledged = child.lines.filter((line) => line.startsWith('blob ')).map((line) => line.slice(5));
    const gone = new Set(child.lines.filter((line) => line.startsWith('gone ')).map((line) => line.slice(5)));
    const missing = acknowledged.filter((digest) => !stored.includes(digest) && !gone.has(digest));
    assert.ok(missing.length <= 1, 'at most the one whose delete was under way');
    for (const digest of stored) assert.is(digestOf((await store.blobs.get(digest)) as Uint8Array), digest);
    assert.equal(
      stored.filter((digest) => gone.has(digest)),
      [],
    );
    await store.close();
    assert.is(chunkCount(directory), stored.length * 3, 'three chunks a blob');
  }
});

/** Counts records of the blobs database that are neither a blob's record nor, after the sweep, a marker. */
function chunkCount(directory: string): number {
  const environment = new Environment(`${directory}/store`, {
    databases: { table: { versions: true }, blobs: { versions: true } },
    mapBytes: 64 * mib,
    readOnly: true,
  });
  const found = [...environment.database('blobs').getKeys({ start: Buffer.of(0), end: Buffer.of(255) })].map((key) => String.fromCharCode(key[0] as number));
  void environment.close();
  assert.not.ok(found.includes('m'), 'no marker is left');
  return found.filter((kind) => kind === 'c').length;
}

test.run();
