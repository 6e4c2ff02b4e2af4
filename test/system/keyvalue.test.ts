import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fixture, sleep, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode({ args: ['--store-bucket-bytes-max', '200000'] });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const fleets = ['resident', 'on-demand'] as const;
const granted = (bucket: string, fleet: string, more: Record<string, string> = {}) => ({
  capabilities: { keyvalue: { '': bucket, ...more } },
  capacity: { fleet },
});

const send = async (method: string, path: string, body?: string): Promise<[status: number, text: string]> => {
  const response = await fetch(node.url + path, { method, ...(body === undefined ? {} : { body }) });
  return [response.status, await response.text()];
};

/** On a new connection, again while the node has no capacity: then nothing was executed. */
const sendWhenThereIsRoom = async (path: string, init: RequestInit = {}): Promise<[status: number, text: string]> => {
  for (;;) {
    const response = await fetch(node.url + path, { ...init, headers: { connection: 'close' } });
    const text = await response.text();
    if (response.status !== 503 || !text.includes('capacity-exhausted')) return [response.status, text];
    await sleep(100);
  }
};

for (const fleet of fleets) {
  const count = fleet === 'resident' ? 100 : 40;
  test(`keyvalue: ${count} increments at once on all threads are all counted, ${fleet}`, async () => {
    await node.deploy(`counter-${fleet}`, 'counter', granted(`hits-${fleet}`, fleet));
    const sums = await Promise.all(
      Array.from({ length: count }, async () => {
        const [status, text] = await sendWhenThereIsRoom(`/counter-${fleet}/visits`);
        assert.is(status, 200, text);
        return Number(text);
      }),
    );
    assert.equal(
      sums.sort((a, b) => a - b),
      Array.from({ length: count }, (_, index) => index + 1),
    );
  });

  test(`keyvalue: what one execution wrote the next one reads, whatever its thread, ${fleet}`, async () => {
    await node.deploy(`kv-${fleet}`, 'bucket', granted(`kv-${fleet}`, fleet, { own: `kv-${fleet}` }));
    const path = `/kv-${fleet}/own`;
    for (let i = 0; i < 20; i++) {
      const key = `key-${i % 7}`;
      const headers = { connection: 'close' };
      const put = await fetch(`${node.url}${path}/${key}`, { method: 'PUT', body: `value ${i}`, headers });
      assert.is(put.status, 204);
      assert.is(await (await fetch(`${node.url}${path}/${key}`, { headers })).text(), `value ${i}`);
    }
    assert.equal(await send('DELETE', `${path}/key-3`), [204, '']);
    assert.equal(await send('GET', `${path}/key-3`), [404, 'not there']);
    assert.equal(await send('GET', `${path}/`), [200, 'key-0\nkey-1\nkey-2\nkey-4\nkey-5\nkey-6\n']);
  });
}

test('keyvalue: a swap that loses begins again with the present value, so nothing is overwritten', async () => {
  await node.deploy('append', 'bucket', granted('append', 'on-demand', { own: 'append' }));
  const letters = Array.from({ length: 30 }, (_, index) => String.fromCharCode(65 + index));
  await Promise.all(letters.map(async (letter) => assert.is((await sendWhenThereIsRoom('/append/own/all', { method: 'POST', body: letter }))[0], 204)));
  const [, text] = await send('GET', '/append/own/all');
  assert.equal([...text].sort(), letters);
});

test('keyvalue: the first draft counts and lists page by page', async () => {
  await node.deploy('tally', 'tally', granted('tally', 'resident'));
  await node.deploy('filler', 'counter', granted('tally', 'resident'));
  const keys = Array.from({ length: 520 }, (_, index) => `k${index}`);
  for (let from = 0; from < keys.length; from += 104) await Promise.all(keys.slice(from, from + 104).map((key) => sendWhenThereIsRoom(`/filler/${key}`)));
  assert.equal(await send('GET', '/tally/k0'), [200, '2 520']);
  assert.equal(await send('GET', '/tally/new'), [200, '1 521']);
  assert.equal(await send('GET', '/filler/k0?gets=50'), [200, '50\n']);
});

test('keyvalue: a bucket that is not granted cannot be opened', async () => {
  await node.deploy('denied', 'bucket', granted('denied', 'resident'));
  assert.equal(await send('GET', '/denied/kv-resident/key-0'), [403, 'access-denied']);
});

