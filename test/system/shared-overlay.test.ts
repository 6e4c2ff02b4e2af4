import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, sleep, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode();
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const fleets = ['resident', 'on-demand'] as const;
const board = { resource: 'board', kind: 'region', by: 'tenant' };
const locks = ['a', 'b', 'c'].map((resource) => ({ resource, kind: 'lock', by: 'tenant' }));

let keys = 0;
type Answer = { status: number; text: string; execution: string | null };
const send = async (path: string, headers: Record<string, string> = {}, from = node): Promise<Answer> => {
  const response = await fetch(from.url + path, { headers: { connection: 'close', ...headers } });
  return { status: response.status, text: await response.text(), execution: response.headers.get('nacelle-execution') };
};
/** With a key of its own, so in an overlay; again while the node has no room. */
const guarded = async (path: string, headers: Record<string, string> = {}): Promise<Answer> => {
  const key = `key-${++keys}`;
  for (;;) {
    const answer = await send(path, { 'idempotency-key': key, ...headers });
    if (answer.status !== 503 || !answer.text.includes('capacity-exhausted')) return answer;
    await sleep(50);
  }
};
const codesOf = async (answer: Answer): Promise<(string | null)[]> => (await node.execution(answer.execution)).attempts?.map(({ code }) => code ?? null) ?? [];

type Resource = { resource: string; attachments: { execution: string }[]; holders: { execution: string }[] };
const resourceOf = async (name: string): Promise<Resource | undefined> => {
  const { items } = (await (await node.api('GET', '/v1/resources')).json()) as { items: Resource[] };
  return items.find(({ resource }) => resource === name);
};
const holderOf = (name: string): Promise<string> => until(async () => (await resourceOf(name))?.holders[0]?.execution, `a holder of ${name}`);
const revoke = async (resource: string, execution: string): Promise<string[]> =>
  ((await (await node.api('POST', '/v1/resources/revoke', { resource, execution })).json()) as { revoked: string[] }).revoked;

