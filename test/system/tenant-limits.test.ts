import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { follow, tokenOf } from './edge-harness.ts';
import { cleanUp, fixture, startTestNode, type TestNode, until } from './node.ts';

const capabilities = { keyvalue: { '': 'work' } };

let node: TestNode;
let digest: string;

const uploaded = async (name: string): Promise<string> =>
  ((await (await node.api('PUT', '/v1/modules?tenant=acme', fixture(name))).json()) as { digest: string }).digest;

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  assert.is((await node.api('POST', '/v1/tenants', { name: 'acme' })).status, 201);
  digest = await uploaded('deliver');
});

test.after(async () => {
  await node.end();
  cleanUp();
});

const limit = async (limits: object): Promise<unknown> => {
  const response = await node.api('PUT', '/v1/tenants/acme/limits', limits);
  assert.is(response.status, 200);
  return ((await response.json()) as { limits: object }).limits;
};

const deploy = (name: string, manifest: object): Promise<Response> =>
  node.api('POST', '/v1/functions?tenant=acme', { name, module: digest, capabilities, ...manifest });

const post = (name: string, body: string, at = node): Promise<Response> => fetch(`${at.url}/~acme/${name}/`, { method: 'POST', body });

const codeOf = async (response: Response): Promise<string> => (response.ok ? 'ok' : ((await response.json()) as { code: string }).code);

type Attempts = { attempts: { code: string | null; change?: { limits?: { memoryMib?: number } }; judged?: { notes?: string[] } }[] };

const attemptsOf = async (response: Response): Promise<Attempts['attempts']> => {
  const record = await node.execution(response.headers.get('nacelle-execution'), 'acme');
  return (record as unknown as Attempts).attempts;
};

test('tenant limits: hold for deployments, for what is there, and for edges', async () => {
  assert.is((await deploy('large', { limits: { memoryMib: 128 } })).status, 201);
  assert.is(await codeOf(await post('large', 'grow-60')), 'ok');
  const edge = await follow(node, await tokenOf(node, 'edge'));
  await until(async () => ((await post('large', 'grow-60', edge)).ok ? true : undefined), 'the edge to serve it', 20_000);

  assert.equal(await limit({ memoryMib: 32, timeMs: 5000 }), { memoryMib: 32, timeMs: 5000 });
  assert.is(await codeOf(await post('large', 'grow-60')), 'memory-limit');
  assert.is(await codeOf(await post('large', 'grow-20')), 'ok');
  await until(async () => ((await codeOf(await post('large', 'grow-60', edge))) === 'memory-limit' ? true : undefined), 'the edge to hold it', 20_000);
  const there = await edge.api('PUT', '/v1/tenants/acme/limits', {});
  assert.equal([there.status, await codeOf(there)], [409, 'follows-origin']);
  assert.is(await edge.end(), 0);

  const refused = await deploy('large', { limits: { memoryMib: 33, timeMs: 6000 } });
  const problem = (await refused.json()) as { code: string; problems: string[] };
  assert.equal(
    [refused.status, problem.code, problem.problems],
    [
      422,
      'manifest-invalid',
      [
        'cannot set memoryMib of "large": at most 32 for a function of this tenant, got 33',
        'cannot set timeMs of "large": at most 5000 for a function of this tenant, got 6000',
      ],
    ],
  );
  assert.is((await deploy('large', {})).status, 201, 'a default above them is lowered');
  assert.is(await codeOf(await post('large', 'grow-60')), 'memory-limit');
  assert.is((await node.api('POST', '/v1/functions', { name: 'other', module: 'sha256:0', limits: { memoryMib: 64 } })).status, 422);
});

