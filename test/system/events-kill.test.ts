import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, sleep, startTestNode, type TestNode, until } from './node.ts';

/** Points at which the node is killed: few here, `KILL_POINTS=200` for a long run (docs/design/0015-events.md). */
const points = Number(process.env.KILL_POINTS ?? 3);
const sendersAtOnce = 4;
/** Events that are taken before the next kill, at most. */
const takenMax = 60;
const drainMs = 120_000 + points * 2000;
const tickMs = 1000;

/** Functions that take one event for each that was sent, and count it in a bucket of their name. */
const counting = ['sender', 'ledger', 'watcher', 'seen'];

let node: TestNode;
/** Events that the node said it has. */
let taken = 0;

test.after(cleanUp);

/** As a client does: again and again until it is told that the event is safe. */
const send = async (key: string): Promise<void> => {
  for (;;) {
    const { control, token } = node;
    const headers = { 'authorization': `Bearer ${token}`, 'ce-specversion': '1.0', 'ce-id': key, 'ce-source': '/ledger', 'ce-type': 'counted' };
    const sent = await fetch(`${control}/v1/events?topic=counted`, { method: 'POST', headers, body: `relayed! ${key}` }).catch(() => undefined);
    if (sent?.status === 202) {
      taken++;
      return;
    }
    await sleep(20);
  }
};

/** Sends events until it is told to stop; resolves with how many there were. */
const sendOn = (): (() => Promise<number>) => {
  let sending = true;
  let sent = 0;
  const senders = Array.from({ length: sendersAtOnce }, async () => {
    while (sending) {
      // Every fourth traps at its first attempt, so that there are some that wait for another.
      await send(`${sent % 4 === 0 ? 'trap-first-' : 'k'}${sent++}`);
      await sleep(20);
    }
  });
  return async () => {
    sending = false;
    await Promise.all(senders);
    return sent;
  };
};

const countIn = async (bucket: string, key: string): Promise<string> => {
  const response = await node.api('GET', `/v1/state/${bucket}/${key}`);
  return response.ok ? response.text() : '';
};

const counts = async (bucket: string): Promise<Map<string, string>> => {
  const found = new Map<string, string>();
  for (let cursor = ''; ; ) {
    const page = (await (await node.api('GET', `/v1/state/${bucket}?limit=200${cursor}`)).json()) as { items: { key: string }[]; next?: string };
    for (const { key } of page.items) found.set(key, await countIn(bucket, key));
    if (page.next === undefined) return found;
    cursor = `&cursor=${encodeURIComponent(page.next)}`;
  }
};

/**
 * An event is a message to `sender`, which sends another to `ledger`, which writes its key: that change is an event for
 * `watcher`. It is a message to `copier` too, which writes an object: that is an event for `seen`. What fails in `ledger` is
 * judged by `triage`. Each counts in a bucket of its name what it has taken.
 */
const deployChain = async (): Promise<void> => {
  const manifest = (name: string, more: Record<string, unknown> = {}) => ({
    capabilities: { keyvalue: { '': name } },
    onFailure: { retries: 10, backoffMs: 20 },
    ...more,
  });
  const config = { verdict: JSON.stringify({ verdict: 'retry', reason: 'once more' }) };
  await node.deploy('triage', 'triage', { config, capabilities: { keyvalue: { '': 'triage' } } });
  await node.deploy('watcher', 'deliver', manifest('watcher', { events: [{ state: 'ledger/k*' }, { state: 'ledger/trap-first-*' }] }));
  await node.deploy('seen', 'deliver', manifest('seen', { events: [{ object: 'copies/*' }] }));
  const judged = { retries: 10, backoffMs: 20, control: 'triage' };
  await node.deploy('ledger', 'deliver', manifest('ledger', { events: [{ topic: 'relayed' }], onFailure: judged }));
  const copying = { capabilities: { objects: ['copies'] }, events: [{ topic: 'counted' }], limits: { concurrency: 1 } };
  await node.deploy('copier', 'uploads', manifest('copier', copying));
  const sending = { capabilities: { keyvalue: { '': 'sender' }, messaging: ['relayed'] }, events: [{ topic: 'counted' }] };
  await node.deploy('sender', 'message', manifest('sender', sending));
  const schedule = { cron: '* * * * * *', timeZone: 'UTC', catchUp: 'all' };
  await node.deploy('ticker', 'deliver', manifest('ticker', { events: [schedule] }));
};

test('events: killed at any time, the node delivers each event that it took once, and what each leads to', async () => {
  node = await startTestNode({ gateways: 1 });
  await deployChain();
  const tickingAt = Date.now();
  const stop = sendOn();
  for (let point = 0; point < points; point++) {
    const goal = taken + Math.random() * takenMax;
    await until(() => (taken >= goal ? true : undefined), `${goal} events`, 60_000);
    await sleep(Math.random() * 50);
    await node.end('SIGKILL');
    node = await startTestNode({ gateways: 1, data: node.data });
  }
  const total = await stop();
  await settled(total);
  const found = await counts('ledger');
  const wrong = [...found].filter(([key, count]) => key !== 'done' && count !== '1');
  assert.equal([found.size - 1, wrong], [total, []]);
  for (const bucket of counting) assert.is(await countIn(bucket, 'done'), String(total), bucket);
  await ticksAre(tickingAt);
  console.log(`${total} events, ${points} kills, each took effect once, as did what each led to`);
  await node.end();
});

/** Resolves when all has come and nothing waits: what comes twice has come by then. */
const settled = async (total: number): Promise<void> => {
  const items = async (path: string): Promise<unknown[]> => ((await (await node.api('GET', path)).json()) as { items: unknown[] }).items;
  for (const bucket of counting)
    await until(
      async () => {
        assert.equal(await items('/v1/dead-letters'), []);
        return Number(await countIn(bucket, 'done')) >= total ? true : undefined;
      },
      `${total} events in ${bucket}`,
      drainMs,
    );
  for (const name of [...counting, 'copier'])
    await until(async () => ((await items(`/v1/events?function=${name}`)).length === 0 ? true : undefined), `nothing to wait for ${name}`, drainMs);
};

/** One for each second since then, but for those at the ends. */
const ticksAre = async (since: number): Promise<void> => {
  const [ticks, passed] = await until(
    async () => {
      const count = Number(await countIn('ticker', 'done'));
      const seconds = (Date.now() - since) / tickMs;
      return count >= seconds - 2 ? [count, seconds] : undefined;
    },
    'the ticks',
    drainMs,
  );
  assert.ok(ticks <= passed + 2, `${ticks} ticks in ${passed} s`);
};

test.run();