for (const fleet of fleets) {
  const name = `board-${fleet}`;
  const region = { ...board, by: 'function' };

  test(`region in an overlay: reads what it wrote, others see it when it is committed, ${fleet}`, async () => {
    await node.deploy(name, 'region', { shared: [region], guarantee: {}, capacity: { fleet } });
    assert.is((await guarded(`/${name}/add?by=5`)).text, '5\n');
    assert.is((await send(`/${name}/get`)).text, '5\n');
    assert.is((await guarded(`/${name}/cas?from=5&to=7`)).text, '5\n');
    assert.is((await guarded(`/${name}/cas?from=5&to=9`)).text, '7\n', 'one that does not hold changes nothing');
    assert.is((await guarded(`/${name}/bump?hold=1`)).text, '8\n');
    assert.is((await guarded(`/${name}/many?n=100`)).status, 200);
    assert.is((await send(`/${name}/get`)).text, '108\n');
  });

  test(`region in an overlay: what a trapped attempt did is gone, ${fleet}`, async () => {
    const answer = await guarded(`/${name}/bump?at=8&trap=2`);
    assert.is(answer.text, '1\n');
    assert.equal(await codesOf(answer), ['guest-trap', 'guest-trap', null]);
    assert.is((await send(`/${name}/get?at=8`)).text, '1\n');
    assert.is((await guarded(`/${name}/add?at=8&by=4&trap=9`)).status, 502);
    assert.is((await send(`/${name}/get?at=8`)).text, '1\n');
  });

  test(`region in an overlay: before its commit nobody sees it, ${fleet}`, async () => {
    const slow = guarded(`/${name}/bump?at=16&hold=1500`);
    await until(async () => {
      const { items } = (await (await node.api('GET', '/v1/resources')).json()) as { items: { resource: string; attachments: unknown[] }[] };
      return items.some(({ resource, attachments }) => resource === `region/${name}/board` && attachments.length > 0) || undefined;
    }, 'its run');
    assert.is((await send(`/${name}/get?at=16`)).text, '0\n');
    assert.is((await slow).text, '1\n');
  });

  test(`region in an overlay: reads that no longer hold begin again, adds never do, and no step is lost, ${fleet}`, async () => {
    const bumps = await Promise.all(Array.from({ length: 12 }, () => guarded(`/${name}/bump?at=24&hold=2`)));
    assert.equal(
      bumps.map(({ text }) => Number(text)).sort((a, b) => a - b),
      Array.from({ length: 12 }, (_, index) => index + 1),
    );
    const adds = Array.from({ length: 30 }, () => guarded(`/${name}/add?at=32`));
    const plain = Array.from({ length: 10 }, () => send(`/${name}/many?at=32&n=50`));
    for (const answer of await Promise.all(adds)) assert.equal(await codesOf(answer), [null]);
    const done = (await Promise.all(plain)).filter(({ status }) => status === 200).length;
    assert.is((await send(`/${name}/get?at=32`)).text, `${30 + 50 * done}\n`);
  });

  test(`lock in an overlay: it is held until the commit, so what is read under it holds, ${fleet}`, async () => {
    const locking = `locked-${fleet}`;
    await node.deploy(locking, 'locking', { shared: [...locks, board], guarantee: { retries: 0 }, capacity: { fleet } });
    const before = Number((await send(`/${locking}/a?bump=0`)).status);
    assert.is(before, 200);
    const answers = await Promise.all(Array.from({ length: 12 }, () => guarded(`/${locking}/a?bump=1`)));
    for (const answer of answers) {
      assert.is(answer.text, 'done\n');
      assert.equal(await codesOf(answer), [null], 'none met a conflict');
    }
  });

  test(`lock in an overlay: who gives way in a circle begins again, and in the end both are done, ${fleet}`, async () => {
    const locking = `locked-${fleet}`;
    await until(async () => {
      const answers = await Promise.all([guarded(`/${locking}/ab?hold=100`), guarded(`/${locking}/ba?hold=100`)]);
      assert.equal(
        answers.map(({ text }) => text),
        ['done\n', 'done\n'],
      );
      const codes = (await Promise.all(answers.map(codesOf))).flat();
      assert.equal(
        codes.filter((code) => code !== null && code !== 'deadlock-victim'),
        [],
      );
      return codes.includes('deadlock-victim') || undefined;
    }, 'two that meet');
  });

  test(`lock in an overlay: of three in a circle one at a time begins again, and in the end all are done, ${fleet}`, async () => {
    const locking = `locked-${fleet}`;
    await until(async () => {
      const answers = await Promise.all(['ab', 'bc', 'ca'].map((two) => guarded(`/${locking}/${two}?hold=150`)));
      assert.equal(
        answers.map(({ text }) => text),
        ['done\n', 'done\n', 'done\n'],
      );
      const codes = (await Promise.all(answers.map(codesOf))).flat();
      assert.equal(
        codes.filter((code) => code !== null && code !== 'deadlock-victim'),
        [],
      );
      const query = '/v1/decisions?kind=deadlock&limit=50';
      const { items } = (await (await node.api('GET', query)).json()) as { items: { subject: string; inputs: { executions: number } }[] };
      const mine = new Set(answers.map(({ execution }) => execution));
      return items.some(({ subject, inputs }) => mine.has(subject) && inputs.executions === 3) || undefined;
    }, 'three that meet');
    assert.is((await send(`/${locking}/abc?timeout=5000`)).text, 'done\n', 'nobody holds one of them');
  });

  test(`revoke: a lock in an overlay is free for others, and its use an error of the guest, ${fleet}`, async () => {
    const slow = guarded(`/locked-${fleet}/ab?hold=1500`);
    const execution = await holderOf('lock/a');
    assert.equal(await revoke('lock/a', execution), [execution]);
    assert.equal(await revoke('lock/b', execution), [execution]);
    assert.is((await send(`/locked-${fleet}/ab?timeout=5000`)).text, 'done\n');
    const { status, text } = await slow;
    assert.equal([status, text], [409, 'revoked\n']);
  });

  test(`revoke: a region is of no use to who had it, its data stays, ${fleet}`, async () => {
    const path = `/${name}/bump?at=48&hold=1500`;
    assert.is((await send(`/${name}/add?at=48&by=3`)).text, '3\n');
    for (const ask of [send, guarded]) {
      const slow = ask(path);
      const [execution = ''] = await until(async () => {
        const found = (await resourceOf(`region/${name}/board`))?.attachments.map((one) => one.execution);
        return found?.length ? found : undefined;
      }, 'its run');
      assert.equal(await revoke(`region/${name}/board`, execution), [execution]);
      const { status, text } = await slow;
      assert.equal([status, text], [409, 'revoked\n']);
      assert.is((await send(`/${name}/get?at=48`)).text, '3\n');
    }
    assert.is((await guarded(`/${name}/bump?at=48`)).text, '4\n');
  });

  test(`session in an overlay: a turn lasts until the commit, so no turn meets a conflict, ${fleet}`, async () => {
    const turns = `turns-${fleet}`;
    await node.deploy(turns, 'session', { session: { from: { header: 'x-user' }, serialize: true }, guarantee: { retries: 0 }, capacity: { fleet } });
    const answers = await Promise.all(Array.from({ length: 12 }, () => guarded(`/${turns}/`, { 'x-user': 'ann' })));
    assert.equal(
      answers.map(({ text }) => Number(text)).sort((a, b) => a - b),
      Array.from({ length: 12 }, (_, index) => index + 1),
    );
    for (const answer of answers) assert.equal(await codesOf(answer), [null]);
  });
}

