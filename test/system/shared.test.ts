import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fixture, sleep, startTestNode, type TestNode } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode();
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const fleets = ['resident', 'on-demand'] as const;
const region = (by = 'function', bytes?: number) => [{ resource: 'board', kind: 'region', by, ...(bytes === undefined ? {} : { bytes }) }];

const deployAt = async (tenant: string, name: string, component: string, manifest: Record<string, unknown>): Promise<void> => {
  await node.api('POST', '/v1/tenants', { name: tenant });
  const { digest } = (await (await node.api('PUT', `/v1/modules?tenant=${tenant}`, fixture(component))).json()) as { digest: string };
  const made = await node.api('POST', `/v1/functions?tenant=${tenant}`, { name, module: digest, ...manifest });
  assert.is(made.status, 201, await made.text());
};

const send = async (path: string, headers: Record<string, string> = {}): Promise<[status: number, text: string]> => {
  const response = await fetch(node.url + path, { headers: { connection: 'close', ...headers } });
  return [response.status, await response.text()];
};

/** Again while the node has no capacity: then nothing was executed. */
const sendWhenThereIsRoom = async (path: string, headers: Record<string, string> = {}): Promise<[status: number, text: string]> => {
  for (;;) {
    const [status, text] = await send(path, headers);
    if (status !== 503 || !text.includes('capacity-exhausted')) return [status, text];
    await sleep(100);
  }
};

for (const fleet of fleets) {
  test(`region: what one execution writes the next one reads, whatever its thread, ${fleet}`, async () => {
    const name = `board-${fleet}`;
    await node.deploy(name, 'region', { shared: region(), capacity: { fleet } });
    assert.equal(await send(`/${name}/add?by=1`), [200, '1\n']);
    assert.equal(await send(`/${name}/cas?from=1&to=2`), [200, '1\n']);
    for (let i = 0; i < 8; i++) assert.equal(await send(`/${name}/get`), [200, '2\n']);
    assert.equal(await send(`/${name}/size`), [200, '4096\n']);
  });

  test(`region: a counter is exact under 100 executions at once on all threads, ${fleet}`, async () => {
    const name = `count-${fleet}`;
    await node.deploy(name, 'region', { shared: region(), capacity: { fleet } });
    await Promise.all(Array.from({ length: 100 }, async () => assert.is((await sendWhenThereIsRoom(`/${name}/many?n=100`))[0], 200)));
    assert.equal(await send(`/${name}/get`), [200, '10000\n']);
  });

  test(`timeline: what an execution shares is attached before its guest starts, ${fleet}`, async () => {
    const response = await fetch(`${node.url}/board-${fleet}/get`);
    const { timeline } = await node.execution(response.headers.get('nacelle-execution'));
    const steps = timeline.map(({ step }) => step);
    assert.ok(steps.indexOf('attached') > steps.indexOf('placed') && steps.indexOf('attached') < steps.indexOf('guest-started'), steps.join());
  });
}

for (const fleet of fleets)
  test(`timeline: of the first execution of a deployment what it shares is attached before it has an instance, ${fleet}`, async () => {
    await node.deploy(`first-${fleet}`, 'region', { shared: [...region(), { resource: 'ledger', kind: 'lock' }], capacity: { fleet } });
    const response = await fetch(`${node.url}/first-${fleet}/get`);
    const { timeline } = await node.execution(response.headers.get('nacelle-execution'));
    const steps = timeline.map(({ step }) => step).filter((step) => ['placed', 'attached', 'instantiated', 'guest-started'].includes(step));
    assert.equal(steps, ['placed', 'attached', 'instantiated', 'guest-started']);
  });

