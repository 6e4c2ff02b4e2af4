import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { again, edgeIs, edgeOf, hello, rolloutIs, rolloutOf, serves, textOf, tokenOf, viewOf } from './edge-harness.ts';
import { cleanUp, exitOf, startTestNode, type TestNode, until } from './node.ts';

test.after(cleanUp);

/** Asks all of them for a function again and again, until it is told to end. */
const asking = (nodes: readonly TestNode[], path: string): (() => Promise<void>) => {
  let going = true;
  const ask = async ({ url }: TestNode): Promise<void> => {
    while (going) {
      await textOf(url + path);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const asked = Promise.all(nodes.map(ask));
  return async () => {
    going = false;
    await asked;
  };
};

const rollout = { canary: { tier: 'canary' }, shares: [0.5], holdMs: 100, minRequests: 5, maxErrorShare: 0.1 };

test('rollout: goes on by itself, comes back by itself, and a killed origin resumes it', async () => {
  const origin = await startTestNode({ gateways: 1 });
  const token = await tokenOf(origin, 'edge');
  const [canary, main] = await Promise.all([edgeOf(origin, token, 'canary', 'tier=canary'), edgeOf(origin, token, 'main', 'tier=main')]);
  await origin.deploy('settings', 'settings', { config: { V: 'first' }, rollout });
  for (const node of [canary, main]) await serves(node, '/settings/V', 'first');
  const end = asking([canary, main], '/settings/V');
  await origin.deploy('settings', 'settings', { config: { V: 'second' }, rollout });
  const done = await rolloutIs(origin, 'settings', 'the second version to be everywhere', ({ state }) => state !== 'running');
  assert.equal([done.state, done.failures], ['done', 0]);
  assert.ok(done.requests >= 5, 'how it fared is kept');
  for (const node of [origin, canary, main]) await serves(node, '/settings/V', 'second');

  await origin.deploy('settings', 'failing', { rollout });
  const failed = await rolloutIs(origin, 'settings', 'the third version to be refused', ({ state }) => state !== 'running');
  assert.is(failed.state, 'failed');
  assert.match(failed.why ?? '', /of \d+ requests failed/);
  for (const node of [origin, canary, main]) await serves(node, '/settings/V', 'second');
  const { items } = (await (await origin.api('GET', '/v1/decisions?kind=rollout')).json()) as { items: { choice: string; inputs: { version: number } }[] };
  assert.equal(
    items.map(({ choice, inputs }) => `${inputs.version} ${choice}`),
    ['2 stage 1: canary', '2 stage 2: share 0.5', '2 done', '3 stage 1: canary', '3 failed'],
  );

  await origin.deploy('settings', 'settings', { config: { V: 'fourth' }, rollout: { ...rollout, holdMs: 3000 } });
  await serves(canary, '/settings/V', 'fourth');
  origin.process.kill('SIGKILL');
  await exitOf(origin.process);
  assert.is(await textOf(`${canary.url}/settings/V`), 'fourth', 'while the origin is away each edge serves what it did');
  assert.is(await textOf(`${main.url}/settings/V`), 'second');
  const back = await again(origin);
  const resumed = await rolloutOf(back, 'settings');
  assert.equal([resumed.state, resumed.stage], ['running', 0]);
  await rolloutIs(back, 'settings', 'the fourth version to be everywhere', ({ state }) => state === 'done');
  await serves(main, '/settings/V', 'fourth');
  await end();
  for (const node of [canary, main, back]) assert.is(await node.end(), 0);
});

test('edge: takes back a version that fails there, also while it is cut off, and says so when the origin is back', async () => {
  const origin = await startTestNode({ gateways: 1 });
  const token = await tokenOf(origin, 'edge');
  const edge = await edgeOf(origin, token, 'eu', 'region=eu');
  await origin.deploy('hello', 'hello', { edges: { region: 'eu' } });
  await origin.deploy('far', 'hello', { edges: { region: ['us', 'asia'] } });
  await serves(edge, '/hello/', hello);
  assert.equal([(await fetch(`${edge.url}/far/`)).status, await textOf(`${origin.url}/far/`)], [404, hello]);

  await origin.deploy('hello', 'failing');
  await until(async () => ((await fetch(`${edge.url}/hello/`)).status === 502 ? true : undefined), 'the bad version to be at the edge');
  origin.process.kill('SIGKILL');
  await exitOf(origin.process);
  await edgeIs(edge, 'the edge to notice', ({ state }) => state === 'cut-off');
  await serves(edge, '/hello/', hello);
  const { items } = (await (await edge.api('GET', '/v1/decisions?kind=take-back')).json()) as { items: { choice: string; subject: string }[] };
  assert.equal(
    items.map(({ choice, subject }) => [subject, choice]),
    [['default/hello', 'version 1']],
  );

  edge.process.kill('SIGKILL');
  await exitOf(edge.process);
  const restarted = await again(edge, ['--origin', origin.control, '--token', token, '--edge-report-ms', '100', '--label', 'region=eu', '--edge-name', 'eu']);
  for (let i = 0; i < 3; i++) assert.is(await textOf(`${restarted.url}/hello/`), hello, 'after kill -9, without its origin');
  assert.equal(
    (await viewOf(restarted)).takenBack.map(({ version }) => version),
    [2],
  );

  const back = await again(origin);
  type Listed = { items: { labels: object; takenBack: { function: string; version: number; failures: number }[] }[] };
  const list = async (): Promise<Listed['items']> => ((await (await back.api('GET', '/v1/edges')).json()) as Listed).items;
  const told = await until(async () => (await list()).find(({ takenBack }) => takenBack.length > 0), 'the origin to be told', 20_000);
  assert.equal([told.labels, told.takenBack.map(({ function: name, version }) => [name, version])], [{ region: 'eu' }, [['hello', 2]]]);
  assert.is(await textOf(`${back.url}/hello/`), undefined, 'the origin serves what was deployed');
  await back.api('POST', '/v1/functions/hello/live', { version: 2 });
  await until(
    async () => ((await fetch(`${restarted.url}/hello/`)).status === 502 ? true : undefined),
    'the version to be tried again, since somebody wants it',
  );
  for (const node of [restarted, back]) assert.is(await node.end(), 0);
});

test.run();
