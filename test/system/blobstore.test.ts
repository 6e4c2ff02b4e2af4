import { createHash, randomBytes } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fixture, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode({ args: ['--objects-grace-ms', '1000'] });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const send = async (method: string, path: string, body?: string | Uint8Array<ArrayBuffer>): Promise<[status: number, text: string]> => {
  const response = await fetch(node.url + path, { method, headers: { connection: 'close' }, ...(body === undefined ? {} : { body }) });
  return [response.status, await response.text()];
};
const granted = (bucket: string, fleet: string) => ({ capabilities: { objects: [bucket] }, capacity: { fleet }, limits: { bodyMib: 16, cpuMs: 5000 } });
const report = async (bucket: string): Promise<Record<string, number>> =>
  (await node.api('GET', `/v1/buckets/${bucket}`)).json() as Promise<Record<string, number>>;

for (const fleet of ['resident', 'on-demand'] as const) {
  const base = `/o-${fleet}/b-${fleet}`;

  test(`blobstore: what a guest streams into a container comes back to it and to the control API, ${fleet}`, async () => {
    await node.deploy(`o-${fleet}`, 'objects', granted(`b-${fleet}`, fleet));
    const bytes = new Uint8Array(randomBytes(5 * 1024 * 1024 + 3));
    assert.equal(await send('PUT', `${base}/big`, bytes), [204, '']);
    const back = await fetch(`${node.url}${base}/big`);
    assert.is(digest(new Uint8Array(await back.arrayBuffer())), digest(bytes));
    const seen = await node.api('GET', `/v1/objects/b-${fleet}/big`);
    assert.is(digest(new Uint8Array(await seen.arrayBuffer())), digest(bytes));
    const part = await fetch(`${node.url}${base}/big?from=1048540&to=1048560`);
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(Buffer.from(bytes.subarray(1048540, 1048561))));
    assert.equal(await send('PUT', `${base}/small`, 'hello'), [204, '']);
    assert.equal(await send('GET', `${base}/small?from=1&to=3`), [200, 'ell']);
    assert.equal(await send('GET', `${base}/small?from=9&to=30`), [200, '']);
    assert.equal(await send('GET', `${base}/`), [200, 'big\nsmall\n']);
    assert.equal(await send('POST', `${base}/small`, 'moved'), [204, '']);
    assert.equal(await send('GET', `${base}/moved`), [200, 'hello']);
    assert.is((await send('GET', `${base}/small`))[0], 400);
    assert.equal(await send('DELETE', `${base}/big`), [204, '']);
    assert.equal(await send('DELETE', `${base}/big`), [204, '']);
    assert.equal((await report(`b-${fleet}`)).objects, 1);
    assert.equal(await send('DELETE', `${base}/`), [204, '']);
    assert.equal(await send('GET', `${base}/`), [200, '']);
  });

  test(`blobstore: a value that is not finished, or whose guest is stopped, comes to nothing, ${fleet}`, async () => {
    assert.equal(await send('PUT', `${base}/given-up?drop=1`, 'x'.repeat(300_000)), [204, '']);
    assert.is((await send('GET', `${base}/given-up`))[0], 400);
    const controller = new AbortController();
    const body = new ReadableStream<Uint8Array>({ start: (stream) => stream.enqueue(new Uint8Array(2 * 1024 * 1024)) });
    const cut = fetch(`${node.url}${base}/cut`, { method: 'PUT', body, duplex: 'half', signal: controller.signal } as RequestInit).catch(() => undefined);
    setTimeout(() => controller.abort(), 200);
    await cut;
    assert.is((await send('GET', `${base}/cut`))[0], 400);
    assert.equal(await send('GET', `${base}/`), [200, '']);
  });

  test(`blobstore: bad names and a full bucket are told to the guest, ${fleet}`, async () => {
    const [status, text] = await send('PUT', `${base}/a/../b`.replace('..', '%2e%2e'), 'x');
    assert.ok(status === 204 || status === 400, text);
    await node.api('PUT', `/v1/buckets/b-${fleet}`, { quotaBytes: 1000 });
    const [full, why] = await send('PUT', `${base}/large`, 'x'.repeat(1001));
    assert.is(full, 400);
    assert.match(why, 'at most 1000 bytes');
  });
}

test('blobstore: a container that is not granted cannot be opened, and an import without a grant is refused', async () => {
  assert.equal(await send('GET', '/o-resident/b-on-demand/x'), [403, 'the container "b-on-demand" is not granted']);
  const { digest: module } = (await (await node.api('PUT', '/v1/modules', fixture('objects'))).json()) as { digest: string };
  const response = await node.api('POST', '/v1/functions', { name: 'ungranted', module });
  assert.is(response.status, 422);
  assert.match(((await response.json()) as { detail: string }).detail, 'capabilities.objects');
});

test('blobstore: an isolate that dies in the middle of a put leaves nothing of it', async () => {
  await node.deploy('dying', 'objects', { ...granted('dying', 'on-demand'), limits: { bodyMib: 16, timeMs: 300 } });
  const body = new ReadableStream<Uint8Array>({ start: (stream) => stream.enqueue(new Uint8Array(100_000)) });
  const response = await fetch(`${node.url}/dying/dying/k`, { method: 'PUT', body, duplex: 'half' } as RequestInit);
  assert.is(response.status, 504);
  await response.text();
  await until(async () => ((await node.api('GET', '/v1/objects/dying/k')).status === 404 ? true : undefined), 'no object');
});

test.run();