for (const fleet of fleets)
  test(`keyvalue: a value with a time to live is gone for all readers when it is over, ${fleet}`, async () => {
    await node.deploy(`expiring-${fleet}`, 'expiring', granted(`expiring-${fleet}`, fleet));
    const path = `/expiring-${fleet}`;
    assert.equal(await send('GET', `${path}/long?ttl=600000`), [200, 'set\n']);
    assert.equal(await send('GET', `${path}/short?ttl=300`), [200, 'set\n']);
    assert.equal(await send('GET', `${path}/long`), [200, 'there for a while\n']);
    await until(async () => (await send('GET', `${path}/short`))[0] === 404 || undefined, 'the value to go');
    const [status, text] = await send('GET', `${path}/short?ttl=0`);
    assert.is(status, 400);
    assert.match(text, /from 1 to 315360000000, got 0/);
    await until(async () => {
      const { items } = (await (await node.api('GET', '/v1/state')).json()) as { items: { name: string; keys: number; bytes: number }[] };
      return items.find(({ name, keys, bytes }) => name === `expiring-${fleet}` && keys === 1 && bytes === 9);
    }, 'the sweep');
  });

test('keyvalue: the control API sets values with a time to live', async () => {
  const put = (ttlMs: string) => node.api('PUT', `/v1/state/timed/k?ttlMs=${ttlMs}`, new Uint8Array(3));
  assert.is((await put('200')).status, 204);
  await until(async () => (await node.api('GET', '/v1/state/timed/k')).status === 404 || undefined, 'the value to go');
  assert.is((await put('0')).status, 400);
  assert.is((await put('soon')).status, 400);
});

test('keyvalue: a component that watches buckets deploys and answers', async () => {
  await node.deploy('watching', 'watching', granted('watched', 'resident'));
  assert.equal(await send('GET', '/watching/'), [200, 'watching\n']);
});

test('keyvalue: an import without a grant is refused at deployment, by name', async () => {
  const { digest } = (await (await node.api('PUT', '/v1/modules', fixture('counter'))).json()) as { digest: string };
  const response = await node.api('POST', '/v1/functions', { name: 'ungranted', module: digest });
  assert.is(response.status, 422);
  const { code, detail } = (await response.json()) as { code: string; detail: string };
  assert.is(code, 'import-not-granted');
  assert.match(detail, 'wasi:keyvalue/atomics@0.2.0-draft2');
});

test('keyvalue: a bucket that is full refuses, and other buckets go on', async () => {
  await node.deploy('full', 'bucket', granted('full', 'on-demand', { own: 'full', other: 'roomy' }));
  for (let i = 0; i < 3; i++) assert.is((await send('PUT', `/full/own/large-${i}`, 'x'.repeat(60_000)))[0], 204);
  const [status, text] = await send('PUT', '/full/own/large-3', 'x'.repeat(60_000));
  assert.is(status, 400);
  assert.match(text, /bucket "full": at most 200000 bytes/);
  assert.is((await send('PUT', '/full/other/large', 'x'.repeat(60_000)))[0], 204);
  assert.is((await send('DELETE', '/full/own/large-0'))[0], 204);
  assert.is((await send('PUT', '/full/own/large-3', 'x'.repeat(60_000)))[0], 204);
});

test('keyvalue: tenants with the same names of buckets and keys do not meet', async () => {
  const digest = ((await (await node.api('PUT', '/v1/modules', fixture('counter'))).json()) as { digest: string }).digest;
  for (const tenant of ['first', 'second']) {
    await node.api('POST', '/v1/tenants', { name: tenant });
    await node.api('PUT', `/v1/modules?tenant=${tenant}`, fixture('counter'));
    const response = await node.api('POST', `/v1/functions?tenant=${tenant}`, { name: 'counter', module: digest, ...granted('shared', 'on-demand') });
    assert.is(response.status, 201, await response.text());
  }
  for (let i = 1; i <= 3; i++) assert.equal(await send('GET', '/~first/counter/n'), [200, `${i}\n`]);
  assert.equal(await send('GET', '/~second/counter/n'), [200, '1\n']);
  await node.api('DELETE', '/v1/tenants/first');
  await node.api('POST', '/v1/tenants', { name: 'first' });
  await node.api('PUT', '/v1/modules?tenant=first', fixture('counter'));
  await node.api('POST', '/v1/functions?tenant=first', { name: 'counter', module: digest, ...granted('shared', 'on-demand') });
  assert.equal(await send('GET', '/~first/counter/n'), [200, '1\n']);
});

test('keyvalue: kill -9 in the middle of writes loses none that was acknowledged', async () => {
  const killed = await startTestNode();
  await killed.deploy('counter', 'counter', granted('hits', 'on-demand'));
  let acknowledged = 0;
  const clients = Array.from({ length: 8 }, async () => {
    for (;;) {
      const response = await fetch(`${killed.url}/counter/n`);
      acknowledged = Math.max(acknowledged, Number(await response.text()));
    }
  }).map((client) => client.catch(() => undefined));
  await until(() => acknowledged > 20 || undefined, 'acknowledged writes', 20_000);
  await killed.end('SIGKILL');
  await Promise.all(clients);
  const again = await startTestNode({ data: killed.data });
  const next = Number(await (await fetch(`${again.url}/counter/n`)).text());
  assert.ok(next > acknowledged && next <= acknowledged + 9, `acknowledged ${acknowledged}, then ${next}`);
  await again.end();
});

test.run();
