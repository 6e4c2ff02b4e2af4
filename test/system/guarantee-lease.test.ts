import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Fault } from './faults.ts';
import { cleanUp, startTestNode, type TestNode } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode({ gateways: 2, preload: new URL('./faults.ts', import.meta.url).href });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const cause = (fault: Fault): Promise<unknown> =>
  new Promise((resolve) => {
    node.process.once('message', resolve);
    node.process.send(fault);
  });

const stateOf = async (bucket: string, key: string): Promise<string> => (await node.api('GET', `/v1/state/${bucket}/${key}`)).text();

for (const fleet of ['resident', 'on-demand'] as const)
  test(`guarantee: a thread that stands still for longer than the lease has its run done again, and its late end changes nothing, ${fleet}`, async () => {
    const bucket = `bank-${fleet}`;
    await node.deploy(bucket, 'transfer', { capabilities: { keyvalue: { '': bucket } }, guarantee: { leaseMs: 1000, retries: 5 }, capacity: { fleet } });
    const move = (id: number) =>
      fetch(`${node.url}/${bucket}/?amount=5&id=${id}&wait=100`, { headers: { 'idempotency-key': `move-${id}`, 'connection': 'close' } });
    assert.is((await (await move(1)).text()).trimEnd(), '1 995 1005');
    await cause({ kind: 'stall', ms: 4000 });
    const begunMs = performance.now();
    const response = await move(2);
    const text = await response.text();
    assert.ok(performance.now() - begunMs > 1000, 'no thread stood still');
    assert.is(text.trimEnd(), '2 990 1010');
    const { attempts = [] } = await node.execution(response.headers.get('nacelle-execution'));
    assert.equal(
      attempts.map(({ code }) => code),
      ['lease-lost', null],
    );
    // Both threads have been heard of after that: the late end is among what was said.
    for (let id = 3; id < 9; id++) await (await move(id)).text();
    assert.equal([await stateOf(bucket, 'transfer-2'), await stateOf(bucket, 'account-0'), await stateOf(bucket, 'account-1')], ['1', '960', '1040']);
  });

test.run();
