import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lockData } from '../../host/store/data-lock.ts';
import { openStore } from '../../host/store/lmdb/store.ts';
import { rejects } from '../contract/table.ts';
import { startChild } from './child.ts';
import { temporaryDirectory } from './directory.ts';

test('lockData: refuses a second holder in this process, until the first lets go', async () => {
  const directory = `${temporaryDirectory()}/made/by/it`;
  const release = lockData(directory);
  await rejects(() => lockData(directory), 'data-in-use');
  release();
  release();
  lockData(directory)();
});

test('lockData: refuses at once what another process holds, and takes it over when that is killed', async () => {
  const directory = temporaryDirectory();
  for (let round = 0; round < 3; round++) {
    const holder = startChild('lock-child.ts', directory);
    await holder.printed(1);
    const began = performance.now();
    await rejects(openStore(directory, { bytesMax: 2 ** 24 }), 'data-in-use');
    assert.ok(performance.now() - began < 10_000, 'it does not wait for it');
    await holder.kill();
    const store = await openStore(directory, { bytesMax: 2 ** 24 });
    await rejects(openStore(directory, { bytesMax: 2 ** 24 }), 'data-in-use');
    await store.close();
  }
});

test('lockData: lets exactly one of several that start at once have a directory that a killed one held', async () => {
  const directory = temporaryDirectory();
  const first = startChild('lock-child.ts', directory);
  await first.printed(1);
  await first.kill();
  const children = [1, 2, 3].map(() => startChild('lock-child.ts', directory));
  const outcomes = await Promise.allSettled(children.map((child) => child.printed(1)));
  assert.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  await Promise.all(children.map((child) => child.kill()));
});

test.run();