test('tenant limits: hold for verdicts, built-in ones and those of functions, and for what these change', async () => {
  assert.is((await deploy('doubled', { limits: { memoryMib: 24 }, onFailure: { verdict: 'double-memory', retries: 0 } })).status, 201);
  const doubled = await post('doubled', 'grow-26');
  assert.equal([await codeOf(doubled), (await attemptsOf(doubled)).at(-1)?.change?.limits?.memoryMib], ['ok', 32]);
  assert.is(await codeOf(await post('doubled', 'grow-40')), 'memory-limit');

  const verdict = { verdict: 'retry', reason: 'more', limits: { memoryMib: 256 }, settings: { limits: { memoryMib: 100 } } };
  const triage = { name: 'triage', module: await uploaded('triage'), config: { verdict: JSON.stringify(verdict) }, capabilities };
  assert.is((await node.api('POST', '/v1/functions?tenant=acme', triage)).status, 201);
  assert.is((await deploy('judged', { limits: { memoryMib: 16 }, onFailure: { control: 'triage', retries: 0 } })).status, 201);
  const judged = await post('judged', 'grow-26');
  assert.is(await codeOf(judged), 'ok');
  const [first, second] = await attemptsOf(judged);
  assert.is(second?.change?.limits?.memoryMib, 32);
  assert.equal(first?.judged?.notes, [
    'memoryMib lowered to 32 MiB, the most for a function of this tenant: 100 was asked for',
    'memoryMib lowered to 32 MiB, the most for a function of this tenant: 256 was asked for',
  ]);
});

test('tenant limits: hold for instances that are made ready, in deployments and in what verdicts set', async () => {
  assert.is((await deploy('eager', { capacity: { fleet: 'on-demand', prewarm: 5 } })).status, 201);
  assert.equal(await limit({ prewarm: 2 }), { prewarm: 2 });
  const refused = (await (await deploy('eager', { capacity: { prewarm: 3 } })).json()) as { code: string; problems: string[] };
  assert.equal(
    [refused.code, refused.problems],
    ['manifest-invalid', ['cannot set capacity.prewarm of "eager": at most 2 for a function of this tenant, got 3']],
  );
  const verdict = { verdict: 'default', reason: 'it is wanted often', settings: { prewarm: 60 } };
  const triage = { name: 'triage-eager', module: await uploaded('triage'), config: { verdict: JSON.stringify(verdict) }, capabilities };
  assert.is((await node.api('POST', '/v1/functions?tenant=acme', triage)).status, 201);
  assert.is((await deploy('eager', { onFailure: { control: 'triage-eager', retries: 0 } })).status, 201);
  const [first] = await attemptsOf(await post('eager', 'trap'));
  assert.equal(first?.judged?.notes, ['prewarm lowered to 2, the most for a function of this tenant: 60 was asked for']);
  const { changes } = (await (await node.api('GET', '/v1/functions/eager?tenant=acme')).json()) as { changes: { what: string; from: number; to: number }[] };
  assert.equal(
    changes.map(({ what, from, to }) => [what, from, to]),
    [['capacity.prewarm', 0, 2]],
  );
  assert.is((await node.api('PUT', '/v1/tenants/acme/limits', { prewarm: 65 })).status, 400);
  await limit({ memoryMib: 32, timeMs: 5000 });
});

test('tenant limits: wrong ones are refused, they outlive a restart, and are lifted', async () => {
  const above = await node.api('PUT', '/v1/tenants/acme/limits', { memoryMib: 100_000 });
  assert.equal([above.status, await codeOf(above)], [400, 'request-invalid']);
  assert.is((await node.api('PUT', '/v1/tenants/acme/limits', { memory: 1 })).status, 400);
  assert.is((await node.api('PUT', '/v1/tenants/nobody/limits', {})).status, 404);
  await node.end('SIGKILL');
  node = await startTestNode({ gateways: 1, data: node.data });
  assert.is(await codeOf(await post('large', 'grow-60')), 'memory-limit');
  assert.equal(await limit({}), {});
  assert.is((await deploy('large', { limits: { memoryMib: 128 } })).status, 201);
  assert.is(await codeOf(await post('large', 'grow-60')), 'ok');
});

test.run();
