import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import { cleanUp, fixture, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
});
test.after(cleanUp);

const add = async (name: string, component: string, agent = false): Promise<void> => {
  const { digest } = (await (await node.api('PUT', '/v1/modules', fixture(component))).json()) as { digest: string };
  const response = await node.api('POST', '/v1/sidecars', { name, module: digest, agent });
  if (!response.ok) throw new Error(await response.text());
};

const ask = async (name: string, path = '/'): Promise<{ status: number; text: string; record: ExecutionRecord }> => {
  const response = await fetch(`${node.url}/${name}${path}`);
  const text = await response.text();
  return { status: response.status, text, record: await node.execution(response.headers.get('nacelle-execution')) };
};

const life = async (name: string): Promise<string[]> => {
  const { items } = (await (await node.api('GET', `/v1/functions/${name}/logs`)).json()) as { items: { text: string }[] };
  return items.flatMap(({ text }) => text.split(' life: ')[1] ?? []);
};

test('sidecars: one that a whole tenant shares is told when one of its functions goes, and is made anew if it does not survive that', async () => {
  await add('moody', 'sidecar/companion', true);
  const sidecars = [{ use: 'moody', scope: 'tenant', config: { trap: 'state-changing' } }];
  for (const name of ['leaving', 'staying']) await node.deploy(name, 'hello', { sidecars });
  const instanceOf = async (name: string): Promise<string | undefined> => (await ask(name)).record.sidecars[0]?.instance;
  const first = await instanceOf('leaving');
  assert.is(await instanceOf('staying'), first);
  assert.is((await node.api('DELETE', '/v1/functions/leaving')).status, 204);
  await until(async () => ((await instanceOf('staying')) === first ? undefined : true), 'another instance');
});

/** The function asks the node for `path` of itself. */
const askItself = (name: string, path: string): ReturnType<typeof ask> => ask(name, `/${node.url}/${name}${path}`);

test('sidecars: a function that calls itself passes its sidecars again', async () => {
  await add('probe', 'sidecar/probe', true);
  const capabilities = { http: [`127.0.0.1:${node.port}`] };
  await node.deploy('self', 'caller', { capabilities, sidecars: [{ use: 'probe', config: { of: 'the sidecar' } }] });
  const { text, record } = await askItself('self', '/probe/settings');
  assert.equal([text, record.state, record.sidecars[0]?.used], ['config of=the sidecar\n', 'succeeded', true]);
});

test('sidecars: a function that calls itself through a sidecar which it occupies waits for no longer than its limit, and frees it', async () => {
  const capabilities = { http: [`127.0.0.1:${node.port}`] };
  await add('turnstile', 'sidecar/turnstile');
  await node.deploy('circle', 'caller', { capabilities, limits: { timeMs: 3000 }, sidecars: [{ use: 'turnstile', scope: 'function' }] });
  assert.is((await ask('circle', '/count')).text, '1');
  const { status, text, record } = await askItself('circle', '/count');
  assert.ok(status >= 500, `${status} ${text}`);
  assert.ok(record.code === undefined || record.code === 'time-limit', `${record.code}`);
  assert.match((await ask('circle', '/count')).text, /^\d+$/, 'the instance serves the next one');
});

test('sidecars: a middleware that misbehaves is named, and fails its own execution only', async () => {
  await add('wayward', 'sidecar/wayward');
  await node.deploy('misled', 'echo', { sidecars: [{ use: 'wayward' }] });
  const post = async (path: string): Promise<{ status: number; code?: string; detail?: string }> => {
    const response = await fetch(`${node.url}/misled${path}`, { method: 'POST', body: 'abcdef' });
    return { status: response.status, ...((await response.json()) as object) };
  };
  for (const [path, why] of [
    ['/silent', 'it returned without an answer, and without calling the next one'],
    ['/trap', 'guest-trap'],
  ] as const) {
    const { status, code, detail } = await post(path);
    assert.equal([status, code], [502, 'sidecar-failed'], path);
    assert.ok(detail?.includes('wayward@1.0.0 failed') && detail.includes(why), `${path}: ${detail}`);
  }
  assert.equal((await post('/half')).code, 'guest-trap', 'the function does not take a request whose body is gone');
  const twice = await fetch(`${node.url}/misled/twice`, { method: 'POST', body: 'abcdef' });
  await twice.text().catch(() => undefined);
  assert.is((await node.execution(twice.headers.get('nacelle-execution'))).code, 'sidecar-failed');
  const fine = await fetch(`${node.url}/misled/fine`, { method: 'POST', body: 'abcdef' });
  assert.is(await fine.text(), 'abcdef');
});

test('sidecars: a shared instance is told that its function is drained from its isolate, then ends; the next request has another', async () => {
  await node.end();
  node = await startTestNode({ gateways: 1, args: ['--isolates-idle-ms', '500', '--isolates-instance-idle-ms', '200'] });
  await add('turnstile', 'sidecar/turnstile');
  await node.deploy('rare', 'hello', { capacity: { idleMs: 200 }, sidecars: [{ use: 'turnstile', scope: 'function' }] });
  assert.is((await ask('rare', '/count')).text, '1');
  await until(async () => ((await life('rare')).includes('stop') ? true : undefined), 'the end of the instance', 30_000);
  assert.equal(await life('rare'), ['configure', 'start', 'draining', 'stop']);
  assert.is((await ask('rare', '/count')).text, '1');
});

test.run();
