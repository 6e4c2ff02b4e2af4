import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { ComputedObjects, type ComputedOptions } from '../../host/object/computed/computed-objects.ts';
import type { GeneratorInput, Generators } from '../../host/object/computed/generator.ts';
import { Knowledge } from '../../host/object/computed/knowledge.ts';
import { ObjectMaker } from '../../host/object/computed/maker.ts';
import { specOfRules } from '../../host/object/computed/spec.ts';
import { rejects } from '../contract/table.ts';
import { bytes, type ObjectFixture, openObjects, textOf } from './fixture.ts';

const id = 'acme/made';
const free = { storageGibMonth: 1, cpuHour: 0, memoryGibHour: 0, readGib: 0, write: 1 };
const limits = { memoryMib: 64, cpuMs: 100, timeMs: 1000, concurrency: 1, trust: 'shared' as const };

type Make = (input: GeneratorInput, run: number) => string | Promise<string>;

type Fake = ObjectFixture & {
  computed: ComputedObjects;
  runs: () => number;
  alarms: string[];
  answer: (make: Make) => void;
};

const fakeGenerators = (make: (input: GeneratorInput) => Promise<string>): Generators => ({
  resolve: async (_, name) => ({ function: name, version: 1, component: `sha256:${'c'.repeat(64)}`, limits }),
  run: async (input) => {
    const text = await make(input);
    return {
      body: (async function* () {
        yield bytes(text);
      })(),
      contentType: 'text/plain',
      measured: async () => ({ cpuMs: 1, wallMs: 1, memoryBytes: 1 }),
    };
  },
});

/** Computed objects whose generator is a function of the test. */
const openComputed = async (options: Partial<ComputedOptions> = {}): Promise<Fake> => {
  const fixture = await openObjects();
  const { store, table, held, blobs } = fixture;
  let make: Make = (input) => `made of ${input.manifest.sources.map(({ digest }) => digest.slice(-6)).join()}`;
  let runs = 0;
  const generators = fakeGenerators(async (input) => make(input, ++runs));
  const alarms: string[] = [];
  const onError = (error: unknown): void => void alarms.push(String(error));
  const knowledge = new Knowledge(table, () => fixture.clock.now);
  const find = (bucket: string, key: string) => store.find(bucket, key);
  const maker = new ObjectMaker({ held, generators, knowledge, exists: (digest) => blobs.exists(digest), find, objectBytesMax: 1000, onError });
  const alarm = (_: string, key: string): void => void alarms.push(key);
  const computed = new ComputedObjects({
    objects: store,
    held,
    maker,
    knowledge,
    generators,
    table,
    rates: () => free,
    runtime: 'r1',
    alarm,
    onError,
    ...options,
  });
  store.computer = computed;
  await store.put('acme/photos', 'a', { source: [bytes('photo')] });
  const answer: Fake['answer'] = (other) => {
    make = other;
  };
  return { ...fixture, computed, runs: () => runs, alarms, answer };
};

