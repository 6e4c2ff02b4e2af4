import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { HeldBlobs } from '../../host/store/held-blobs.ts';
import { openStore } from '../../host/store/lmdb/store.ts';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

test.after(cleanUp);

const free = ['--objects-rates-cpu-hour', '0', '--objects-rates-memory-gib-hour', '0', '--objects-grace-ms', '1000', '--objects-review-ms', '200'];
const send = (node: TestNode, method: string, path: string, body?: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${node.control}/v1/objects/${path}`, { method, headers: { authorization: `Bearer ${node.token}`, ...headers }, ...(body !== undefined && { body }) });
const computed = (params: Record<string, string>): Record<string, string> => ({
  'nacelle-computed': JSON.stringify({ function: 'generate', source: ['photos/a'], params }),
});
const metrics = async (node: TestNode): Promise<string> => (await node.api('GET', '/metrics')).text();
const isRunning = async (node: TestNode): Promise<true | undefined> => /^nacelle_executions_in_flight\S* [1-9]/m.test(await metrics(node)) || undefined;

test('computed objects: kill -9 while one is computed for a put or for gets: nothing half made is left, and it is made again', async () => {
  const node = await startTestNode({ args: free, gateways: 1 });
  await node.deploy('generate', 'generate', { capabilities: { objects: ['sources'] }, limits: { cpuMs: 20_000, timeMs: 30_000 } });
  await send(node, 'PUT', 'photos/a', 'source ');
  assert.is((await send(node, 'PUT', 'made/large', undefined, computed({ times: '4000' }))).status, 201);
  await until(
    async () => {
      await (await send(node, 'GET', 'made/large')).arrayBuffer();
      const { stored } = (await (await send(node, 'GET', 'made/large?explain')).json()) as { stored: boolean };
      return stored ? undefined : true;
    },
    'the object to be let go',
    30_000,
  );
  await until(async () => (await metrics(node)).includes('\nnacelle_object_cache_bytes 0\n') || undefined, 'its bytes to be gone');
  const putting = send(node, 'PUT', 'made/never', undefined, computed({ loop: '1' })).catch(() => undefined);
  await until(() => isRunning(node), 'the run for the put');
  const gets = Array.from({ length: 10 }, () => send(node, 'GET', 'made/large').then((response) => response.arrayBuffer()));
  setTimeout(() => node.end('SIGKILL'), 20);
  await Promise.allSettled([putting, ...gets]);
  const again = await startTestNode({ data: node.data, args: free, gateways: 1 });
  assert.is((await send(again, 'GET', 'made/never')).status, 404);
  assert.is(await (await send(again, 'GET', 'made/large')).text(), 'source '.repeat(4000));
  assert.is(await (await send(again, 'GET', 'photos/a')).text(), 'source ');
  assert.is((await send(again, 'PUT', 'made/never', undefined, computed({ times: '2' }))).status, 201);
  await again.end();
});

test('objects: a store that is full refuses what is put with its reason, keeps what it has, and takes more when something was removed', async () => {
  const node = await startTestNode({ args: ['--objects-grace-ms', '1000', '--store-bytes-max', String(8 * 1024 * 1024)], gateways: 1 });
  const body = (filled: number): Uint8Array<ArrayBuffer> => new Uint8Array(1024 * 1024).fill(filled);
  let count = 0;
  let refused: (Response & { json(): Promise<{ code: string }> }) | undefined;
  while (!refused && count < 20) {
    const response = await send(node, 'PUT', `full/${count}`, body(count));
    if (response.ok) count++;
    else refused = response as NonNullable<typeof refused>;
  }
  assert.ok(count >= 3, `${count} objects`);
  assert.equal([refused?.status, await refused?.json().then(({ code }) => code)], [507, 'store-full']);
  const { objects, bytes } = (await (await node.api('GET', '/v1/buckets/full')).json()) as Record<string, number>;
  assert.equal([objects, bytes], [count, count * 1024 * 1024]);
  for (let i = 0; i < count; i++) assert.is(new Uint8Array(await (await send(node, 'GET', `full/${i}`)).arrayBuffer())[7], i);
  for (const i of [0, 1]) assert.is((await send(node, 'DELETE', `full/${i}`)).status, 204);
  await until(async () => ((await send(node, 'PUT', 'full/again', body(99))).ok ? true : undefined), 'room');
  await node.end();
  const store = await openStore(node.data, { bytesMax: 2 ** 30 });
  await new HeldBlobs(store).sweep();
  assert.is((await Array.fromAsync(store.blobs.digests())).length, count - 1);
  await store.close();
});

test.run();
