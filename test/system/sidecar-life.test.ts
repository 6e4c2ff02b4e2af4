import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import { cleanUp, fixture, freshDirectory, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;
const data = freshDirectory();

test.before(async () => {
  node = await startTestNode({ gateways: 1, data });
});
test.after(cleanUp);

type Answer = { status: number; text: string; record: ExecutionRecord };

const must = async (promised: Promise<Response>): Promise<Record<string, unknown>> => {
  const response = await promised;
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response.status === 204 ? {} : ((await response.json()) as Record<string, unknown>);
};

const upload = async (component: string): Promise<string> => (await must(node.api('PUT', '/v1/modules', fixture(component)))).digest as string;

const add = async (name: string, component: string, options: Record<string, unknown> = {}): Promise<unknown> =>
  must(node.api('POST', '/v1/sidecars', { name, module: await upload(component), ...options }));

const refusal = async (name: string, component: string, manifest: Record<string, unknown>): Promise<string> => {
  const response = await node.api('POST', '/v1/functions', { name, module: await upload(component), ...manifest });
  const { code, detail } = (await response.json()) as { code: string; detail: string };
  return `${code}: ${detail}`;
};

const ask = async (name: string, path = '/', headers: Record<string, string> = {}): Promise<Answer> => {
  const response = await fetch(`${node.url}/${name}${path}`, { headers });
  const text = await response.text();
  return { status: response.status, text, record: await node.execution(response.headers.get('nacelle-execution')) };
};

const textOf = async (name: string, path: string): Promise<string> => (await ask(name, path)).text;

const probe = {
  use: 'probe',
  config: { theirs: 'sidecar' },
  secrets: ['SIDE_KEY'],
  files: { 'rules.txt': Buffer.from('deny all\n').toString('base64') },
  capabilities: { keyvalue: { side: 'side-bucket' }, http: ['127.0.0.1:2'] },
};
const ofMain = { capabilities: { keyvalue: { mine: 'main-bucket' }, http: ['127.0.0.1:1'] } };

test('sidecars: settings and secrets of a function are not those of its sidecar, nor the reverse', async () => {
  await add('probe', 'sidecar/probe', { agent: true });
  const manifest = { ...ofMain, env: { VARIABLE: 'main' }, config: { own: 'main' }, secrets: ['MAIN_KEY'], sidecars: [probe] };
  await node.deploy('granted', 'settings', manifest);
  const before = await must(node.api('GET', '/v1/functions/granted'));
  assert.equal(before.missingSecrets, ['MAIN_KEY', 'probe/SIDE_KEY']);
  await must(node.api('PUT', '/v1/functions/granted/secrets/MAIN_KEY', { value: 'of-the-function' }));
  await must(node.api('PUT', '/v1/functions/granted/secrets/probe%2FSIDE_KEY', { value: 'of-the-sidecar' }));
  assert.is(await textOf('granted', '/'), 'env VARIABLE=main\nconfig own=main\nconfig MAIN_KEY=of-the-function\n');
  assert.is(await textOf('granted', '/probe/settings'), 'config theirs=sidecar\nconfig SIDE_KEY=of-the-sidecar\n');
  assert.is((await ask('granted', '/SIDE_KEY')).status, 404);
  const after = await must(node.api('GET', '/v1/functions/granted'));
  assert.equal(after.missingSecrets, []);
  assert.not.match(JSON.stringify(after), 'of-the-');
  await must(node.api('DELETE', '/v1/functions/granted/secrets/probe%2FSIDE_KEY'));
  assert.is(await textOf('granted', '/probe/settings'), 'config theirs=sidecar\n');
});

test('sidecars: buckets and hosts of a function are not those of its sidecar, nor the reverse', async () => {
  assert.equal([await textOf('granted', '/probe/bucket/side'), await textOf('granted', '/probe/bucket/mine')], ['open', 'refused']);
  assert.equal([await textOf('granted', '/probe/host/127.0.0.1:2'), await textOf('granted', '/probe/host/127.0.0.1:1')], ['sent', 'refused']);
  await node.deploy('keeping', 'bucket', { ...ofMain, sidecars: [probe] });
  assert.equal([(await ask('keeping', '/mine/key')).status, (await ask('keeping', '/side/key')).status], [404, 403]);
  await node.deploy('calling', 'caller', { ...ofMain, sidecars: [probe] });
  assert.match(await textOf('calling', '/http://127.0.0.1:2/'), /^refused/);
  assert.match(await textOf('calling', '/http://127.0.0.1:1/'), /^failed/);
});

test('sidecars: an agent has the files that it was given, and cannot change them; others are gone after each execution', async () => {
  for (let i = 0; i < 2; i++) {
    assert.is(await textOf('granted', '/probe/file/rules.txt'), 'deny all\n');
    assert.is(await textOf('granted', '/probe/change/rules.txt'), 'wtruc');
    assert.is(await textOf('granted', '/probe/file/new'), 'no such file');
  }
  await add('image', 'sidecar/probe');
  assert.match(
    await refusal('refused', 'hello', { sidecars: [{ use: 'image', files: probe.files }] }),
    /^sidecar-invalid: cannot give files to sidecar "image@1/,
  );
  const large = { ...probe, files: { large: Buffer.alloc(65_537).toString('base64') } };
  assert.match(await refusal('refused', 'hello', { sidecars: [large] }), /^manifest-invalid: .*65536 bytes together/);
  assert.match(await refusal('refused', 'hello', { sidecars: [{ ...probe, files: { '../x': '' } }] }), /^manifest-invalid: .*files/);
  assert.match(await refusal('refused', 'hello', { sidecars: [{ ...probe, secrets: ['theirs'] }] }), /^manifest-invalid: .*"theirs" is a key of config too/);
});

test('sidecars: the record says which ones an execution used', async () => {
  await add('watcher', 'sidecar/quiet');
  await node.deploy('using', 'settings', { sidecars: [probe, { use: 'watcher' }, { use: 'image', when: 'used' }] });
  const used = async (path: string): Promise<[string, boolean][]> => (await ask('using', path)).record.sidecars.map((run) => [run.name, run.used]);
  assert.equal(await used('/probe/settings'), [
    ['probe', true],
    ['watcher', true],
  ]);
  assert.equal(await used('/'), [
    ['probe', true],
    ['watcher', true],
    ['image', true],
  ]);
});

test('sidecars: a request for debugging of a function that trusts nobody runs in an isolate', async () => {
  await add('recorder', '../sidecars/recorder', { debug: true });
  await node.deploy('distrustful', 'hello', { trust: 'isolated' });
  const { token } = (await must(node.api('POST', '/v1/tokens', { scopes: ['debug:default'] }))) as { token: string };
  const { text, record } = await ask('distrustful', '/', { 'nacelle-debug': 'recorder', 'nacelle-debug-token': token });
  assert.is(text, 'Hello from nacelle!\n');
  assert.equal([record.fleet, record.sidecars[0]?.name, record.sidecars[0]?.why], ['on-demand', 'recorder', 'debug']);
  assert.type(record.isolate, 'number');
  assert.equal((await ask('distrustful')).record.sidecars, []);
});

test('sidecars: a request for debugging runs where its function does, with the module that is there already', async () => {
  await node.deploy('sought', 'echo', { capacity: { fleet: 'on-demand' } });
  const plain = await ask('sought');
  const { token } = (await must(node.api('POST', '/v1/tokens', { scopes: ['debug:default'] }))) as { token: string };
  const { text, record } = await ask('sought', '/', { 'nacelle-debug': 'recorder', 'nacelle-debug-token': token });
  assert.is(text, plain.text);
  assert.equal([record.sidecars[0]?.why, record.isolate], ['debug', plain.record.isolate]);
  const { items } = (await must(node.api('GET', '/v1/decisions?kind=load'))) as { items: { subject: string; choice: string }[] };
  const loads = items.filter(({ subject }) => subject.includes('sought')).map(({ subject, choice }) => [subject.includes('+debug'), choice === 'thread']);
  assert.ok(
    loads.some(([debug, here]) => debug && here),
    JSON.stringify(loads),
  );
});

test('sidecars: what was recorded is there after the node was killed', async () => {
  await add('counter', 'sidecar/counter', { agent: true });
  await node.deploy('lasting', 'hello', { sidecars: [{ use: 'counter', config: { count: '0' } }] });
  for (let i = 0; i < 3; i++) assert.is(await textOf('lasting', '/'), String(i));
  await node.deploy('later', 'hello'); // Committed after what was recorded before it.
  await node.end('SIGKILL');
  node = await startTestNode({ gateways: 1, data });
  const { text, record } = await ask('lasting');
  assert.is(text, '3');
  assert.type(record.sidecars[0]?.configurationFrom, 'string');
});

/** What a sidecar said of its life, in the log of a function. */
const life = async (name: string): Promise<string[]> => {
  const { items } = (await must(node.api('GET', `/v1/functions/${name}/logs`))) as { items: { text: string }[] };
  return items.map(({ text }) => text.split(' life: ')[1] ?? text);
};
const said = (name: string, what: RegExp): Promise<true> =>
  until(async () => ((await life(name)).some((line) => what.test(line)) ? true : undefined), `${what} in the log of ${name}`);

test('sidecars: a shared instance is told of a new version, and ends or serves it', async () => {
  await add('turnstile', 'sidecar/turnstile');
  for (const onMainChange of ['follow', 'stay']) {
    const name = `changing-${onMainChange}`;
    const sidecars = [{ use: 'turnstile', scope: 'function', onMainChange }];
    await node.deploy(name, 'hello', { sidecars });
    assert.is(await textOf(name, '/count'), '1');
    await node.deploy(name, 'hello', { sidecars, env: { NEXT: '1' } });
    assert.is(await textOf(name, '/count'), onMainChange === 'stay' ? '2' : '1');
    await said(name, /^replaced$/);
    if (onMainChange === 'follow') await said(name, /^stop$/);
    else assert.not.ok((await life(name)).includes('stop'), 'it goes on');
    assert.is(await textOf(name, '/count'), onMainChange === 'stay' ? '3' : '2');
  }
});

test('sidecars: one that refuses a change, or traps in it, is named in the log and made anew', async () => {
  await add('moody', 'sidecar/companion', { agent: true });
  for (const how of ['refuse', 'trap']) {
    const name = `moody-${how}`;
    const sidecars = [{ use: 'moody', scope: 'function', onMainChange: 'stay', config: { [how]: 'state-changing' } }];
    await node.deploy(name, 'hello', { sidecars });
    const first = await ask(name);
    await node.deploy(name, 'hello', { sidecars, env: { NEXT: '1' } });
    await ask(name);
    await said(name, how === 'refuse' ? /moody@1\.0\.0: .*state-changing answered with an error: not in the mood/ : /moody@1\.0\.0: .*guest-trap/);
    const next = await ask(name);
    assert.is(next.record.state, 'succeeded');
    assert.is.not(next.record.sidecars[0]?.instance, first.record.sidecars[0]?.instance);
  }
});

test('sidecars: a shared instance is told that its tenant is suspended, and another begins when it goes on', async () => {
  await node.deploy('paused', 'hello', { sidecars: [{ use: 'turnstile', scope: 'function' }] });
  assert.equal([await textOf('paused', '/count'), await textOf('paused', '/count')], ['1', '2']);
  await must(node.api('POST', '/v1/tenants/default/suspend'));
  await said('paused', /^suspended$/);
  await said('paused', /^stop$/);
  await must(node.api('POST', '/v1/tenants/default/resume'));
  assert.is(await textOf('paused', '/count'), '1');
});

test.run();
