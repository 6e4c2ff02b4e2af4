import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { commands } from '../../host/cli/commands.ts';
import { runCommandLine } from '../../host/cli/run.ts';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode();
  for (const fleet of fleets) await node.deploy(`locking-${fleet}`, 'locking', { shared: locks, limits: { cpuMs: 100 }, capacity: { fleet } });
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const fleets = ['resident', 'on-demand'] as const;
const locks = ['a', 'b', 'c'].map((resource) => ({ resource, kind: 'lock', by: 'tenant' }));
const board = { resource: 'board', kind: 'region' };

type Answer = { status: number; text: string; execution: string | null };
const send = async (path: string, headers: Record<string, string> = {}): Promise<Answer> => {
  const response = await fetch(node.url + path, { headers: { connection: 'close', ...headers } });
  return { status: response.status, text: await response.text(), execution: response.headers.get('nacelle-execution') };
};

/** Runs `nacelle WORDS`, and resolves with what it prints. */
const nacelle = async (...words: string[]): Promise<string> => {
  let out = '';
  const print = (text: string | Uint8Array): void => {
    out += String(text);
  };
  const terminal = { json: words.includes('--json'), interactive: false, out: print, error: print, input: async () => Buffer.alloc(0) };
  const surroundings = { env: { NACELLE_URL: node.control, NACELLE_TOKEN: node.token }, directory: node.data, signal: new AbortController().signal };
  assert.is(await runCommandLine(commands, words, surroundings, terminal), 0, out);
  return out;
};
const heldBy = (lock: string): Promise<string> =>
  until(async () => {
    const { items } = JSON.parse(await nacelle('resources', '--json')) as { items: { resource: string; holders: { execution: string }[] }[] };
    return items.find(({ resource }) => resource === lock)?.holders[0]?.execution;
  }, `a holder of ${lock}`);

for (const fleet of fleets) {
  test(`lock: one whose holder is ended because it uses up its time, its thread with it or not, is free again, ${fleet}`, async () => {
    const { status, text } = await send(`/locking-${fleet}/ab?spin=1`);
    assert.ok(status >= 500, `${status} ${text}`);
    assert.is((await send(`/locking-${fleet}/ab?timeout=5000`)).text, 'done\n');
  });

  test(`lock: of three that wait for each other one gives way, and the log says who and for whom, ${fleet}`, async () => {
    // They wait for each other only if each has its first lock before one asks for its second.
    const answers = await until(async () => {
      const all = await Promise.all(['ab', 'bc', 'ca'].map((order) => send(`/locking-${fleet}/${order}?hold=200`)));
      return all.some(({ text }) => text === 'deadlock-victim\n') ? all : undefined;
    }, 'three that meet');
    const victim = answers.find(({ text }) => text === 'deadlock-victim\n');
    assert.is(answers.filter(({ text }) => text === 'done\n').length, 2, answers.map(({ text }) => text).join());
    const { decisions } = await node.execution(victim?.execution ?? null);
    const deadlock = decisions.find(({ kind }) => kind === 'deadlock');
    assert.equal([deadlock?.choice, deadlock?.inputs.executions], ['gives way', 3]);
    const others = answers.filter((answer) => answer !== victim).map(({ execution }) => execution);
    assert.equal(deadlock?.passedOver.map(({ candidate }) => candidate).sort(), others.sort());
    assert.ok((await nacelle('decisions', '--kind', 'deadlock')).includes(victim?.execution as string));
  });
}

test('attach: an execution says what it shares and why, and the log which thread got which region', async () => {
  await node.deploy('shown', 'region', { shared: [board], capacity: { fleet: 'resident' } });
  const { decisions } = await node.execution((await send('/shown/add')).execution);
  const attach = decisions.find(({ kind }) => kind === 'attach');
  assert.equal([attach?.choice, attach?.inputs], ['region/shown/board', { 'region/shown/board': 'by function' }]);
  assert.match(await nacelle('decisions', '--kind', 'attach', '--subject', 'region/shown/board'), /loaded +bytes 4096, thread gateway-/);
});

test('resources, state revoke and sessions: print who has what, take it away, and say whose turn it is', async () => {
  const holder = send('/locking-resident/ab?hold=1500');
  const id = await heldBy('lock/b');
  assert.match(await nacelle('resources'), new RegExp(`^lock/a +1 +${id} \\(exclusive\\)`, 'm'));
  assert.is(await nacelle('state', 'revoke', 'lock/c', '--execution', 'another'), 'no execution has lock/c\n');
  assert.is(await nacelle('state', 'revoke', 'lock/a'), `revoked lock/a of ${id}\n`);
  assert.is((await send('/locking-on-demand/a?timeout=5000')).text, 'done\n');
  assert.is((await holder).status, 200, 'what it holds already it needs no more');
  await node.deploy('turns', 'session', { session: { from: { header: 'x-user' }, serialize: true }, capacity: { fleet: 'resident' } });
  const first = send('/turns/?hold=300', { 'x-user': 'ann' });
  const line = await until(async () => /^turns .* 0$/m.exec(await nacelle('sessions', 'turns'))?.[0], 'a session');
  assert.match(line, /^turns +[\w-]{22} +\S+Z +\S+Z +\S+ +0$/);
  await first;
});

