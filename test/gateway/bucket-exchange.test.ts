import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ObjectClient } from '../../host/capability/object-client.ts';
import { objectKey } from '../../host/capability/object-model.ts';
import { serveObject } from '../../host/gateway/bucket-exchange.ts';
import { bytes, openObjects } from '../object/fixture.ts';

const id = 'acme/photos';

test('serveObject: one get of a computed object is one request, and holds its bytes for as long as they are sent', async () => {
  const { store, table } = await openObjects({ objectBytesMax: 1_000_000, quotaBytes: 10_000_000 });
  const calls: string[] = [];
  const client = {
    reader: store.reader,
    obtain: async (_: string, key: string) => {
      calls.push(`obtain ${key}`);
      return () => calls.push(`release ${key}`);
    },
    requested: (_: string, key: string) => calls.push(`requested ${key}`),
  } as unknown as ObjectClient;
  const server = createServer((incoming, outgoing) => serveObject(client, id, incoming.url ?? '', incoming, outgoing));
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const put = async (key: string, size: number, change: object): Promise<void> => {
    await store.put(id, key, { source: [bytes('x'.repeat(size))] });
    await table.commit([{ key: objectKey(id, key), put: { ...store.find(id, key), ...change } as never }]);
  };
  const manifest = { function: 'f', sources: [] };
  await put('plain', 10, {});
  await put('kept', 10, { manifest });
  await put('kept-large', 500_000, { manifest });
  await put('let-go', 10, { manifest, stored: false });
  for (const key of ['plain', 'kept', 'kept-large', 'let-go']) {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${key}`);
    assert.ok((await response.text()).startsWith('x'));
    await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${key}`, { method: 'HEAD' });
  }
  assert.equal(calls, ['requested kept', 'obtain kept-large', 'release kept-large', 'obtain let-go', 'release let-go']);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test.run();
