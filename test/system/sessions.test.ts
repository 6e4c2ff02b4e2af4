import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fixture, sleep, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode();
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const fleets = ['resident', 'on-demand'] as const;
const session = (more: Record<string, unknown> = {}) => ({ from: { header: 'x-user' }, ...more });

const send = async (path: string, user?: string, from = node): Promise<[status: number, text: string]> => {
  const response = await fetch(from.url + path, { headers: { connection: 'close', ...(user === undefined ? {} : { 'x-user': user }) } });
  return [response.status, await response.text()];
};

const deployAt = async (tenant: string, name: string, manifest: Record<string, unknown>): Promise<void> => {
  await node.api('POST', '/v1/tenants', { name: tenant });
  const { digest } = (await (await node.api('PUT', `/v1/modules?tenant=${tenant}`, fixture('session'))).json()) as { digest: string };
  assert.is((await node.api('POST', `/v1/functions?tenant=${tenant}`, { name, module: digest, ...manifest })).status, 201);
};

type Session = { id: string; function: string | null; name: string | null; running: string | null; waiting: number; createdAt: string; expiresAt: string };
const sessionsOf = async (name: string): Promise<Session[]> => {
  const { items } = (await (await node.api('GET', `/v1/sessions?function=${name}`)).json()) as { items: Session[] };
  return items;
};

for (const fleet of fleets) {
  test(`session: one by one in the order of arrival, so that read and write never lose a step, ${fleet}`, async () => {
    const name = `turns-${fleet}`;
    await node.deploy(name, 'session', { session: session({ serialize: true }), capacity: { fleet } });
    assert.equal(await send(`/${name}/`, 'ann'), [200, '1\n']);
    const answers = await Promise.all(Array.from({ length: 12 }, () => send(`/${name}/?hold=5`, 'ann')));
    assert.equal(
      answers.map(([, text]) => Number(text)).sort((a, b) => a - b),
      Array.from({ length: 12 }, (_, index) => index + 2),
    );
    assert.equal(await send(`/${name}/`, 'bob'), [200, '1\n']);
    assert.equal(await send(`/${name}/`), [400, 'no session\n']);
  });

  test(`session: without turns they see the same values at once, ${fleet}`, async () => {
    const name = `free-${fleet}`;
    await node.deploy(name, 'session', { session: session(), capacity: { fleet } });
    let ended = false;
    const slow = send(`/${name}/?hold=3000`, 'ann').finally(() => {
      ended = true;
    });
    assert.is((await send(`/${name}/`, 'ann'))[0], 200);
    assert.not.ok(ended, 'nobody waits for another');
    await slow;
    assert.is((await sessionsOf(name)).length, 1);
  });
}

test('session: who waits is listed, in its turn; a client that leaves lets the next one in', async () => {
  await node.deploy('line', 'session', { session: session({ serialize: true }), capacity: { fleet: 'resident' } });
  const first = send('/line/?hold=1500', 'ann');
  await until(async () => ((await sessionsOf('line'))[0]?.running ? true : undefined), 'the first');
  const controller = new AbortController();
  const second = fetch(`${node.url}/line/?hold=5000`, { headers: { 'x-user': 'ann' }, signal: controller.signal }).catch(() => undefined);
  await until(async () => ((await sessionsOf('line'))[0]?.waiting === 1 ? true : undefined), 'the second');
  const third = send('/line/', 'ann');
  await until(async () => ((await sessionsOf('line'))[0]?.waiting === 2 ? true : undefined), 'the third');
  controller.abort();
  await second;
  assert.equal(await Promise.all([first, third]), [
    [200, '1\n'],
    [200, '2\n'],
  ]);
  await until(async () => ((await sessionsOf('line'))[0]?.running === null ? true : undefined), 'the end of the last turn, which comes after its answer');
});

test('session: who asks for one session again and again keeps nobody from another', async () => {
  await node.deploy('crowded', 'session', { session: session({ serialize: true }), limits: { concurrency: 8 }, capacity: { fleet: 'resident' } });
  const all = new AbortController();
  const ask = (path: string): Promise<Response | undefined> =>
    fetch(node.url + path, { headers: { 'x-user': 'ann', connection: 'close' }, signal: all.signal }).catch(() => undefined);
  const first = ask('/crowded/?hold=20000');
  await until(async () => ((await sessionsOf('crowded'))[0]?.running ? true : undefined), 'the first');
  const statuses: number[] = [];
  const more = Array.from({ length: 100 }, async () => {
    const response = await ask('/crowded/');
    if (response) statuses.push(response.status);
  });
  await until(() => (statuses.length > 0 ? true : undefined), 'a line that is full');
  assert.equal([...new Set(statuses)], [503]);
  assert.equal(await Promise.all(['bob', 'eve', 'joe', 'kim'].map((user) => send('/crowded/', user))), Array(4).fill([200, '1\n']));
  all.abort();
  await Promise.all([first, ...more]);
});