test('region: what does not fit or is not declared is an error of the guest, not its end', async () => {
  await node.deploy('bounds', 'region', { shared: region('function', 1000), capacity: { fleet: 'resident' } });
  for (const path of ['add?at=996', 'add?at=4', 'get?at=993', 'put?at=999&bytes=2', 'cas?at=18446744073709551615', 'put?at=0&bytes=1001'])
    assert.equal(await send(`/bounds/${path}`), [409, 'out-of-bounds\n'], path);
  assert.equal(await send('/bounds/put?at=992&bytes=8'), [200, 'written\n']);
  assert.equal(await send('/bounds/put?at=0&bytes=1000'), [200, 'written\n']);
  await node.deploy('other-name', 'region', { shared: [{ resource: 'another', kind: 'region' }], capacity: { fleet: 'resident' } });
  assert.equal(await send('/other-name/get'), [409, 'not-attached\n']);
  await node.deploy('other-kind', 'region', { shared: [{ resource: 'board', kind: 'lock' }], capacity: { fleet: 'on-demand' } });
  assert.equal(await send('/other-kind/get'), [409, 'not-attached\n']);
});

test('shared: a manifest that is wrong is refused, all of it at once', async () => {
  const { digest } = (await (await node.api('PUT', '/v1/modules', fixture('region'))).json()) as { digest: string };
  const refused = async (more: Record<string, unknown>): Promise<{ code: string; problems?: string[]; detail: string }> => {
    const response = await node.api('POST', '/v1/functions', { name: 'refused', module: digest, ...more });
    assert.is(response.status, 422, JSON.stringify(more));
    return (await response.json()) as { code: string; problems?: string[]; detail: string };
  };
  assert.is((await refused({})).code, 'import-not-granted');
  for (const shared of [
    [{ resource: 'board', kind: 'shelf' }],
    [{ resource: 'Board', kind: 'region' }],
    [{ resource: 'board', kind: 'region', bytes: 5 * 1024 * 1024 }],
    [{ resource: 'board', kind: 'lock', bytes: 64 }],
    [{ resource: 'board', kind: 'region', by: 'request' }],
    [{ resource: 'board', kind: 'region', by: 'request', from: { header: 'a', query: 'b' } }],
    [{ resource: 'board', kind: 'region', by: 'request', from: { path: 0 } }],
    [{ resource: 'board', kind: 'region', from: { header: 'a' } }],
    [{ resource: 'board', kind: 'region', across: 'tenant' }],
    [{ resource: 'board', kind: 'region', by: 'request', from: { header: 'a' }, across: 'function' }],
    [
      { resource: 'board', kind: 'region' },
      { resource: 'board', kind: 'lock' },
    ],
  ])
    assert.is((await refused({ shared })).code, 'manifest-invalid', JSON.stringify(shared));
  const { problems = [] } = await refused({ session: { from: { header: 'no spaces' }, idleMs: 0, serialize: 'yes' } });
  assert.is(problems.length, 3, problems.join('\n'));
});

test('region: programs of one tenant share one by its name if both list it, and others do not', async () => {
  for (const name of ['writer', 'reader'])
    await node.deploy(name, 'region', { shared: region('tenant'), capacity: { fleet: name === 'writer' ? 'resident' : 'on-demand' } });
  assert.equal(await send('/writer/add?by=7'), [200, '7\n']);
  assert.equal(await send('/reader/get'), [200, '7\n']);
  await deployAt('other', 'reader', 'region', { shared: region('tenant') });
  assert.equal(await send('/~other/reader/get'), [200, '0\n']);
});

test('region: by request, each value of its source has one of its own', async () => {
  for (const [from, ask] of [
    [{ header: 'X-User' }, (user: string) => ['/per-header/add', { 'x-user': user }]],
    [{ cookie: 'user' }, (user: string) => ['/per-cookie/add', { cookie: `theme=dark; user=${user}` }]],
    [{ query: 'user' }, (user: string) => [`/per-query/add?user=${user}`, {}]],
    [{ path: 2 }, (user: string) => [`/per-path/add/${user}`, {}]],
  ] as [Record<string, unknown>, (user: string) => [string, Record<string, string>]][]) {
    const name = `per-${Object.keys(from)[0]}`;
    await node.deploy(name, 'region', { shared: [{ resource: 'board', kind: 'region', by: 'request', from }], capacity: { fleet: 'resident' } });
    for (const sum of ['1\n', '2\n']) for (const user of ['ann', 'bob']) assert.equal(await send(...ask(user)), [200, sum], `${name} ${user}`);
  }
  assert.equal(await send('/per-header/add'), [409, 'not-attached\n']);
});

