import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openStore } from '../../host/store/lmdb/store.ts';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

test.after(cleanUp);

const args = ['--objects-grace-ms', '1000'];
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const send = async (node: TestNode, method: string, key: string, body?: string): Promise<Response> => {
  const response = await fetch(`${node.control}/v1/objects/b/${key}`, {
    method,
    headers: { authorization: `Bearer ${node.token}` },
    ...(body !== undefined && { body }),
  });
  if (!response.ok) throw new Error(`${method} ${key}: ${response.status}`);
  return response;
};

/** What clients know: digests that were answered, and keys of which they got no answer. */
type Known = { answered: Map<string, string>; uncertain: Set<string>; count: number };

const work = async (node: TestNode, prefix: string, known: Known): Promise<void> => {
  for (let i = 0; ; i++) {
    const key = `${prefix}-${i % 5}`;
    const body = `${key} ${i} `.repeat(i % 3 === 0 ? 30_000 : 10);
    known.uncertain.add(key);
    if (i % 7 === 6) {
      await send(node, 'DELETE', key);
      known.answered.delete(key);
    } else {
      await send(node, 'PUT', key, body);
      known.answered.set(key, digest(Buffer.from(body)));
    }
    known.uncertain.delete(key);
    known.count++;
  }
};

test('objects: kill -9 in the middle of puts and removals loses none that was answered, and leaves no bytes that nobody refers to', async () => {
  let data: string | undefined;
  const known: Known = { answered: new Map(), uncertain: new Set(), count: 0 };
  for (const round of [1, 2]) {
    const killed: TestNode = await startTestNode({ ...(data !== undefined && { data }), args, gateways: 1 });
    data = killed.data;
    const clients = Array.from({ length: 4 }, (_, number) => work(killed, `r${round}-c${number}`, known).catch(() => undefined));
    await until(() => known.count > 60 * round || undefined, 'answered requests', 20_000);
    await killed.end('SIGKILL');
    await Promise.all(clients);
  }
  const again = await startTestNode({ data: data as string, gateways: 1 });
  const certain = [...known.answered].filter(([key]) => !known.uncertain.has(key));
  assert.ok(certain.length > 10);
  for (const [key, expected] of certain) assert.is(digest(Buffer.from(await (await send(again, 'GET', key)).arrayBuffer())), expected, key);
  await again.end();
  const store = await openStore(data as string, { bytesMax: 1 << 30 });
  const { entries } = await store.table.scan<{ digest: string }>({ prefix: 'default/object/', limit: 1000 });
  const held = new Set(entries.map(({ value }) => value.digest));
  assert.equal((await Array.fromAsync(store.blobs.digests())).sort(), [...held].sort());
  await store.close();
});

test.run();
