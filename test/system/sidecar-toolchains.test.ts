import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fixture, startTestNode, type TestNode } from './node.ts';

let node: TestNode;

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
});
test.after(cleanUp);

const upload = async (component: string): Promise<string> =>
  ((await (await node.api('PUT', '/v1/modules', fixture(component))).json()) as { digest: string }).digest;

const add = async (name: string, component: string, agent = false): Promise<string[]> => {
  const response = await node.api('POST', '/v1/sidecars', { name, module: await upload(component), agent });
  if (!response.ok) throw new Error(await response.text());
  return ((await response.json()) as { kinds: string[] }).kinds;
};

const ask = async (path: string, init: RequestInit = {}): Promise<[status: number, text: string, execution: string]> => {
  const response = await fetch(`${node.url}${path}`, init);
  return [response.status, await response.text(), response.headers.get('nacelle-execution') ?? ''];
};

const gate = (deny: string): Record<string, unknown> => ({ use: 'rust-gate', config: { deny } });

test('sidecars: what Rust with its standard library and TypeScript are compiled to is told what it is', async () => {
  assert.equal(await add('rust-gate', 'sidecar/rust-gate', true), ['middleware', 'companion']);
  assert.equal(await add('js-maintenance', 'sidecar/js-maintenance'), ['middleware']);
});

for (const fleet of ['resident', 'on-demand'])
  test(`sidecars: middlewares of three toolchains in front of a function of a fourth, ${fleet}`, async () => {
    if (fleet === 'resident') await add('pass', 'sidecar/pass');
    const name = `mixed-${fleet}`;
    const limits = { cpuMs: 10_000, timeMs: 60_000 };
    await node.deploy(name, 'rust-std', { capacity: { fleet }, limits, sidecars: [{ use: 'js-maintenance' }, gate('/private, /internal'), { use: 'pass' }] });
    for (let i = 0; i < 5; i++) {
      const [status, text, execution] = await ask(`/${name}/words`, { method: 'POST', body: 'one two two' });
      assert.equal([status, text], [200, 'one 1\ntwo 2\n']);
      assert.equal(
        (await node.execution(execution)).sidecars.map((sidecar) => [sidecar.name, sidecar.kind, sidecar.used]),
        [
          ['js-maintenance', 'middleware', true],
          ['rust-gate', 'middleware+companion', true],
          ['pass', 'middleware', true],
        ],
      );
    }
    assert.equal((await ask(`/${name}/private/x`)).slice(0, 2), [403, '/private/x is denied\n']);
    const down = await fetch(`${node.url}/${name}/private`, { headers: { 'x-maintenance': 'yes' } });
    assert.equal([down.status, down.headers.get('retry-after'), await down.text()], [503, '60', 'back in a minute\n']);
    const big = 'x '.repeat(50_000);
    assert.equal((await ask(`/${name}/words`, { method: 'POST', body: big }))[1], 'x 50000\n');
    const [, , last] = await ask(`/${name}/last`);
    const lines = await node.lines(name, 1, ({ execution, text }) => execution === last && text.startsWith('rust-gate@1.0.0: '));
    assert.is(lines[0]?.text, 'rust-gate@1.0.0: GET /last 200');
  });

test('sidecars: a function in JavaScript behind one in JavaScript', async () => {
  await node.deploy('js', 'js-hono', { sidecars: [{ use: 'js-maintenance' }] });
  for (let i = 0; i < 3; i++) assert.equal((await ask('/js/json/7?q=edge')).slice(0, 2), [200, '{"id":"7","q":"edge"}']);
});

test('sidecars: a companion in Rust says what it does not take', async () => {
  const response = await node.api('POST', '/v1/functions', { name: 'refused', module: await upload('hello'), sidecars: [gate('private')] });
  const { code, detail } = (await response.json()) as { code: string; detail: string };
  assert.equal([code, detail.split(': ').at(-1)], ['sidecar-invalid', 'deny must be paths, got "private"']);
});

test.run();
