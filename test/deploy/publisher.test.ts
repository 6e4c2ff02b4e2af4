import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createSerial } from '../../host/base/serial.ts';
import { createPublisher } from '../../host/deploy/publisher.ts';
import { createSealer } from '../../host/deploy/secret.ts';

const table = (version: number) => ({ version, functions: [], routes: [] });
const later = (ms = 1): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('publish: resolves when a table built after the call was taken; waiting calls share one', async () => {
  let state = 0;
  const built: number[] = [];
  const taken: number[] = [];
  const publisher = createPublisher(
    async (version) => {
      built.push(state);
      return table(version);
    },
    async ({ version }) => {
      await later(5);
      taken.push(version);
    },
  );
  const calls = [1, 2, 3, 4].map(async (value) => {
    state = value;
    await publisher.publish();
    return taken.length;
  });
  await later(2);
  state = 5;
  await publisher.publish();
  await Promise.all(calls);
  assert.equal(built, [4, 5]);
  assert.equal(taken, [1, 2]);
});

test('publish: a listener that fails fails those who wait, and the next one is tried again', async () => {
  let failing = true;
  const publisher = createPublisher(
    async (version) => table(version),
    async () => {
      if (failing) throw new Error('no gateway');
    },
  );
  assert.is(await publisher.publish().catch((error) => error.message), 'no gateway');
  failing = false;
  await publisher.publish();
  assert.is(publisher.current?.version, 2);
});

test('serial: runs tasks in order, each to its end, and goes on after one that fails', async () => {
  const serial = createSerial();
  const order: string[] = [];
  const task = (name: string, ms: number) => async () => {
    order.push(`${name}+`);
    await later(ms);
    order.push(`${name}-`);
    if (name === 'b') throw new Error('b failed');
    return name;
  };
  const results = await Promise.allSettled([serial(task('a', 5)), serial(task('b', 3)), serial(task('c', 1))]);
  assert.equal(order, ['a+', 'a-', 'b+', 'b-', 'c+', 'c-']);
  assert.equal(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
});

test('sealer: opens what it sealed, only under its own key, and never the same twice', () => {
  const sealer = createSealer(Buffer.alloc(32, 1));
  const sealed = sealer.seal('acme/secret/f/KEY', 'pässword');
  assert.is(sealer.open('acme/secret/f/KEY', sealed), 'pässword');
  assert.is.not(sealer.seal('acme/secret/f/KEY', 'pässword'), sealed);
  assert.throws(() => sealer.open('other/secret/f/KEY', sealed), 'cannot open the secret');
  assert.throws(() => createSealer(Buffer.alloc(32, 2)).open('acme/secret/f/KEY', sealed), 'cannot open the secret');
  const bytes = Buffer.from(sealed, 'base64');
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  assert.throws(() => sealer.open('acme/secret/f/KEY', bytes.toString('base64')), 'cannot open the secret');
  assert.throws(() => sealer.open('acme/secret/f/KEY', ''));
});

test.run();
