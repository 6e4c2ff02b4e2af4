import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fixture, holdRequest, sleep, startTestNode, until } from './node.ts';

test.after(cleanUp);

test('restart: after kill -9 everything that was deployed answers, from the cache', async () => {
  const node = await startTestNode({ gateways: 1 });
  await node.deploy('hello', 'hello');
  await node.deploy('settings', 'settings', { env: { NAME: 'kept' } });
  await node.end('SIGKILL');
  const again = await startTestNode({ data: node.data, gateways: 1 });
  // Before the port opened, unless a busy machine took longer than a start may wait for it.
  await until(async () => {
    const { isolates } = (await (await again.api('GET', '/v1/node')).json()) as { isolates: { holds: string[]; inFlight: number }[] };
    return isolates.some(({ holds, inFlight }) => inFlight === 0 && holds.some((key) => key.startsWith('default/hello@'))) || undefined;
  }, 'its instance to be made');
  const response = await fetch(`${again.url}/hello/`);
  assert.is(await response.text(), 'Hello from nacelle!\n');
  const { rung, load } = await again.execution(response.headers.get('nacelle-execution'));
  assert.equal([rung, load], [1, 'thread'], 'its instance was made before anybody asked');
  const { items } = (await (await again.api('GET', '/v1/decisions?kind=load')).json()) as { items: { subject: string; choice: string }[] };
  const from = items.filter(({ subject, choice }) => subject.startsWith('default/hello@') && ['cache', 'prepared'].includes(choice));
  assert.equal(
    from.map(({ choice }) => choice),
    ['cache'],
  );
  assert.match(await (await fetch(`${again.url}/settings/`)).text(), /env NAME=kept/);
  await again.end();
});

test('restart: kill -9 in the middle of deployments leaves nothing half-written', async () => {
  const node = await startTestNode({ gateways: 1 });
  await node.deploy('hello', 'hello');
  const { digest } = (await (await node.api('PUT', '/v1/modules', fixture('hello'))).json()) as { digest: string };
  let deployed = 0;
  const deploying = (async () => {
    for (; ; deployed++) await node.api('POST', '/v1/functions', { name: `fn-${deployed}`, module: digest });
  })().catch(() => undefined);
  await until(() => deployed > 5 || undefined, 'some to be deployed');
  await sleep(Math.random() * 20);
  await node.end('SIGKILL');
  await deploying;
  const again = await startTestNode({ data: node.data, gateways: 1 });
  const { items } = (await (await again.api('GET', '/v1/functions?limit=200')).json()) as { items: { name: string }[] };
  assert.ok(items.length > deployed, `${items.length} functions, ${deployed} and one were deployed`);
  for (const { name } of items) assert.is((await fetch(`${again.url}/${name}/`)).status, 200, name);
  await again.deploy('after', 'hello');
  assert.is((await fetch(`${again.url}/after/`)).status, 200);
  await again.end();
});

test('cache: an entry that was not used for ttlMs expires, is counted, and the next call prepares again, in both fleets', async () => {
  const node = await startTestNode({ args: ['--cache-ttl-ms', '1000'], gateways: 1 });
  const loadOf = async (name: string): Promise<string> => {
    const response = await fetch(`${node.url}/${name}/`, { headers: { connection: 'close' } });
    assert.is(response.status, 200);
    return (await node.execution(response.headers.get('nacelle-execution'))).load;
  };
  await node.deploy('resident', 'hello', { capacity: { fleet: 'resident' } });
  await node.deploy('isolated', 'echo', { capacity: { fleet: 'on-demand' } });
  for (const name of ['resident', 'isolated']) await loadOf(name);
  await until(async () => {
    const { cache, isolates } = (await (await node.api('GET', '/v1/node')).json()) as {
      cache: { expired: number; entries: number };
      isolates: { holds: string[] }[];
    };
    return (cache.expired >= 2 && cache.entries === 0 && isolates.every(({ holds }) => holds.length === 0)) || undefined;
  }, 'expired entries, and isolates that hold nothing');
  // Threads let go of it by themselves, later where the machine is busy; each call begins the time anew.
  for (const name of ['resident', 'isolated'])
    await until(async () => {
      await sleep(1500);
      return (await loadOf(name)) === 'prepared' || undefined;
    }, `${name} to be prepared again`);
  await node.end();
});

test('close: requests under way finish, new ones are refused', async () => {
  const node = await startTestNode({ gateways: 1 });
  await node.deploy('echo', 'echo');
  const held = holdRequest(`${node.url}/echo/`);
  await until(async () => {
    const { gateways } = (await (await node.api('GET', '/v1/node')).json()) as { gateways: { inFlight: number }[] };
    return gateways.some(({ inFlight }) => inFlight > 0) || undefined;
  }, 'a request under way');
  const exit = node.end('SIGTERM');
  await until(
    () =>
      fetch(`${node.url}/echo/`, { method: 'POST', headers: { connection: 'close' } }).then(
        () => undefined,
        () => true,
      ),
    'new ones to be refused',
  );
  const { status, text } = await held.release();
  assert.equal([status, text], [200, 'held and released']);
  assert.is(await exit, 0);
});

test.run();
