import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { type Arrival, Arrivals } from '../../host/edge/arrivals.ts';
import { until } from '../system/node.ts';

const arrivalOf = (name: string, version = 2, digests = [`${name}@${version}`]): Arrival => ({ tenant: 'default', name, version, digests });

/** Modules become ready, or fail, when a test wants it. */
const open = () => {
  const asked = new Map<string, { resolve: () => void; reject: (error: unknown) => void }>();
  const [arrived, delayed]: [string[], string[]] = [[], []];
  const arrivals = new Arrivals({
    prepare: (digest) => new Promise<void>((resolve, reject) => asked.set(digest, { resolve, reject })),
    onArrived: ({ name, version }) => arrived.push(`${name}@${version}`),
    onDelayed: ({ name }, failure) => delayed.push(`${name}: ${failure}`),
    retry: { baseMs: 1, maxMs: 2 },
  });
  arrivals.start();
  const isAsked = (digest: string) => until(() => asked.get(digest), `${digest} to be asked for`);
  return { arrivals, asked, isAsked, arrived, delayed };
};

test('Arrivals: a version is awaited until all of its modules are ready, and no other one waits for it', async () => {
  const { arrivals, isAsked, arrived } = open();
  arrivals.add(arrivalOf('slow', 2, ['a', 'b']));
  arrivals.add(arrivalOf('quick'));
  (await isAsked('quick@2')).resolve();
  await until(() => (arrived.length === 1 ? true : undefined), 'the quick one');
  assert.equal([arrived, arrivals.isAwaited('default', 'slow', 2), arrivals.isAwaited('default', 'quick', 2)], [['quick@2'], true, false]);
  (await isAsked('a')).resolve();
  (await isAsked('b')).resolve();
  await until(() => (arrived.length === 2 ? true : undefined), 'the slow one');
  assert.equal(arrivals.list(), []);
  await arrivals.close();
});

test('Arrivals: what cannot be had now is tried again; what never can is served, so that its failure is seen', async () => {
  const { arrivals, asked, isAsked, arrived, delayed } = open();
  arrivals.add(arrivalOf('f'));
  for (const code of ['unavailable', 'store-full'] as const) {
    const { reject } = await isAsked('f@2');
    asked.delete('f@2');
    reject(new Problem(code, code));
  }
  const last = await isAsked('f@2');
  assert.equal([arrived, delayed, arrivals.isAwaited('default', 'f', 2)], [[], ['f: unavailable', 'f: store-full'], true]);
  last.reject(new Problem('module-invalid', 'no component'));
  await until(() => (arrived.length > 0 ? true : undefined), 'it to be given up');
  assert.not(arrivals.isAwaited('default', 'f', 2));
  await arrivals.close();
});

test('Arrivals: a version that is wanted no more is forgotten, and eight are made ready at once', async () => {
  const { arrivals, asked, isAsked, arrived } = open();
  for (let i = 0; i < 9; i++) arrivals.add(arrivalOf(`f${i}`));
  arrivals.keep('default', 'f0', [3]);
  arrivals.keep('default', 'f1', [2]);
  await isAsked('f7@2');
  assert.equal([asked.has('f8@2'), arrivals.isAwaited('default', 'f0', 2), arrivals.isAwaited('default', 'f1', 2)], [false, false, true]);
  (await isAsked('f0@2')).resolve();
  await isAsked('f8@2');
  assert.equal(arrived, [], 'nobody waits for it');
  for (const { resolve } of asked.values()) resolve();
  await arrivals.close();
});

test('Arrivals: ends while something is on its way', async () => {
  const { arrivals, isAsked, asked } = open();
  arrivals.add(arrivalOf('f'));
  (await isAsked('f@2')).reject(new Problem('unavailable', 'away'));
  asked.clear();
  await arrivals.close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.is(asked.size, 0, 'no more attempts');
});

test.run();