test('session: functions of a tenant that give it one name have it together, also their turns; others do not', async () => {
  const named = (more: Record<string, unknown>) => ({ session: session({ name: 'basket', serialize: true }), ...more });
  await node.deploy('basket', 'session', named({ capacity: { fleet: 'resident' } }));
  await node.deploy('checkout', 'session', named({ capacity: { fleet: 'on-demand' } }));
  await node.deploy('apart', 'session', { session: session({ serialize: true }), capacity: { fleet: 'resident' } });
  assert.equal(await send('/basket/', 'ann'), [200, '1\n']);
  assert.equal(await send('/checkout/', 'ann'), [200, '2\n']);
  const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => send(`/${i % 2 ? 'basket' : 'checkout'}/?hold=5`, 'ann')));
  assert.equal(
    answers.map(([, text]) => Number(text)).sort((a, b) => a - b),
    Array.from({ length: 12 }, (_, i) => i + 3),
  );
  for (const path of ['/apart/', '/~neighbour/checkout/']) {
    if (path.startsWith('/~')) await deployAt('neighbour', 'checkout', named({}));
    assert.equal(await send(path, 'ann'), [200, '1\n'], path);
  }
  const list = async (query: string): Promise<Session[]> => ((await (await node.api('GET', `/v1/sessions?${query}`)).json()) as { items: Session[] }).items;
  assert.equal(
    (await list('name=basket')).map(({ function: its, name }) => [its, name]),
    [[null, 'basket']],
  );
  assert.is((await list('function=basket')).length, 0);
  await node.api('DELETE', '/v1/functions/basket');
  assert.equal(await send('/checkout/', 'ann'), [200, '15\n'], 'it is of the tenant');
});

test('state: values of a session are listed, read, set and removed while it lasts', async () => {
  await node.deploy('kept', 'session', { session: session({ maxMs: 3_600_000 }), capacity: { fleet: 'resident' } });
  assert.equal(await send('/kept/', 'ann'), [200, '1\n']);
  const [{ id } = { id: '' }] = await sessionsOf('kept');
  const path = `/v1/state/session%2Fkept%2F${id}`;
  const { items } = (await (await node.api('GET', path)).json()) as { items: { key: string }[] };
  assert.is(items.length, 1);
  const value = `${path}/${encodeURIComponent(items[0]?.key ?? '')}`;
  assert.is(await (await node.api('GET', value)).text(), '1');
  assert.is((await node.api('PUT', value, Buffer.from('41'))).status, 204);
  assert.equal(await send('/kept/', 'ann'), [200, '42\n']);
  assert.is((await node.api('DELETE', value)).status, 204);
  assert.equal(await send('/kept/', 'ann'), [200, '1\n']);
  assert.is((await node.api('GET', `/v1/state/session%2Fkept%2F${id.slice(1)}`)).status, 404);
});

test('session: a guest that traps or takes too long gives its turn back', async () => {
  await node.deploy('limited', 'session', { session: session({ serialize: true }), limits: { timeMs: 300 }, capacity: { fleet: 'on-demand' } });
  const [slow, next] = await Promise.all([send('/limited/?hold=5000', 'ann'), sleep(100).then(() => send('/limited/', 'ann'))]);
  assert.is(slow[0], 504);
  assert.equal(next, [200, '1\n']);
});

test('session: ends when nobody used it for long enough, and begins anew', async () => {
  await node.deploy('idle', 'session', { session: session({ idleMs: 2000 }), capacity: { fleet: 'resident' } });
  assert.equal(await send('/idle/', 'ann'), [200, '1\n']);
  assert.equal(await send('/idle/', 'ann'), [200, '2\n']);
  assert.is((await sessionsOf('idle')).length, 1);
  await until(async () => ((await sessionsOf('idle')).length === 0 ? true : undefined), 'its end');
  assert.equal(await send('/idle/', 'ann'), [200, '1\n']);
  await node.deploy('short', 'session', { session: session({ maxMs: 500 }), capacity: { fleet: 'resident' } });
  assert.equal(await send('/short/', 'ann'), [200, '1\n']);
  await until(async () => ((await send('/short/', 'ann'))[1] === '1\n' ? true : undefined), 'the end of a session that is always in use');
});

test('session: kill -9 loses no session, nor what it had been told was kept', async () => {
  const killed = await startTestNode();
  await killed.deploy('kept', 'session', { session: session({ serialize: true }), capacity: { fleet: 'resident' } });
  for (const number of ['1\n', '2\n', '3\n']) assert.equal(await send('/kept/', 'ann', killed), [200, number]);
  await killed.end('SIGKILL');
  const again = await startTestNode({ data: killed.data });
  assert.equal(await send('/kept/', 'ann', again), [200, '4\n']);
  await again.end();
});

test.run();
