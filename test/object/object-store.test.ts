import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { etagOf, versionOf, versionPrefix } from '../../host/capability/object-model.ts';
import type { ObjectEvent } from '../../host/object/object-event.ts';
import { digestOf } from '../contract/blobs.ts';
import { rejects } from '../contract/table.ts';
import { badKeys, bytes, keysOf, oddKeys, openObjects, textOf } from './fixture.ts';

const photos = 'acme/photos';

test('ObjectStore: gives back what was put, whatever its key', async () => {
  const fixture = await openObjects({ objectBytesMax: 2000 });
  for (const key of oddKeys)
    await fixture.store.put(photos, key, { source: [bytes(`of ${key}`)], contentType: 'text/plain', headers: { 'nacelle-meta-k': 'v' } });
  for (const key of oddKeys) assert.is(await textOf(fixture, photos, key), `of ${key}`);
  assert.equal((await keysOf(fixture, photos)).sort(), [...oddKeys].sort());
  const object = fixture.store.find(photos, 'a');
  assert.equal([object?.contentType, object?.headers, object?.bytes, object?.createdAt], ['text/plain', { 'nacelle-meta-k': 'v' }, 4, 1_000_000]);
});

test('ObjectStore: refuses keys that are no keys before a byte is read', async () => {
  const { store } = await openObjects();
  const source = (async function* () {
    yield bytes('never');
    throw new Error('the source was read');
  })();
  for (const key of badKeys) {
    await rejects(store.put(photos, key, { source }), 'request-invalid');
    await rejects(() => store.find(photos, key), 'request-invalid');
    await rejects(store.remove(photos, key), 'request-invalid');
  }
});

test('ObjectStore: neither tenants nor buckets meet', async () => {
  const fixture = await openObjects();
  const ids = ['acme/photos', 'acme/photos-2', 'other/photos'];
  for (const id of ids) await fixture.store.put(id, 'k', { source: [bytes(id)] });
  for (const id of ids) {
    assert.is(await textOf(fixture, id, 'k'), id);
    assert.equal(await keysOf(fixture, id), ['k']);
  }
  await rejects(fixture.store.put('nobody/photos', 'k', { source: [bytes('x')] }), 'not-found');
  await fixture.held.collect();
  assert.is((await Array.fromAsync(fixture.blobs.digests())).length, 3);
});

test('ObjectStore: conditions are checked when it is committed, so of many creations at once one succeeds', async () => {
  const fixture = await openObjects();
  const create = (text: string) => fixture.store.put(photos, 'k', { source: [bytes(text)], conditions: { ifNoneMatch: '*' } });
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => create(`n${index}`)));
  assert.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  for (const outcome of outcomes) if (outcome.status === 'rejected') assert.is((outcome.reason as { code: string }).code, 'precondition-failed');
  const etag = etagOf(fixture.store.find(photos, 'k') as { digest: string });
  const swaps = await Promise.allSettled([1, 2, 3].map((n) => fixture.store.put(photos, 'k', { source: [bytes(`s${n}`)], conditions: { ifMatch: [etag] } })));
  assert.is(swaps.filter(({ status }) => status === 'fulfilled').length, 1);
  await rejects(fixture.store.remove(photos, 'k', { ifMatch: [etag] }), 'precondition-failed');
  assert.is(await fixture.store.remove(photos, 'k'), true);
  assert.is(await fixture.store.remove(photos, 'k'), false);
  await fixture.held.collect();
  assert.equal(await Array.fromAsync(fixture.blobs.digests()), []);
});

test('ObjectStore: a wrong digest, too many bytes, a quota in the middle of a stream and a cut upload leave nothing', async () => {
  const fixture = await openObjects({ quotaBytes: 1500 });
  await fixture.store.put(photos, 'old', { source: [bytes('x'.repeat(900))] });
  const put = (source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, digest?: string) => fixture.store.put(photos, 'new', { source, digest });
  let read = 0;
  const endless = function* () {
    for (;;) {
      read += 100;
      yield bytes('y'.repeat(100));
    }
  };
  await rejects(put([bytes('a')], digestOf(bytes('b'))), 'request-invalid');
  await rejects(put(endless()), 'quota-exceeded');
  assert.is(read, 700);
  await fixture.store.remove(photos, 'old');
  await rejects(put(endless()), 'body-too-large');
  const cut = (async function* () {
    yield bytes('begun');
    throw new RangeError('cut');
  })();
  assert.instance(await put(cut).catch((error: unknown) => error), RangeError);
  assert.is(fixture.store.find(photos, 'new'), undefined);
  await fixture.held.collect();
  assert.equal(await Array.fromAsync(fixture.blobs.digests()), []);
});