test('shared in an overlay: what is not attached to an execution cannot be opened by it', async () => {
  for (const fleet of fleets) {
    const name = `bare-${fleet}`;
    await node.deploy(name, 'region', { shared: [{ resource: 'another', kind: 'region', by: 'tenant' }], guarantee: {}, capacity: { fleet } });
    await node.deploy(`unnamed-${fleet}`, 'region', {
      shared: [{ ...board, by: 'request', from: { header: 'x-user' } }],
      guarantee: {},
      capacity: { fleet },
    });
    const answers = [await guarded(`/${name}/add?by=5`), await guarded(`/unnamed-${fleet}/add?by=5`)];
    assert.equal(
      answers.map(({ status, text }) => [status, text]),
      [
        [409, 'not-attached\n'],
        [409, 'not-attached\n'],
      ],
      fleet,
    );
    assert.is((await guarded(`/unnamed-${fleet}/add?by=5`, { 'x-user': 'ann' })).text, '5\n');
  }
});

test('region in an overlay: both fleets and plain executions count together exactly', async () => {
  for (const fleet of fleets) await node.deploy(`all-${fleet}`, 'region', { shared: [board], guarantee: {}, capacity: { fleet } });
  const before = Number((await send('/all-resident/get?at=64')).text);
  const done = await Promise.all(
    Array.from({ length: 100 }, async (_, index) => {
      const path = `/all-${fleets[index % 2]}/add?at=64`;
      const { status } = index % 4 < 2 ? await guarded(path) : await send(path);
      return Number(status === 200);
    }),
  );
  assert.is(Number((await send('/all-on-demand/get?at=64')).text), before + done.reduce((sum, one) => sum + one, 0));
});

test('region in an overlay: kill -9 after an answer loses nothing of it', async () => {
  const killed = await startTestNode();
  await killed.deploy('kept', 'region', { shared: [{ ...board, bytes: 200_000 }], guarantee: {}, capacity: { fleet: 'resident' } });
  for (const [at, key] of [
    [0, 'a'],
    [65_536, 'b'],
    [65_536, 'c'],
    [199_992, 'd'],
  ])
    assert.is((await send(`/kept/add?at=${at}&by=3`, { 'idempotency-key': String(key) }, killed)).status, 200);
  await killed.end('SIGKILL');
  const again = await startTestNode({ data: killed.data });
  const read = async (at: number): Promise<string> =>
    until(async () => {
      const { status, text } = await send(`/kept/get?at=${at}`, {}, again);
      return status === 200 ? text : undefined;
    }, 'the function');
  assert.equal([await read(0), await read(65_536), await read(199_992)], ['3\n', '6\n', '3\n']);
  await again.end();
});

test.run();
