import { request } from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
});

test.after(async () => {
  await node.end();
  cleanUp();
});

test('dead letters: the answer to a request that failed waits 5 seconds for the rest of its body; then it is not kept, and the node says so', async () => {
  await node.deploy('unread', 'trap', { onFailure: { deadLetter: 'unread' } });
  const sentMs = performance.now();
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const outgoing = request(`${node.url}/unread/unreachable`, { method: 'POST', agent: false, headers: { 'content-length': 1000 } }, (incoming) => {
      resolve(incoming.statusCode);
      outgoing.destroy();
    });
    outgoing.on('error', reject);
    // The rest never comes.
    outgoing.write(Buffer.alloc(500));
  });
  const waitedMs = performance.now() - sentMs;
  assert.is(status, 502);
  assert.ok(waitedMs >= 4900, `answered after ${waitedMs} ms`);
  await until(() => (/its body was not there as a whole/.test(node.errors()) ? true : undefined), 'the warning');
  const { items } = (await (await node.api('GET', '/v1/dead-letters')).json()) as { items: unknown[] };
  assert.equal(items, []);
});

test.run();