test('bucket: one that is shared is a bucket of its own', async () => {
  const cart = { resource: 'cart', kind: 'bucket', by: 'request', from: { header: 'x-user' } };
  await node.deploy('carts', 'session', { shared: [cart], session: { from: { header: 'x-user' } }, capacity: { fleet: 'on-demand' } });
  assert.equal(await send('/carts/cart?n=3', { 'x-user': 'ann' }), [200, '3\n']);
  assert.equal(await send('/carts/cart?n=4', { 'x-user': 'ann' }), [200, '7\n']);
  assert.equal(await send('/carts/cart?n=1', { 'x-user': 'bob' }), [200, '1\n']);
  assert.equal(await send('/carts/cart'), [409, 'not-attached\n']);
  const { items } = (await (await node.api('GET', '/v1/state')).json()) as { items: { name: string }[] };
  assert.not.ok(
    items.some(({ name }) => name.startsWith('~')),
    'it is not among the buckets of the tenant',
  );
});

test('by request across the tenant: functions that say so share what one cookie names, and nobody else', async () => {
  const named = { by: 'request', from: { cookie: 'user' } };
  const both = (more: Record<string, unknown>, component = 'session') => ({
    ...(component === 'session' && { session: { from: { header: 'x-user' } } }),
    shared: [
      { resource: 'cart', kind: 'bucket', ...named, ...more },
      { resource: 'board', kind: 'region', ...named, ...more },
    ],
  });
  await node.deploy('cart', 'session', { ...both({ across: 'tenant' }), capacity: { fleet: 'resident' } });
  await node.deploy('checkout', 'session', { ...both({ across: 'tenant' }), capacity: { fleet: 'on-demand' } });
  await node.deploy('total', 'region', { ...both({ across: 'tenant' }, 'region'), capacity: { fleet: 'resident' } });
  await node.deploy('totals', 'region', { ...both({ across: 'tenant' }, 'region'), capacity: { fleet: 'on-demand' } });
  await node.deploy('alone', 'session', { ...both({}), capacity: { fleet: 'resident' } });
  const [ann, bob] = [{ cookie: 'user=ann' }, { cookie: 'user=bob' }];
  assert.equal(await send('/cart/cart?n=3', ann), [200, '3\n']);
  assert.equal(await send('/checkout/cart?n=4', ann), [200, '7\n']);
  assert.equal(await send('/checkout/cart?n=1', bob), [200, '1\n']);
  assert.equal(await send('/alone/cart?n=5', ann), [200, '5\n']);
  assert.equal(await send('/total/add?by=2', ann), [200, '2\n']);
  assert.equal(await send('/totals/add?by=3', ann), [200, '5\n']);
  assert.equal(await send('/totals/get', bob), [200, '0\n']);
  assert.equal(await send('/checkout/cart?n=1'), [409, 'not-attached\n']);
  await deployAt('third', 'checkout', 'session', both({ across: 'tenant' }));
  assert.equal(await send('/~third/checkout/cart?n=1', ann), [200, '1\n']);
  await node.api('DELETE', '/v1/functions/cart');
  assert.equal(await send('/checkout/cart?n=1', ann), [200, '8\n'], 'it is of the tenant');
});

test('region: kill -9 loses nothing that was flushed', async () => {
  const killed = await startTestNode();
  await killed.deploy('kept', 'region', { shared: region('function', 200_000), capacity: { fleet: 'resident' } });
  const ask = async (from: TestNode, path: string): Promise<string> => (await fetch(`${from.url}/kept/${path}`)).text();
  for (const at of [0, 65_536, 199_992]) assert.is(await ask(killed, `add?at=${at}&by=${at + 5}`), `${at + 5}\n`);
  assert.is(await ask(killed, 'flush'), 'stored\n');
  await killed.end('SIGKILL');
  const again = await startTestNode({ data: killed.data });
  for (const at of [0, 65_536, 199_992]) assert.is(await ask(again, `get?at=${at}`), `${at + 5}\n`);
  await ask(again, 'add?at=8&by=9');
  await again.end();
  const third = await startTestNode({ data: killed.data });
  assert.is(await ask(third, 'get?at=8'), '9\n', 'a node that ends in order stores all');
  await third.end();
});

test.run();
