/** Responses of executions by key that are too large to be held in memory until their commit. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openStore, openStoreReader } from '../../host/store/lmdb/store.ts';
import { cleanUp, freshDirectory, startTestNode, type TestNode, until } from './node.ts';

const mib = 1024 * 1024;
const limits = { cpuMs: 20_000, timeMs: 60_000 };
const responseBytesMax = 20 * mib;

let node: TestNode;
test.before(async () => {
  node = await startTestNode({ args: ['--guarantees-response-bytes-max', String(responseBytesMax)] });
  for (const fleet of fleets) await node.deploy(`big-${fleet}`, 'big', { guarantee: {}, limits, capacity: { fleet } });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const fleets = ['resident', 'on-demand'] as const;

/** As the fixture makes it: in pieces of 64 KiB, each of which begins with "a". */
const bodyOf = (bytes: number): Buffer => {
  const piece = Buffer.from(Array.from({ length: 65_536 }, (_, i) => 97 + (i % 26)));
  return Buffer.alloc(bytes, piece);
};
const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

type Answer = { status: number; bytes: number; digest: string; replayed: boolean; headers: Headers };
const send = async (path: string, key: string, from = node, method = 'GET'): Promise<Answer> => {
  const response = await fetch(from.url + path, { method, headers: { 'idempotency-key': key } });
  const body = new Uint8Array(await response.arrayBuffer());
  return {
    status: response.status,
    bytes: body.length,
    digest: digestOf(body),
    replayed: response.headers.has('idempotent-replayed'),
    headers: response.headers,
  };
};

/** Digests of all bytes in the store of a node that has ended. */
const blobsIn = async (data: string): Promise<string[]> => {
  const store = await openStore(data, { bytesMax: 2 ** 40 });
  const found: string[] = [];
  for await (const digest of store.blobs.digests()) found.push(digest.slice('sha256:'.length));
  await store.close();
  return found.sort();
};

const bytesIn = (data: string): number => statSync(join(data, 'store', 'data.mdb')).size;

/** Records under a prefix, in the store of a node that runs. */
const recordsIn = async (data: string, prefix: string): Promise<number> => {
  const store = openStoreReader(data);
  const { entries } = await store.table.scan({ prefix });
  await store.close();
  return entries.length;
};

for (const fleet of fleets) {
  test(`guarantee: a response that is larger than memory is for is answered after the commit, and repeated whole, ${fleet}`, async () => {
    const bytes = 18 * mib + 17;
    const path = `/big-${fleet}/?headers=2&value=5&body=${bytes}`;
    const [first, again] = [await send(path, 'large'), await send(path, 'large')];
    assert.equal([first.status, first.bytes, first.digest, first.replayed], [200, bytes, digestOf(bodyOf(bytes)), false]);
    assert.equal([again.status, again.bytes, again.digest, again.replayed], [200, bytes, first.digest, true]);
    for (const { headers } of [first, again])
      assert.equal([headers.get('content-length'), headers.get('x-big-0'), headers.get('x-big-1')], [String(bytes), 'abcde', 'abcde']);
    assert.is(again.headers.get('nacelle-execution'), first.headers.get('nacelle-execution'));
  });

  test(`guarantee: an answer to HEAD has the length of a large body and none of it, first and later, ${fleet}`, async () => {
    for (const replayed of [false, true]) {
      const answer = await send(`/big-${fleet}/?body=${2 * mib}`, 'head', node, 'HEAD');
      assert.equal([answer.status, answer.bytes, answer.headers.get('content-length'), answer.replayed], [200, 0, String(2 * mib), replayed]);
    }
  });

  test(`guarantee: a response over the limit of the node fails, and nothing of it stays, ${fleet}`, async () => {
    const answer = await send(`/big-${fleet}/?body=${responseBytesMax + 1}`, 'too-large');
    assert.is(answer.status, 413);
    assert.is((await send(`/big-${fleet}/?body=${responseBytesMax}`, 'fits')).bytes, responseBytesMax);
  });
}

test('guarantee: more large responses at once than go to the store at once all come whole', async () => {
  const answers = await Promise.all(Array.from({ length: 24 }, (_, i) => send(`/big-${fleets[i % 2]}/?body=${mib + 70_000 + i}`, `many-${i}`)));
  answers.forEach((answer, i) => {
    assert.equal([answer.status, answer.bytes, answer.digest], [200, mib + 70_000 + i, digestOf(bodyOf(mib + 70_000 + i))], `answer ${i}`);
  });
});

test('guarantee: a large response goes with the record of its execution', async () => {
  const brief = await startTestNode({ args: ['--guarantees-ttl-ms', '1000', '--objects-grace-ms', '1000'] });
  await brief.deploy('big', 'big', { guarantee: {}, limits });
  const modules = 1;
  assert.is((await send(`/big/?body=${5 * mib}`, 'k', brief)).bytes, 5 * mib);
  const forgotten = await until(
    async () => {
      const answer = await send(`/big/?body=${5 * mib}`, 'k', brief);
      return answer.replayed ? undefined : answer;
    },
    'the key to be forgotten',
    30_000,
  );
  assert.is(forgotten.bytes, 5 * mib);
  for (const prefix of ['~node/guaranteed/', 'default/guarantee/'])
    await until(async () => ((await recordsIn(brief.data, prefix)) === 0 ? true : undefined), `${prefix} to go`, 30_000);
  // What is in its time of grace when a node ends goes when one starts.
  await brief.end('SIGKILL');
  const again = await startTestNode({ data: brief.data });
  await until(async () => ((await recordsIn(brief.data, '~node/holder/')) === modules ? true : undefined), 'no holder but that of the module');
  await again.end();
  assert.is((await blobsIn(brief.data)).length, modules);
});

test('guarantee: a large response without a key takes room only until it is sent', async () => {
  const judged = await startTestNode({ args: ['--guarantees-bytes-max', String(20 * mib)] });
  await judged.deploy('big', 'big', { limits, onFailure: { verdict: 'double-memory' } });
  const bytes = 3 * mib + 17;
  for (let i = 0; i < 12; i++) {
    const response = await fetch(`${judged.url}/big/?body=${bytes}`);
    assert.equal([response.status, digestOf(new Uint8Array(await response.arrayBuffer()))], [200, digestOf(bodyOf(bytes))]);
  }
  await judged.end();
});

test('guarantee: kill -9 while a large response is written leaves nothing behind, and the request is run again', async () => {
  const data = freshDirectory();
  let killed = await startTestNode({ data });
  await killed.deploy('big', 'big', { guarantee: {}, limits });
  const bytes = 40 * mib;
  const path = `/big/?body=${bytes}`;
  const before = bytesIn(data);
  const lost = send(path, 'k', killed).catch(() => undefined);
  await until(() => (bytesIn(data) > before + 8 * mib ? true : undefined), 'a part of the response in the store', 30_000);
  await killed.end('SIGKILL');
  await lost;
  killed = await startTestNode({ data });
  const answer = await until(
    async () => {
      const one = await send(path, 'k', killed);
      return one.status === 200 ? one : undefined;
    },
    'the answer',
    30_000,
  );
  assert.equal([answer.bytes, answer.digest, answer.replayed], [bytes, digestOf(bodyOf(bytes)), true]);
  await killed.end();
  const found = await blobsIn(data);
  assert.is(found.length, 2, 'the module and the response');
  assert.ok(found.includes(answer.digest));
});

test.run();
