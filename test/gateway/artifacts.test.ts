import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createArtifacts } from '../../host/gateway/artifacts.ts';
import { encodeArtifact } from '../../host/module/artifact.ts';
import { prepare } from '../../host/module/prepare.ts';

const encoded = encodeArtifact(prepare(new Uint8Array(readFileSync(new URL('../../fixtures/hello.wasm', import.meta.url)))));

/** Artifacts over a cache that has what `cached` says, and the keys that were read from it. */
const open = (cached: Set<string>) => {
  const reads: string[] = [];
  const cache = {
    has: (key: string) => [...cached].some((digest) => key.includes(digest)),
    getOrFill: async (key: string) => {
      reads.push(key);
      return { value: encoded, from: 'cache' };
    },
  };
  return { artifacts: createArtifacts({ cache, preparer: {}, blobs: {}, onPrepared: () => undefined } as never), reads };
};

test('prefetch: a module is read and compiled once for all who ask afterwards', async () => {
  const { artifacts, reads } = open(new Set(['one']));
  artifacts.prefetch(['one', 'two']);
  const [first, second] = await Promise.all([artifacts.compile('one'), artifacts.compile('one')]);
  assert.is((await artifacts.compile('one')).artifact, first.artifact);
  assert.is(second.artifact, first.artifact);
  assert.is(first.from, 'cache');
  assert.is(reads.length, 1, 'what is not in the cache is left for its first request');
});

test('prefetch: what has left the cache is asked of it again', async () => {
  const cached = new Set(['one']);
  const { artifacts, reads } = open(cached);
  artifacts.prefetch(['one']);
  await artifacts.compile('one');
  cached.clear();
  await artifacts.compile('one');
  assert.is(reads.length, 2);
});

test.run();
