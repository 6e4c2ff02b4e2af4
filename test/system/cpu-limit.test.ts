import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, sleep, startTestNode, type TestNode } from './node.ts';

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  for (const fleet of ['resident', 'on-demand']) await node.deploy(`burn-${fleet}`, 'burn', { limits: { cpuMs: 1_000, timeMs: 60_000 }, capacity: { fleet } });
});
test.after(cleanUp);

/** Burns some 100 ms of CPU time while the whole node is kept from running for longer than the limit; resolves with whether it was. */
async function burnHalted(fleet: string, afterMs: number): Promise<boolean> {
  const answer = fetch(`${node.url}/burn-${fleet}/?iterations=50000000`);
  await sleep(afterMs);
  node.process.kill('SIGSTOP');
  await sleep(1_500);
  node.process.kill('SIGCONT');
  const response = await answer;
  assert.is(response.status, 200, await response.text());
  const { meter } = await node.execution(response.headers.get('nacelle-execution'));
  assert.ok(meter.cpuUs < 1_000_000, `${meter.cpuUs} µs`);
  return meter.wallUs > 1_400_000;
}

for (const fleet of ['resident', 'on-demand'])
  test(`limits.cpuMs: time in which the machine ran others is not counted (${fleet})`, async () => {
    const halted: boolean[] = [];
    for (const afterMs of [20, 2, 50, 5, 100]) if (halted.length < 2 || !halted.includes(true)) halted.push(await burnHalted(fleet, afterMs));
    assert.ok(halted.includes(true));
  });

test.run();