test('removal: what only the executions of a function shared goes with it, what its tenant shares stays', async () => {
  const all = { resource: 'board', kind: 'region', by: 'tenant' };
  await node.deploy('stays', 'region', { shared: [all], capacity: { fleet: 'resident' } });
  assert.is((await send('/stays/add?by=3')).text, '3\n');
  const manifest = { shared: [board], capacity: { fleet: 'resident' } };
  await node.deploy('goes', 'region', manifest);
  assert.is((await send('/goes/add?by=5')).text, '5\n');
  await send('/goes/flush');
  for (const name of ['stays', 'goes']) assert.is((await node.api('DELETE', `/v1/functions/${name}`)).status, 204);
  await node.deploy('stays', 'region', { shared: [all], capacity: { fleet: 'resident' } });
  assert.is((await send('/stays/get')).text, '3\n');
  await until(async () => {
    await node.deploy('goes', 'region', manifest);
    const { text } = await send('/goes/get');
    if (text === '0\n') return true;
    await node.api('DELETE', '/v1/functions/goes');
    return undefined;
  }, 'the region to be gone');
});

for (const fleet of fleets) {
  test(`removal: what still runs of a function writes nothing that the next one of its name could see, ${fleet}`, async () => {
    const name = `brief-${fleet}`;
    const ann = { 'x-user': 'ann' };
    const deploy = (): Promise<void> =>
      node.deploy(name, 'session', { session: { from: { header: 'x-user' } }, shared: [{ resource: 'cart', kind: 'bucket' }], capacity: { fleet } });
    await deploy();
    assert.is((await send(`/${name}/cart?n=5`)).text, '5\n');
    const running = Promise.all([send(`/${name}/?hold=2500`, ann), send(`/${name}/?hold=2500`, { 'x-user': 'bob' })]);
    await until(async () => ((await nacelle('sessions', name)).split('\n').length > 2 ? true : undefined), 'both sessions');
    assert.is((await node.api('DELETE', `/v1/functions/${name}`)).status, 204);
    await deploy();
    assert.is((await send(`/${name}/cart`)).text, '1\n');
    assert.is((await send(`/${name}/`, ann)).text, '1\n');
    assert.equal(
      (await running).map(({ status, text }) => [status, text]),
      Array(2).fill([507, 'cannot keep it\n']),
    );
    assert.is((await send(`/${name}/`, ann)).text, '2\n');
    assert.is((await send(`/${name}/`, { 'x-user': 'bob' })).text, '1\n');
  });
}

test('removal: what still runs of a function in an overlay is not committed, and not run again by the next one of its name', async () => {
  const ann = { 'x-user': 'ann' };
  const deploy = (): Promise<void> =>
    node.deploy('judged', 'session', {
      session: { from: { header: 'x-user' }, serialize: true },
      onFailure: { verdict: 'rollback' },
      capacity: { fleet: 'resident' },
    });
  await deploy();
  assert.is((await send('/judged/', ann)).text, '1\n');
  const running = send('/judged/?hold=2500', ann);
  await until(async () => {
    const { items } = (await (await node.api('GET', '/v1/sessions?function=judged')).json()) as { items: { running: string | null }[] };
    return items[0]?.running ?? undefined;
  }, 'its turn');
  assert.is((await node.api('DELETE', '/v1/functions/judged')).status, 204);
  await deploy();
  assert.is((await send('/judged/', ann)).text, '1\n');
  const { status, text } = await running;
  assert.equal([status, (JSON.parse(text) as { code: string }).code], [404, 'function-not-found']);
  assert.is((await send('/judged/', ann)).text, '2\n');
});

test('region: requests that name ever more of them are bounded, and go on when others are idle', async () => {
  const mine = { resource: 'board', kind: 'region', by: 'request', from: { header: 'x-user' }, bytes: 4 * 1024 * 1024 };
  await node.deploy('many', 'region', { shared: [mine], limits: { concurrency: 100 }, capacity: { fleet: 'resident' } });
  for (let user = 0; user < 40; user++) assert.is((await send('/many/add', { 'x-user': String(user) })).text, '1\n', `user ${user}`);
  const together = await Promise.all(Array.from({ length: 40 }, (_, user) => send('/many/bump?hold=2500', { 'x-user': `at-once-${user}` })));
  const refused = together.filter(({ status }) => status === 503);
  assert.ok(refused.length > 0 && refused.every(({ text }) => text.includes('capacity-exhausted')), 'at most 64 MiB of one tenant');
  assert.ok(together.filter(({ text }) => text === '1\n').length >= 8);
});

test.run();
