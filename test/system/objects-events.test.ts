import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';
import { photo } from './photo.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode({ args: ['--objects-rates-cpu-hour', '0', '--objects-rates-memory-gib-hour', '0'] });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const send = (method: string, path: string, body?: Uint8Array<ArrayBuffer> | string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${node.control}/v1/objects/${path}`, { method, headers: { authorization: `Bearer ${node.token}`, ...headers }, ...(body !== undefined && { body }) });

test('object events: a function that subscribes is called once for each object that is created or removed', async () => {
  await node.deploy('seen', 'printer', { events: [{ object: 'uploads/in/*' }] });
  await send('PUT', 'uploads/in/one', 'bytes', { 'content-type': 'text/plain' });
  await send('PUT', 'uploads/out/two', 'bytes');
  await send('DELETE', 'uploads/in/one');
  const ended = await until(async () => {
    const text = await (await node.api('GET', '/metrics')).text();
    const count = Number(/nacelle_events_total\{end="object succeeded"\} (\d+)/.exec(text)?.[1] ?? 0);
    return count >= 2 ? count : undefined;
  }, 'two events');
  assert.is(ended, 2);
});

test('computed objects: thumbnails of photos, by a decoder and encoder in Rust', async () => {
  await node.deploy('thumbnail', 'rust-thumbnail', { limits: { cpuMs: 5000 } });
  await node.api('PUT', '/v1/buckets/thumbs', { rules: [{ keys: '*.jpg', from: 'photos/*.png', function: 'thumbnail', params: { size: '64' } }] });
  await send('PUT', 'photos/sea.png', photo(400, 300), { 'content-type': 'image/png' });
  const created = await send('PUT', 'thumbs/sea.jpg');
  assert.is(created.status, 201, await created.clone().text());
  const read = async (): Promise<Buffer> => {
    const response = await send('GET', 'thumbs/sea.jpg');
    assert.is(response.headers.get('content-type'), 'image/jpeg');
    return Buffer.from(await response.arrayBuffer());
  };
  const first = await read();
  assert.equal([...first.subarray(0, 3)], [0xff, 0xd8, 0xff]);
  await until(async () => {
    await read();
    const { stored } = (await (await send('GET', 'thumbs/sea.jpg?explain')).json()) as { stored: boolean };
    return stored ? undefined : true;
  }, 'the thumbnail to be let go');
  assert.ok((await read()).equals(first));
});

test.run();
