import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { digestOf } from '../deploy/fixture.ts';
import { openControl } from './fixture.ts';

const codeOf = async (response: Response): Promise<string> => ((await response.json()) as { code: string }).code;

const streamOf = (chunks: number, bytes: number): { body: ReadableStream<Uint8Array>; pulled: () => number } => {
  let pulled = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        if (pulled === chunks) return controller.close();
        pulled += 1;
        controller.enqueue(new Uint8Array(bytes));
      },
    },
    { highWaterMark: 0 },
  );
  return { body, pulled: () => pulled };
};

test('PUT /v1/modules: keeps and prepares bytes once; the same again are there', async () => {
  const control = await openControl();
  const first = await control.request('PUT', '/v1/modules', { body: 'wasm' });
  assert.is(first.status, 201);
  const module = (await first.json()) as { digest: string; bytes: number };
  assert.is(module.digest, digestOf('wasm'));
  assert.is(module.bytes, 4);
  assert.is((await control.request('PUT', '/v1/modules', { body: 'wasm' })).status, 200);
  assert.equal(control.prepared, [module.digest]);
});

test('PUT /v1/modules?digest=: bytes that are there are not read; others must match', async () => {
  const control = await openControl();
  await control.request('PUT', '/v1/modules', { body: 'wasm' });
  const { body, pulled } = streamOf(10, 10);
  assert.is((await control.request('PUT', `/v1/modules?digest=${digestOf('wasm')}`, { body })).status, 200);
  assert.is(pulled(), 0);
  assert.is(await codeOf(await control.request('PUT', `/v1/modules?digest=${digestOf('else')}`, { body: 'more' })), 'request-invalid');
  assert.is(control.blobs.exists(digestOf('more')), false);
});

test('PUT /v1/modules: too many bytes are refused with numbers, declared or not, and nothing is kept', async () => {
  const control = await openControl();
  const declared = await control.request('PUT', '/v1/modules', { body: 'x'.repeat(1025), headers: { 'content-length': '1025' } });
  assert.is(declared.status, 413);
  assert.match(await declared.text(), /at most 1024 bytes on this node, got 1025/);
  const { body, pulled } = streamOf(1000, 1024 * 1024);
  const streamed = await control.request('PUT', '/v1/modules', { body });
  assert.is(streamed.status, 413);
  assert.match(await streamed.text(), /at most 1024 .* got 1048576 or more/);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(pulled() <= 20, 'what is read for the sake of the connection is bounded');
  assert.equal(await Array.fromAsync(control.blobs.digests()), []);
});

test('PUT /v1/modules: an empty body, and bytes that are no component, are refused and leave nothing', async () => {
  const control = await openControl({
    prepare: async () => {
      throw new Problem('module-invalid', 'not a component');
    },
  });
  assert.is(await codeOf(await control.request('PUT', '/v1/modules')), 'request-invalid');
  assert.is(await codeOf(await control.request('PUT', '/v1/modules', { body: 'text' })), 'module-invalid');
  assert.equal(await Array.fromAsync(control.blobs.digests()), []);
  assert.equal(await (await control.request('GET', '/v1/modules')).json(), { items: [] });
});

test('PUT /v1/modules: a client that goes away in the middle leaves nothing', async () => {
  const control = await openControl();
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      controller.enqueue(new Uint8Array(10));
      controller.error(new Error('gone'));
    },
  });
  const response = await control.request('PUT', '/v1/modules', { body });
  assert.ok(response.status >= 400);
  assert.equal(await Array.fromAsync(control.blobs.digests()), []);
});

test('GET and HEAD /v1/modules/:digest: tell what the tenant has', async () => {
  const control = await openControl();
  await control.request('PUT', '/v1/modules', { body: 'wasm' });
  const found = await control.request('GET', `/v1/modules/${digestOf('wasm')}`);
  assert.is(found.status, 200);
  assert.equal(((await found.json()) as { exports: string[] }).exports, ['wasi:http/incoming-handler@0.2.0']);
  assert.is((await control.request('HEAD', `/v1/modules/${digestOf('wasm')}`)).status, 200);
  assert.is((await control.request('HEAD', `/v1/modules/${digestOf('none')}`)).status, 404);
  assert.is((await control.request('GET', '/v1/modules/sha256:xyz')).status, 400);
});

test.run();
