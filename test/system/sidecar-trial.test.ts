import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fixture, startTestNode, type TestNode } from './node.ts';

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
});
test.after(cleanUp);

type Said = { status: number; text: string };

const said = async (promised: Promise<Response>): Promise<Said> => {
  const response = await promised;
  const { code, detail } = (await response.json()) as { code?: string; detail?: string };
  return { status: response.status, text: code === undefined ? '' : `${code}: ${detail}` };
};

const upload = async (component: string): Promise<string> =>
  ((await (await node.api('PUT', '/v1/modules', fixture(component))).json()) as { digest: string }).digest;

const add = async (name: string, component: string, options: Record<string, unknown>): Promise<Said> =>
  said(node.api('POST', '/v1/sidecars', { name, module: await upload(component), ...options }));

const deploy = async (name: string, sidecar: Record<string, unknown>): Promise<Said> =>
  said(node.api('POST', '/v1/functions', { name, module: await upload('hello'), sidecars: [sidecar] }));

const companion = (config: Record<string, string>, more: Record<string, unknown> = {}): Record<string, unknown> => ({ use: 'companion', config, ...more });

test('sidecars: a configuration that an agent does not take is refused at deployment, with its words', async () => {
  assert.is((await add('companion', 'sidecar/companion', { agent: true })).status, 201);
  const { status, text } = await deploy('refused', companion({ refuse: 'configure' }));
  assert.is(status, 422);
  assert.is(text, 'sidecar-invalid: cannot deploy "refused": companion@1.0.0 does not take its configuration: not in the mood');
  assert.is((await node.api('GET', '/v1/functions/refused')).status, 404, 'nothing of it is kept');
  assert.match((await deploy('refused', companion({ trap: 'configure' }))).text, /companion@1\.0\.0 does not take its configuration: guest-trap: /);
  assert.is((await deploy('taken', companion({ greeting: 'hi' }))).status, 201);
});

test('sidecars: what an optional one says, or one whose secret has no value yet, refuses no deployment', async () => {
  assert.is((await deploy('optional', companion({ refuse: 'configure' }, { required: false }))).status, 201);
  assert.is(await (await fetch(`${node.url}/optional/`)).text(), 'Hello from nacelle!\n');
  const withSecret = companion({ refuse: 'configure' }, { secrets: ['KEY'] });
  assert.is((await deploy('secret', withSecret)).status, 201);
  assert.is((await node.api('PUT', '/v1/functions/secret/secrets/companion%2FKEY', { value: 'x' })).ok, true);
  assert.match((await deploy('secret', withSecret)).text, /not in the mood/);
});

test('sidecars: a trial that never ends does not hold up its deployment, nor the next one', async () => {
  const begin = performance.now();
  for (const how of ['hang', 'spin']) assert.is((await deploy(`slow-${how}`, companion({ [how]: 'configure' }))).status, 201);
  assert.ok(performance.now() - begin < 20_000);
  assert.match((await deploy('after', companion({ refuse: 'configure' }))).text, /not in the mood/);
});

test('sidecars: a trial reaches nobody, and what it cannot know refuses no deployment', async () => {
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  await add('asking', 'sidecar/rust-asking', { agent: true });
  const asking = { use: 'asking', config: { host } };
  assert.match(
    (await deploy('ungranted', asking)).text,
    /asking@1\.0\.0 does not take its configuration: nobody answers$/,
    'it may not reach it in an execution either',
  );
  assert.is((await deploy('granted', { ...asking, capabilities: { http: [host] } })).status, 201);
  assert.is(asked, 0);
  assert.is(await (await fetch(`${node.url}/granted/`)).text(), 'Hello from nacelle!\n');
  assert.is(asked, 1);
  server.close();
  assert.is((await add('asking-image', 'sidecar/rust-asking', { settings: { host } })).status, 201, 'only a manifest can grant it the host');
});

test('sidecars: an image that does not take what it has with it is not added, nor is one set for a tenant', async () => {
  const { status, text } = await add('image', 'sidecar/companion', { settings: { refuse: 'configure' } });
  assert.is(status, 422);
  assert.is(text, 'sidecar-invalid: cannot add the sidecar: "image" does not take its configuration: not in the mood');
  assert.is((await node.api('GET', '/v1/sidecars/image')).status, 422, 'it is not found');
  assert.is((await add('image', 'sidecar/companion', { settings: { greeting: 'hi' } })).status, 201);
  const set = await said(node.api('PUT', '/v1/tenants/default/sidecars', { sidecars: [companion({ refuse: 'configure' })] }));
  assert.match(set.text, /^sidecar-invalid: cannot deploy "all functions": companion@1\.0\.0 does not take/);
});

test.run();