test('ObjectStore: puts at once cannot exceed the quota together', async () => {
  const { store } = await openObjects({ quotaBytes: 1000 });
  const outcomes = await Promise.allSettled(
    Array.from({ length: 10 }, (_, index) => store.put(photos, `k${index}`, { source: [bytes(String(index).repeat(300))] })),
  );
  assert.is(outcomes.filter(({ status }) => status === 'fulfilled').length, 3);
  assert.equal(store.reader.bucket(photos)?.usage, { objects: 3, bytes: 900, storedBytes: 900 });
});

test('ObjectStore: tells of what was created and removed, in that order', async () => {
  const events: ObjectEvent[] = [];
  const { store } = await openObjects({ onEvents: (told) => void events.push(...told) });
  await store.put(photos, 'k', { source: [bytes('one')], contentType: 'text/plain' });
  await store.put(photos, 'k', { source: [bytes('two')] });
  await store.remove(photos, 'k');
  await store.remove(photos, 'k');
  assert.equal(
    events.map(({ kind, id, key, bytes: size, contentType }) => [kind, id, key, size, contentType]),
    [
      ['created', photos, 'k', 3, 'text/plain'],
      ['created', photos, 'k', 3, 'application/octet-stream'],
      ['removed', photos, 'k', 3, 'application/octet-stream'],
    ],
  );
});

test('ObjectStore: what an event writes is committed with the object or not at all', async () => {
  const eventWrites = (events: readonly ObjectEvent[]) => events.map(({ key }) => ({ key: `outbox/${key}`, put: true, expectRevision: 0 }));
  const { store, table } = await openObjects({ eventWrites });
  await store.put(photos, 'k', { source: [bytes('one')] });
  assert.ok(await table.get('outbox/k'));
  await rejects(store.put(photos, 'k', { source: [bytes('two')] }), 'conflict');
  assert.is(store.find(photos, 'k')?.digest, digestOf(bytes('one')));
});

type Step = ['put', key: number, content: number] | ['remove', key: number] | ['version', key: number] | ['collect'];
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(fc.constant('put' as const), fc.nat(3), fc.nat(4)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('remove' as const), fc.nat(3)) },
  fc.tuple(fc.constant('version' as const), fc.nat(3)),
  fc.tuple(fc.constant('collect' as const)),
);

test('ObjectStore: counters, versions, references and bytes agree after any history, one by one or at once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.boolean(), fc.boolean(), async (steps, versions, atOnce) => {
      const fixture = await openObjects();
      const { store, table, held, blobs } = fixture;
      const settings = { public: false, routes: [], quotaBytes: null, versions, rules: [], whenSource: 'keep' as const };
      await store.change(photos, { kind: 'configure', settings, writes: [] });
      const firstVersion = async (key: string): Promise<number> => {
        const [entry] = (await table.scan({ prefix: versionPrefix(photos, key), limit: 1 })).entries;
        return entry ? versionOf(entry.key) : 0;
      };
      const act = async ([kind, key, content]: Step): Promise<unknown> => {
        if (kind === 'put') return store.put(photos, `k${key}`, { source: [bytes('c'.repeat(content as number))] });
        if (kind === 'remove') return store.remove(photos, `k${key}`);
        if (kind === 'version') return store.change(photos, { kind: 'remove-version', key: `k${key}`, version: await firstVersion(`k${key}`) });
        return held.collect();
      };
      if (atOnce) await Promise.all(steps.map(act));
      else for (const one of steps) await act(one);
      await held.collect();
      const all = (await table.scan<{ digest: string; bytes: number }>({ prefix: 'acme/object', limit: 1000 })).entries;
      const objects = all.filter(({ key }) => key.startsWith('acme/object/'));
      const total = all.reduce((sum, { value }) => sum + value.bytes, 0);
      assert.equal(store.reader.bucket(photos)?.usage, { objects: objects.length, bytes: total, storedBytes: total });
      assert.is((await table.scan({ prefix: '~node/holder/', limit: 1000 })).entries.length, all.length);
      assert.equal((await Array.fromAsync(blobs.digests())).sort(), [...new Set(all.map(({ value }) => value.digest))].sort());
      if (!versions) assert.is(all.length, objects.length);
      else if (!atOnce) for (const { key, value } of objects) assert.is(store.find(photos, key.slice('acme/object/photos/'.length))?.digest, value.digest);
    }),
    { numRuns: 150 },
  );
});

test.run();
