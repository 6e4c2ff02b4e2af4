import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { backoffMs } from '../../host/edge/backoff.ts';
import { createOriginClient } from '../../host/edge/origin-client.ts';
import { Puller, type PullOptions } from '../../host/edge/pull.ts';
import { HeldBlobs, hold } from '../../host/store/held-blobs.ts';
import { MemoryBlobs } from '../../host/store/memory/blobs.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import { type FakeOrigin, fakeOrigin } from './origin-server.ts';

const bytes = Buffer.alloc(300_000, 'component ');
const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const origins: FakeOrigin[] = [];

/** Answers with the bytes from where the request wants them, and no more than `most` of them. */
function serve(request: IncomingMessage, response: ServerResponse, content = bytes, most = Number.POSITIVE_INFINITY): void {
  const start = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  response.writeHead(start > 0 ? 206 : 200, {
    'content-length': content.length - start,
    ...(start > 0 ? { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` } : {}),
  });
  const part = content.subarray(start, start + most);
  if (start + part.length === content.length) response.end(part);
  else response.write(part, () => setTimeout(() => response.destroy(), 20));
}

async function open(
  answer: Parameters<typeof fakeOrigin>[0],
  options: Partial<PullOptions> = {},
): Promise<{ puller: Puller; blobs: MemoryBlobs; table: MemoryTable; held: HeldBlobs; origin: FakeOrigin }> {
  const origin = await fakeOrigin(answer);
  origins.push(origin);
  const blobs = new MemoryBlobs();
  const table = new MemoryTable();
  const held = new HeldBlobs({ table, blobs });
  const client = createOriginClient(origin.url, 'token', '0.1.0');
  const puller = new Puller({
    client,
    held,
    bytesMax: 1_000_000,
    bytesPerSecond: 0,
    isConnected: () => true,
    signal: new AbortController().signal,
    ...options,
  });
  return { puller, blobs, table, held, origin };
}

const codeOf = (promise: Promise<void>): Promise<string> =>
  promise.then(
    () => 'pulled',
    (error: unknown) => (error instanceof Problem ? error.code : String(error)),
  );

test('Puller: brings the bytes once, however many ask', async () => {
  const { puller, blobs, origin } = await open((request, response) => serve(request, response));
  await Promise.all([puller.pull(digest), puller.pull(digest), puller.pull(digest)]);
  await puller.pull(digest);
  assert.equal(Buffer.from((await blobs.get(digest)) ?? []), bytes);
  assert.is(origin.requests.length, 1);
  assert.is(origin.requests[0]?.url, `/v1/feed/modules/${digest}`);
  assert.equal(puller.counters, { pulled: 1, bytes: bytes.length, resumed: 0, failed: 0 });
});

test('Puller: goes on where it broke off, also at an origin that knows no ranges', async () => {
  const { puller, blobs, origin } = await open((request, response) => serve(request, response, bytes, 70_000));
  await puller.pull(digest);
  assert.ok(await blobs.exists(digest));
  assert.ok(origin.requests.length >= 5);
  assert.is(puller.counters.bytes, bytes.length, 'nothing is fetched twice');
  assert.ok(puller.counters.resumed >= 4);
  const rangeless = await open((request, response, count) => {
    delete request.headers.range;
    serve(request, response, bytes, count === 1 ? 70_000 : undefined);
  });
  await rangeless.puller.pull(digest);
  assert.ok(await rangeless.blobs.exists(digest));
});

test('Puller: other bytes are never kept', async () => {
  const { puller, blobs } = await open((request, response) => serve(request, response, Buffer.alloc(300_000, 'something else')));
  assert.is(await codeOf(puller.pull(digest)), 'unavailable');
  assert.not(await blobs.exists(digest));
  const larger = await open((request, response) => serve(request, response, Buffer.alloc(2_000_000)));
  assert.is(await codeOf(larger.puller.pull(digest)), 'body-too-large');
});

test('Puller: gives up after some attempts without a byte, after one while the origin is away, at once at a refusal', async () => {
  const failing = await open((_request, response) => response.destroy(), { attemptsMax: 3 });
  assert.is(await codeOf(failing.puller.pull(digest)), 'unavailable');
  assert.is(failing.origin.requests.length, 3);
  const away = await open((_request, response) => response.destroy(), { isConnected: () => false });
  assert.is(await codeOf(away.puller.pull(digest)), 'unavailable');
  assert.is(away.origin.requests.length, 1);
  const begun = await open(
    (request, response, count) => (count === 2 ? void response.destroy() : serve(request, response, bytes, count === 1 ? 70_000 : undefined)),
    {
      isConnected: () => false,
    },
  );
  await begun.puller.pull(digest);
  assert.is(begun.puller.counters.bytes, bytes.length, 'what has come is not given up for one failure');
  const refusing = await open((_request, response) => response.writeHead(404).end());
  assert.is(await codeOf(refusing.puller.pull(digest)), 'not-found');
  assert.is(refusing.origin.requests.length, 1);
  assert.is(refusing.puller.counters.failed, 1);
});

test('Puller: what it brings stays while it comes and as long as somebody holds it, and is garbage when nobody does', async () => {
  const { puller, blobs, table, held } = await open((request, response) => serve(request, response, bytes, 70_000));
  const pulling = puller.pull(digest);
  await held.sweep();
  await pulling;
  assert.ok(await blobs.exists(digest), 'collected while it came');
  await table.commit([hold(digest, 'acme')]);
  await held.collect();
  assert.ok(await blobs.exists(digest), 'collected though it is held');
  await table.commit([{ key: hold(digest, 'acme').key, delete: true }]);
  await puller.pull(digest);
  await held.collect();
  assert.not(await blobs.exists(digest), 'kept though its function is gone');
  const collecting = held.sweep();
  await puller.pull(digest);
  await collecting;
  assert.ok(await blobs.exists(digest), 'collected behind the back of a pull');
});

test('Puller: keeps to its bandwidth', async () => {
  const { puller } = await open((request, response) => serve(request, response), { bytesPerSecond: 600_000 });
  const beginMs = performance.now();
  await puller.pull(digest);
  assert.ok(performance.now() - beginMs > 400, 'half a second for 300 KB at 600 KB a second');
});

test('backoffMs: doubles its bound, never above the largest, and is spread over all of it', () => {
  const bounds = { baseMs: 100, maxMs: 1000 };
  assert.equal(
    [0, 1, 2, 3, 4, 50].map((attempt) => backoffMs(attempt, bounds, () => 1)),
    [100, 200, 400, 800, 1000, 1000],
  );
  assert.is(
    backoffMs(5, bounds, () => 0),
    0,
  );
});

test.after(async () => {
  for (const origin of origins) await origin.close();
});
test.run();
