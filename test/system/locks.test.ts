import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode();
  for (const fleet of fleets) await node.deploy(`locking-${fleet}`, 'locking', { shared, capacity: { fleet } });
  await node.deploy('board', 'region', { shared: [{ resource: 'board', kind: 'region' }], capacity: { fleet: 'resident' } });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const fleets = ['resident', 'on-demand'] as const;
const shared = ['a', 'b', 'c'].map((resource) => ({ resource, kind: 'lock', by: 'tenant' }));

const send = async (path: string): Promise<[status: number, text: string]> => {
  const response = await fetch(node.url + path, { headers: { connection: 'close' } });
  return [response.status, await response.text()];
};

type Resource = { resource: string; attachments: { execution: string }[]; holders: { execution: string; mode: string }[]; waiters: { execution: string }[] };
const lockOf = async (name: string): Promise<Resource | undefined> => {
  const { items } = (await (await node.api('GET', '/v1/resources')).json()) as { items: Resource[] };
  return items.find(({ resource }) => resource === `lock/${name}`);
};
const holders = (name: string, count: number): Promise<Resource> =>
  until(async () => {
    const lock = await lockOf(name);
    return lock?.holders.length === count ? lock : undefined;
  }, `${count} holders of ${name}`);

for (const fleet of fleets) {
  const path = `/locking-${fleet}`;
  test(`lock: one waits for another, is listed, and gets its turn, ${fleet}`, async () => {
    const first = send(`${path}/a?hold=1500`);
    const { holders: held } = await holders('a', 1);
    assert.is(held[0]?.mode, 'exclusive');
    const second = send(`${path}/a`);
    await until(async () => ((await lockOf('a'))?.waiters.length === 1 ? true : undefined), 'a waiter');
    assert.equal(await send(`${path}/a?timeout=1`), [409, 'timed-out\n']);
    assert.equal(await Promise.all([first, second]), [
      [200, 'done\n'],
      [200, 'done\n'],
    ]);
    await until(async () => ((await lockOf('a'))?.holders.length ? undefined : true), 'nobody to hold it');
  });

  test(`lock: those who share it hold it together, ${fleet}`, async () => {
    const both = [send(`${path}/A?hold=1500`), send(`${path}/A?hold=1500`)];
    await holders('a', 2);
    assert.equal(await send(`${path}/a?timeout=1`), [409, 'timed-out\n']);
    for (const [status] of await Promise.all(both)) assert.is(status, 200);
  });

  test(`lock: two that wait for each other are told apart, and one goes on, ${fleet}`, async () => {
    const answers = await until(async () => {
      const both = (await Promise.all([send(`${path}/ab?hold=200`), send(`${path}/ba?hold=200`)])).map(([, text]) => text);
      assert.ok(both.includes('done\n'), both.join());
      return both.every((text) => text === 'done\n') ? undefined : both;
    }, 'two that meet');
    assert.equal(answers.sort(), ['deadlock-victim\n', 'done\n']);
  });

  test(`lock: of three that wait for each other in a circle one is told so, and the others are done, ${fleet}`, async () => {
    const answers = await until(async () => {
      const three = (await Promise.all(['ab', 'bc', 'ca'].map((two) => send(`${path}/${two}?hold=200`)))).map(([, text]) => text);
      return three.every((text) => text === 'done\n') ? undefined : three;
    }, 'three that meet');
    assert.equal(answers.sort(), ['deadlock-victim\n', 'done\n', 'done\n']);
  });

  test(`lock: a guest that traps, or is ended, gives back what it held, ${fleet}`, async () => {
    assert.is((await send(`${path}/ab?trap=1`))[0], 502);
    assert.equal(await send(`${path}/ab?timeout=5000`), [200, 'done\n']);
    const controller = new AbortController();
    const gone = fetch(`${node.url}${path}/ab?hold=5000`, { signal: controller.signal }).catch(() => undefined);
    await holders('a', 1);
    controller.abort();
    await gone;
    assert.equal(await send(`${path}/ab?timeout=5000`), [200, 'done\n']);
  });
}

test('lock: it excludes executions of both fleets', async () => {
  const first = send('/locking-resident/a?hold=1000');
  await holders('a', 1);
  assert.equal(await send('/locking-on-demand/a?timeout=1'), [409, 'timed-out\n']);
  await first;
});

test('lock: one that acquires it twice is told so', async () => {
  assert.equal(await send('/locking-resident/aa'), [409, 'not-possible\n']);
});

test('revoke: what is taken away is free for others, and its use is an error', async () => {
  const first = send('/locking-on-demand/ab?hold=1500');
  const { holders: held } = await holders('a', 1);
  const id = held[0]?.execution as string;
  const revoke = async (resource: string, execution?: string): Promise<[number, string[] | undefined]> => {
    const response = await node.api('POST', '/v1/resources/revoke', { resource, ...(execution ? { execution } : {}) });
    return [response.status, ((await response.json()) as { revoked?: string[] }).revoked];
  };
  assert.equal(await revoke('lock/a', 'another'), [200, []]);
  assert.equal(await revoke('lock/b', id), [200, [id]]);
  assert.equal(await revoke('lock/a'), [200, [id]]);
  assert.equal(await send('/locking-on-demand/a?timeout=5000'), [200, 'done\n']);
  assert.equal(await first, [409, 'revoked\n']);
  assert.is((await revoke('shelf/a'))[0], 400);
  assert.is((await revoke('lock'))[0], 400);
});

test('node: says what is attached in each isolate', async () => {
  const first = send('/locking-on-demand/a?hold=1500');
  await until(async () => {
    const { isolates } = (await (await node.api('GET', '/v1/node')).json()) as { isolates: { attached: string[] }[] };
    return isolates.flatMap(({ attached }) => attached).join() === 'lock/a,lock/b,lock/c' || undefined;
  }, 'all, once');
  await first;
});

test.run();
