import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import { cleanUp, fixture, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
});
test.after(cleanUp);

type Problem = { code: string; detail: string };

/** Adds a fixture to the library. */
const add = async (name: string, component: string, options: Record<string, unknown> = {}, token?: string): Promise<Response> => {
  const { digest } = (await (await node.api('PUT', '/v1/modules', fixture(component), token)).json()) as { digest: string };
  return node.api('POST', '/v1/sidecars', { name, module: digest, ...options }, token);
};

const must = async (promised: Promise<Response>): Promise<Record<string, unknown>> => {
  const response = await promised;
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return response.status === 204 ? {} : ((await response.json()) as Record<string, unknown>);
};

const problemOf = async (promised: Promise<Response>): Promise<Problem> => (await promised).json() as Promise<Problem>;

const deploy = async (name: string, component: string, manifest: Record<string, unknown> = {}): Promise<Response> => {
  const { digest } = (await (await node.api('PUT', '/v1/modules', fixture(component))).json()) as { digest: string };
  return node.api('POST', '/v1/functions', { name, module: digest, ...manifest });
};

/** Asks a function, and gives its answer with the record of the execution. */
const ask = async (name: string, path = '/', init: RequestInit = {}): Promise<{ status: number; text: string; record: ExecutionRecord }> => {
  const response = await fetch(`${node.url}/${name}${path}`, init);
  const text = await response.text();
  return { status: response.status, text, record: await node.execution(response.headers.get('nacelle-execution')) };
};

const fleets = [
  ['resident', { capacity: { fleet: 'resident' } }],
  ['on-demand', { capacity: { fleet: 'on-demand' } }],
] as const;

for (const [fleet, manifest] of fleets)
  test(`sidecars: a pass-through middleware in front of a function, ${fleet}`, async () => {
    const name = `passed-${fleet}`;
    if (fleet === 'resident') await must(add('pass', 'sidecar/pass', { version: '1.0.0' }));
    await must(deploy(name, 'echo', { ...manifest, sidecars: [{ use: 'pass@1' }] }));
    for (let i = 0; i < 5; i++) {
      const { text, record } = await ask(name, '/', { method: 'POST', body: `body ${i}` });
      assert.is(text, `body ${i}`);
      assert.is(record.fleet, fleet);
      const [sidecar] = record.sidecars;
      assert.equal(
        [sidecar?.name, sidecar?.version, sidecar?.kind, sidecar?.scope, sidecar?.from, sidecar?.why],
        ['pass', '1.0.0', 'middleware', 'execution', 'image', 'manifest'],
      );
      const at = (step: string): number => record.timeline.find((entry) => entry.step === step)?.at ?? Number.NaN;
      assert.ok(at('sidecars-ready') <= at('guest-started'), JSON.stringify(record.timeline));
      assert.ok((sidecar?.startedAt ?? 0) <= (sidecar?.readyAt ?? 0) && (sidecar?.readyAt ?? 0) <= (sidecar?.stoppedAt ?? 0));
    }
    const detail = await must(node.api('GET', `/v1/functions/${name}`));
    assert.equal((detail.composition as { chain: string[] }).chain, ['pass@1.0.0', name]);
  });

test('sidecars: the library lists, shows, and refuses to remove what is in use', async () => {
  const { items } = (await must(node.api('GET', '/v1/sidecars'))) as { items: { name: string; usedBy: string[] }[] };
  assert.equal(items.find(({ name }) => name === 'pass')?.usedBy, ['passed-on-demand@1', 'passed-resident@1']);
  const refused = await problemOf(node.api('DELETE', '/v1/sidecars/pass'));
  assert.is(refused.code, 'sidecar-in-use');
  assert.match(refused.detail, /passed-on-demand@1, passed-resident@1/);
  await must(add('spare', 'sidecar/pass'));
  await must(node.api('DELETE', '/v1/sidecars/spare?version=1.0.0'));
  assert.is((await problemOf(node.api('GET', '/v1/sidecars/spare'))).code, 'sidecar-not-found');
});

test('sidecars: one compatible provider is found by the platform, several are refused by name', async () => {
  const unmet = await problemOf(deploy('shop', 'sidecar/shop'));
  assert.is(unmet.code, 'import-unknown');
  assert.match(unmet.detail, /nacelle:shop\/baskets@1\.0\.0 is not provided by this node, nor by a sidecar/);
  await must(add('basket', 'sidecar/basket'));
  await must(deploy('shop', 'sidecar/shop'));
  const { text, record } = await ask('shop');
  assert.is(text, 'apple\npear\nroll\ndestroyed\n');
  assert.equal([record.sidecars[0]?.name, record.sidecars[0]?.why], ['basket', 'determined']);
  await must(add('basket-too', 'sidecar/basket'));
  const several = await problemOf(deploy('shop', 'sidecar/shop'));
  assert.is(several.code, 'sidecar-invalid');
  assert.match(several.detail, /provided by basket@1\.0\.0 and basket-too@1\.0\.0/);
  await must(deploy('shop', 'sidecar/shop', { sidecars: [{ use: 'basket-too' }] }));
  assert.is((await ask('shop')).record.sidecars[0]?.name, 'basket-too');
});

