import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import { again } from './edge-harness.ts';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

test.after(cleanUp);

const deploy = (node: TestNode, limits: object): Promise<unknown> =>
  node.deploy('long', 'deliver', { capacity: { fleet: 'on-demand' }, limits, capabilities: { keyvalue: { '': 'done' } }, onFailure: { retries: 0 } });

test('events: a node that is stopped does not wait for long deliveries, which are made when it starts again', async () => {
  const node = await startTestNode({ gateways: 1 });
  await deploy(node, { cpuMs: 30_000, timeMs: 300_000 });
  const headers = { 'authorization': `Bearer ${node.token}`, 'ce-specversion': '1.0', 'ce-id': 'spin', 'ce-source': '/test', 'ce-type': 'made' };
  const sent = await fetch(`${node.control}/v1/events?function=long`, { method: 'POST', headers, body: 'spin' });
  const id = ((await sent.json()) as { items: { id: string }[] }).items[0]?.id;
  const recordIn = async ({ api }: TestNode): Promise<ExecutionRecord> => (await (await api('GET', `/v1/executions/${id}`)).json()) as ExecutionRecord;
  await until(async () => (await recordIn(node)).state === 'running' || undefined, 'its delivery');
  // Its limit ends it 30 seconds of CPU time later: that would be an attempt, and the last.
  assert.is(await node.end(), 0);

  const back = await again(node);
  const { state, attempts } = await recordIn(back);
  assert.ok(['queued', 'running'].includes(state), state);
  assert.equal(attempts, [], 'what was cut off is no attempt');
  await back.end('SIGKILL');
});

test.run();