const spec = { function: 'f', source: ['photos/a'], params: {}, rule: null };
/** Asks for it, an hour after the last time, until its bytes have been let go and are no longer there. */
const letGo = async ({ store, computed, clock, held }: Fake, key = 'k'): Promise<void> => {
  for (let i = 0; i < 3; i++) {
    clock.now += 3_600_000;
    computed.requested(id, key);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await held.collect();
  assert.is(store.find(id, key)?.stored, false);
};
const read = async (fake: Fake, key = 'k'): Promise<string | undefined> => {
  const object = fake.store.find(id, key);
  if (!object) return undefined;
  const release = await fake.store.obtain(id, key, object);
  try {
    return await textOf(fake, id, key);
  } finally {
    release();
  }
};

test('ComputedObjects: bytes are let go after two runs gave them, and made again when somebody asks', async () => {
  const fake = await openComputed();
  await fake.computed.put(id, 'k', spec, { source: [] }, false);
  const text = await read(fake);
  await letGo(fake);
  const before = fake.runs();
  assert.is(fake.blobs.exists(fake.store.find(id, 'k')?.digest as string), false);
  assert.is(await read(fake), text);
  assert.is(fake.runs(), before + 1);
});

test('ComputedObjects: what differs when it is to be proven is kept, with an alarm', async () => {
  const fake = await openComputed();
  fake.answer((_, run) => `run ${run}`);
  await fake.computed.put(id, 'k', spec, { source: [] }, false);
  for (let i = 0; i < 3; i++) {
    fake.clock.now += 3_600_000;
    fake.computed.requested(id, 'k');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const object = fake.store.find(id, 'k');
  assert.equal([object?.stored, object?.manifest?.distrusted, await read(fake), fake.alarms], [true, 'its generator gave other bytes', 'run 1', ['k']]);
});

test('ComputedObjects: other bytes after all are never served; right ones stay from then on', async () => {
  const fake = await openComputed();
  await fake.computed.put(id, 'k', spec, { source: [] }, false);
  const text = await read(fake);
  await letGo(fake);
  fake.answer(() => 'wrong');
  await rejects(read(fake), 'generator-differs');
  assert.equal(fake.alarms, ['k']);
  await fake.held.collect();
  let wrong = 1;
  fake.answer(() => (wrong-- > 0 ? 'wrong' : (text as string)));
  assert.is(await read(fake), text);
  const object = fake.store.find(id, 'k');
  assert.equal([object?.stored, object?.manifest?.distrusted], [true, 'its generator gave other bytes']);
  fake.answer(() => 'wrong again');
  assert.is(await read(fake), text);
});

test('ComputedObjects: under another runtime bytes are proven anew before they are let go', async () => {
  const fake = await openComputed();
  await fake.computed.put(id, 'k', spec, { source: [] }, false);
  await letGo(fake);
  const other = await openComputed({ runtime: 'r2' });
  await other.computed.put(id, 'k', spec, { source: [] }, false);
  await letGo(other);
  assert.equal([fake.store.find(id, 'k')?.manifest?.proven, other.store.find(id, 'k')?.manifest?.proven], [['r1'], ['r2']]);
});

test('ComputedObjects: a known output needs no run, and gives way to nothing that failed', async () => {
  const fake = await openComputed();
  await fake.computed.put(id, 'k', spec, { source: [] }, false);
  await letGo(fake);
  const before = fake.runs();
  fake.answer(() => {
    throw new Problem('generator-failed', 'it trapped');
  });
  await rejects(fake.computed.put(id, 'other', { ...spec, params: { size: '2' } }, { source: [] }, false), 'generator-failed');
  await fake.computed.put(id, 'other', { ...spec, params: { size: '2' } }, { source: [bytes('own')] }, true);
  assert.equal([fake.store.find(id, 'other')?.stored, fake.store.find(id, 'other')?.manifest], [true, undefined]);
  assert.is(fake.runs(), before + 2);
});

test('ComputedObjects: many that ask at once wait for one run', async () => {
  const fake = await openComputed();
  await fake.computed.put(id, 'k', spec, { source: [] }, false);
  await letGo(fake);
  const before = fake.runs();
  await Promise.all(Array.from({ length: 100 }, () => read(fake)));
  assert.is(fake.runs(), before + 1);
});

test('ComputedObjects: a source that cannot be made real is not changed', async () => {
  const fake = await openComputed();
  await fake.computed.put(id, 'k', spec, { source: [] }, false);
  await letGo(fake);
  fake.answer(() => {
    throw new Problem('generator-failed', 'it trapped');
  });
  await rejects(fake.store.put('acme/photos', 'a', { source: [bytes('another')] }), 'generator-failed');
  await rejects(fake.store.remove('acme/photos', 'a'), 'generator-failed');
  assert.is(await textOf(fake, 'acme/photos', 'a'), 'photo');
});

test('ComputedObjects: however many ask while it is found out whether the bytes can be let go, that takes two runs', async () => {
  const fake = await openComputed();
  await fake.computed.put(id, 'k', spec, { source: [] }, false);
  const before = fake.runs();
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  fake.answer(async ({ manifest }) => {
    await gate;
    return `made of ${manifest.sources[0]?.digest.slice(-6)}`;
  });
  for (let i = 0; i < 50; i++) {
    fake.clock.now += 3_600_000;
    fake.computed.requested(id, 'k');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.equal([fake.store.find(id, 'k')?.stored, fake.runs() - before], [true, 1]);
  open();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal([fake.store.find(id, 'k')?.stored, fake.runs() - before], [false, 2]);
});

test('ComputedObjects: a source that is changed while the function runs for a put: the object is made from the new one', async () => {
  const fake = await openComputed();
  let changing: Promise<unknown> | undefined;
  fake.answer(({ manifest }) => {
    changing ??= fake.store.put('acme/photos', 'a', { source: [bytes('another photo')] });
    return `made of ${manifest.sources[0]?.bytes} bytes`;
  });
  await fake.computed.put(id, 'k', spec, { source: [] }, false);
  await changing;
  assert.is(await read(fake), 'made of 13 bytes');
  assert.is(fake.store.find(id, 'k')?.manifest?.sources[0]?.digest, fake.store.find('acme/photos', 'a')?.digest);
});

test('ComputedObjects: a source that changes whenever the function runs is a conflict, and nothing is put', async () => {
  const fake = await openComputed();
  let count = 0;
  const put = fake.store.put.bind(fake.store);
  fake.answer(() => {
    void put('acme/photos', 'a', { source: [bytes(`photo ${++count}`)] });
    return `made ${count}`;
  });
  await rejects(fake.computed.put(id, 'k', spec, { source: [] }, false), 'conflict');
  assert.is(fake.store.find(id, 'k'), undefined);
});

test('ComputedObjects: a source that is changed while somebody waits for the bytes: they are those of before, and kept', async () => {
  const fake = await openComputed();
  await fake.computed.put(id, 'k', spec, { source: [] }, false);
  const text = await read(fake);
  await letGo(fake);
  const runs = fake.runs();
  let changing: Promise<unknown> | undefined;
  fake.answer(({ manifest }) => {
    changing ??= fake.store.put('acme/photos', 'a', { source: [bytes('another photo')] });
    return `made of ${manifest.sources[0]?.digest.slice(-6)}`;
  });
  assert.is(await read(fake), text);
  await changing;
  const object = fake.store.find(id, 'k');
  assert.equal([object?.stored, object?.manifest?.distrusted, fake.runs()], [true, 'its source was changed', runs + 1]);
  await fake.held.collect();
  assert.is(await read(fake), text);
});

test('ComputedObjects: two that are to be made of each other at once: one is refused', async () => {
  const fake = await openComputed();
  for (const key of ['x', 'y']) await fake.store.put(id, key, { source: [bytes(key)] });
  const put = (key: string, source: string) => fake.computed.put(id, key, { ...spec, source: [source] }, { source: [] }, false);
  const outcomes = await Promise.allSettled([put('x', 'made/y'), put('y', 'made/x')]);
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
  assert.is(refused.length, 1);
  assert.equal(
    refused.map(({ reason }) => reason.code),
    ['generator-refused'],
  );
});

test('specOfRules: "*" stands for the same text in both, and the first rule that matches counts', () => {
  const rule = (keys: string, from: string) => ({ keys, from, function: 'f', params: {} });
  const rules = [rule('small/*.jpg', 'photos/*.png'), rule('*', 'photos/$&*')];
  assert.equal(specOfRules(rules, 'small/a/b.jpg')?.source, ['photos/a/b.png']);
  assert.equal(specOfRules(rules, 'x$1')?.source, ['photos/$&x$1']);
  assert.is(specOfRules([rule('a*a', 'p/*')], 'a'), undefined);
});

test.run();