test('sidecars: a companion logs under its own name and is told what the function used', async () => {
  await must(add('companion', 'sidecar/companion', { agent: true }));
  await must(deploy('watched', 'hello', { sidecars: [{ use: 'companion', config: { greeting: 'hi' } }] }));
  const { record } = await ask('watched', '/path');
  assert.is(record.state, 'succeeded');
  const lines = await node.lines('watched', 3, ({ execution }) => execution === record.id);
  const texts = lines.map(({ text }) => text);
  assert.ok(
    texts.some((text) => text === 'companion@1.0.0 life: execution-ended /path'),
    texts.join('\n'),
  );
});

test('sidecars: another tenant sees its own and the public ones, and none else', async () => {
  await must(node.api('POST', '/v1/tenants', { name: 'other' }));
  const { token } = (await must(node.api('POST', '/v1/tokens', { scopes: ['deploy:other', 'read:other'] }))) as { token: string };
  assert.equal(((await must(node.api('GET', '/v1/sidecars', undefined, token))) as { items: unknown[] }).items, []);
  assert.is((await problemOf(node.api('GET', '/v1/sidecars/pass', undefined, token))).code, 'sidecar-not-found');
  assert.is((await problemOf(add('mine', 'sidecar/pass', { public: true }, token))).code, 'forbidden');
  await must(add('shared', 'sidecar/pass', { public: true }));
  const { items } = (await must(node.api('GET', '/v1/sidecars', undefined, token))) as { items: { name: string }[] };
  assert.equal(
    items.map(({ name }) => name),
    ['shared'],
  );
  assert.is((await problemOf(node.api('DELETE', '/v1/sidecars/shared', undefined, token))).code, 'forbidden');
});

test('sidecars: an admin sets sidecars for all functions of a tenant, at once', async () => {
  await must(deploy('plain', 'hello'));
  assert.equal((await ask('plain')).record.sidecars, []);
  await must(node.api('PUT', '/v1/tenants/default/sidecars', { sidecars: [{ use: 'pass' }] }));
  const { record } = await ask('plain');
  assert.equal([record.sidecars[0]?.name, record.sidecars[0]?.why], ['pass', 'tenant']);
  await must(node.api('PUT', '/v1/tenants/default/sidecars', { sidecars: [] }));
  assert.equal((await ask('plain')).record.sidecars, []);
  await must(node.api('POST', '/v1/tenants', { name: 'empty' }));
  assert.equal(await must(node.api('PUT', '/v1/tenants/empty/sidecars', { sidecars: [] })), { sidecars: [] }, 'a tenant without functions');
});

test('sidecars: what one execution records the next one gets, in whichever thread', async () => {
  await must(add('counter', 'sidecar/counter', { agent: true }));
  for (const [fleet, manifest] of fleets) {
    const name = `counted-${fleet}`;
    await must(deploy(name, 'hello', { ...manifest, sidecars: [{ use: 'counter', config: { count: '0' } }] }));
    for (let i = 0; i < 3; i++) {
      const { text, record } = await ask(name);
      assert.is(text, String(i));
      assert.is(record.sidecars[0]?.configurationFrom === undefined, i === 0);
    }
    await must(deploy(name, 'hello', { ...manifest, sidecars: [{ use: 'counter', config: { count: '100' } }] }));
    await until(async () => ((await ask(name)).text === '100' ? undefined : true), 'what was recorded in another isolate');
  }
});

