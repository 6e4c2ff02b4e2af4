import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, sleep, startTestNode, type TestNode, until } from './node.ts';

/** Points at which the node is killed: few here, `KILL_POINTS=200` for a long run. */
const points = Number(process.env.KILL_POINTS ?? 3);
const sendersAtOnce = 8;
/** Events that are taken before the next kill, at most. */
const takenMax = 60;

let node: TestNode;
/** Events that the node said it has. */
let taken = 0;

test.after(cleanUp);

/** As a client does: again and again until it is told that the event is safe. */
const send = async (key: string): Promise<void> => {
  for (;;) {
    const { control, token } = node;
    const headers = { 'authorization': `Bearer ${token}`, 'ce-specversion': '1.0', 'ce-id': key, 'ce-source': '/ledger', 'ce-type': 'counted' };
    const sent = await fetch(`${control}/v1/events?topic=counted`, { method: 'POST', headers, body: key }).catch(() => undefined);
    if (sent?.status === 202) {
      taken++;
      return;
    }
    await sleep(20);
  }
};

const counts = async (): Promise<Map<string, string>> => {
  const found = new Map<string, string>();
  for (let cursor = ''; ; ) {
    const page = (await (await node.api('GET', `/v1/state/ledger?limit=200${cursor}`)).json()) as { items: { key: string }[]; next?: string };
    for (const { key } of page.items) found.set(key, await (await node.api('GET', `/v1/state/ledger/${key}`)).text());
    if (page.next === undefined) return found;
    cursor = `&cursor=${encodeURIComponent(page.next)}`;
  }
};

test('events: killed at any time, the node delivers each event that it took once', async () => {
  node = await startTestNode({ gateways: 1 });
  await node.deploy('ledger', 'deliver', {
    capabilities: { keyvalue: { '': 'ledger' } },
    events: [{ topic: 'counted' }],
    onFailure: { retries: 10, backoffMs: 20 },
  });
  let sending = true;
  let sent = 0;
  const senders = Array.from({ length: sendersAtOnce }, async () => {
    while (sending) {
      // Every fourth traps at its first attempt, so that there are some that wait for another.
      await send(`${sent % 4 === 0 ? 'trap-first-' : 'k'}${sent++}`);
      await sleep(2);
    }
  });
  for (let point = 0; point < points; point++) {
    const goal = taken + Math.random() * takenMax;
    await until(() => (taken >= goal ? true : undefined), `${goal} events`, 60_000);
    await sleep(Math.random() * 50);
    await node.end('SIGKILL');
    node = await startTestNode({ gateways: 1, data: node.data });
  }
  sending = false;
  await Promise.all(senders);
  const total = sent;
  await until(async () => ((await (await node.api('GET', '/v1/state/ledger/done')).text()) === String(total) ? true : undefined), `${total} events`, 60_000);
  const found = await counts();
  const wrong = [...found].filter(([key, count]) => key !== 'done' && count !== '1');
  assert.equal([found.size - 1, wrong], [total, []]);
  assert.equal(((await (await node.api('GET', '/v1/dead-letters')).json()) as { items: unknown[] }).items, []);
  console.log(`${total} events, ${points} kills, each took effect once`);
  await node.end();
});

test.run();