for (const [fleet, manifest] of fleets)
  test(`sidecars: a request adds one for debugging by header, ${fleet}`, async () => {
    const name = `debugged-${fleet}`;
    if (fleet === 'resident') await must(add('recorder', '../sidecars/recorder', { debug: true }));
    await must(deploy(name, 'hello', manifest));
    const { token } = (await must(node.api('POST', '/v1/tokens', { scopes: ['debug:default'] }))) as { token: string };
    const { token: reader } = (await must(node.api('POST', '/v1/tokens', { scopes: ['read:default'] }))) as { token: string };
    const headers = { 'nacelle-debug': 'recorder@1.0.0', 'nacelle-debug-token': token, 'x-kept': 'yes' };
    const { text, record } = await ask(name, '/', { headers });
    assert.is(text, 'Hello from nacelle!\n');
    assert.equal([record.fleet, record.sidecars[0]?.name, record.sidecars[0]?.why], [fleet, 'recorder', 'debug']);
    const lines = await node.lines(name, 2, ({ execution }) => execution === record.id);
    const texts = lines.map((line) => line.text);
    assert.ok(texts.includes('recorder@1.0.0: x-kept: yes'), texts.join('\n'));
    assert.not.ok(
      texts.some((line) => line.includes('nacelle-debug')),
      'the guest sees neither header',
    );
    assert.equal((await ask(name)).record.sidecars, [], 'the next request pays nothing');
    for (const wrong of [{ ...headers, 'nacelle-debug-token': reader }, { 'nacelle-debug': 'recorder' }, { ...headers, 'nacelle-debug-token': 'x' }]) {
      const refused = await fetch(`${node.url}/${name}/`, { headers: wrong as Record<string, string> });
      assert.equal([refused.status, ((await refused.json()) as Problem).code], [403, 'debug-refused']);
    }
    const unknown = await fetch(`${node.url}/${name}/`, { headers: { ...headers, 'nacelle-debug': 'pass' } });
    assert.equal([unknown.status, ((await unknown.json()) as Problem).code], [422, 'sidecar-not-found'], 'it was not added for debugging');
    const invoked = await node.api('POST', `/v1/functions/${name}/invoke?debug=recorder`);
    assert.is(invoked.status, 200);
    assert.is((await node.execution(invoked.headers.get('nacelle-execution'))).sidecars[0]?.why, 'debug');
  });

test('sidecars: all functions of a tenant that link it share one instance, in one isolate, until the last goes', async () => {
  await must(add('turnstile', 'sidecar/turnstile'));
  const sidecars = [{ use: 'turnstile', scope: 'tenant' }];
  await must(deploy('gate-one', 'hello', { sidecars }));
  await must(deploy('gate-two', 'echo', { sidecars }));
  const seen = await Promise.all(Array.from({ length: 20 }, (_, i) => ask(i % 2 === 0 ? 'gate-one' : 'gate-two', '/count')));
  const numbers = seen.map(({ text }) => Number(text)).sort((a, b) => a - b);
  assert.equal(
    numbers,
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
  assert.is(new Set(seen.map(({ record }) => record.isolate)).size, 1);
  assert.is(new Set(seen.map(({ record }) => record.sidecars[0]?.instance)).size, 1);
  const { instances } = (await until(async () => {
    const shown = (await must(node.api('GET', '/v1/sidecars/turnstile'))) as { instances: { usedBy: string[] }[] };
    return shown.instances[0]?.usedBy.length === 2 ? shown : undefined;
  }, 'both users')) as { instances: { scope: string; usedBy: string[] }[] };
  assert.equal([instances[0]?.scope, instances[0]?.usedBy.sort()], ['tenant', ['gate-one@1', 'gate-two@1']]);
  await must(node.api('DELETE', '/v1/functions/gate-one'));
  assert.is((await ask('gate-two', '/count')).text, '21');
  await must(node.api('DELETE', '/v1/functions/gate-two'));
  await until(async () => ((await must(node.api('GET', '/v1/sidecars/turnstile'))) as { instances: unknown[] }).instances.length === 0 || undefined, 'its end');
});

test('sidecars: a shared instance follows its function to its end, or stays for the next version', async () => {
  for (const [onMainChange, expected] of [
    ['follow', '1'],
    ['stay', '3'],
  ] as const) {
    const sidecars = [{ use: 'turnstile', scope: 'function', onMainChange }];
    const name = `gate-${onMainChange}`;
    await must(deploy(name, 'hello', { sidecars }));
    assert.equal([(await ask(name, '/count')).text, (await ask(name, '/count')).text], ['1', '2']);
    await must(deploy(name, 'hello', { sidecars, env: { NEXT: '1' } }));
    assert.is((await ask(name, '/count')).text, expected, onMainChange);
    const lost = await ask(name, '/trap');
    assert.equal([lost.status, lost.record.code], [502, 'sidecar-failed']);
    assert.is((await ask(name, '/count')).text, '1', 'it was started again');
  }
  const resident = await problemOf(deploy('gate', 'hello', { sidecars: [{ use: 'turnstile', scope: 'tenant' }], capacity: { fleet: 'resident' } }));
  assert.is(resident.code, 'manifest-invalid');
});

test.run();
