import { Agent, request as httpRequest } from 'node:http';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, fixture, startTestNode, type TestNode } from './node.ts';

let node: TestNode;

test.before(async () => {
  node = await startTestNode();
});
test.after(cleanUp);

/** Status of a request on a kept connection; 0 if it failed. */
const statusOf = (url: string, agent: Agent): Promise<number> =>
  new Promise((resolve) => {
    const outgoing = httpRequest(url, { agent }, (incoming) => {
      incoming.resume();
      incoming.on('end', () => resolve(incoming.statusCode ?? 0));
      incoming.on('error', () => resolve(0));
    });
    outgoing.on('error', () => resolve(0));
    outgoing.end();
  });

/** Asks in loops until `stop` is called; which answers how many requests had which status. */
const load = (url: string, loops: number): { stop: () => Promise<Map<number, number>> } => {
  const agent = new Agent({ keepAlive: true, maxSockets: loops });
  const seen = new Map<number, number>();
  let going = true;
  const loop = async (): Promise<void> => {
    while (going) {
      const status = await statusOf(url, agent);
      seen.set(status, (seen.get(status) ?? 0) + 1);
    }
  };
  const loopsDone = Promise.all(Array.from({ length: loops }, loop));
  return {
    stop: async () => {
      going = false;
      await loopsDone;
      agent.destroy();
      return seen;
    },
  };
};

test('deploy: new versions under load fail no request, and every answer after a deployment is of its version', async () => {
  await node.deploy('settings', 'settings', { env: { VERSION: '0' } });
  const running = load(`${node.url}/settings/`, 8);
  for (let version = 1; version <= 8; version++) {
    await node.deploy('settings', 'settings', { env: { VERSION: String(version) } });
    for (let i = 0; i < 4; i++)
      assert.match(await (await fetch(`${node.url}/settings/`, { headers: { connection: 'close' } })).text(), new RegExp(`env VERSION=${version}\\n`));
  }
  const seen = await running.stop();
  assert.equal([...seen.keys()], [200], JSON.stringify([...seen]));
  assert.ok((seen.get(200) ?? 0) > 50);
});

test('deploy: a request in flight ends on the version that it began on, which is then let go', async () => {
  await node.deploy('app', 'drip');
  const response = await fetch(`${node.url}/app/?chunks=5&ms=500`);
  await node.deploy('app', 'hello');
  assert.is(await (await fetch(`${node.url}/app/`)).text(), 'Hello from nacelle!\n');
  assert.is((await response.text()).trim().split('\n').length, 5);
  assert.is((await node.execution(response.headers.get('nacelle-execution'))).version, 1);
});

test('delete: the function is gone when the answer is there', async () => {
  await node.deploy('hello', 'hello');
  assert.is((await fetch(`${node.url}/hello/`)).status, 200);
  await node.api('DELETE', '/v1/functions/hello');
  for (let i = 0; i < 6; i++) assert.is((await fetch(`${node.url}/hello/`, { headers: { connection: 'close' } })).status, 404);
});

test('capacity: what is beyond concurrency waits, and what waits too long or finds the queue full is refused', async () => {
  await node.deploy('drip', 'drip', { limits: { concurrency: 1 } });
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => fetch(`${node.url}/drip/?chunks=2&ms=150`).then(async (response) => ({ response, text: await response.text() }))),
  );
  const refused = answers.filter(({ response }) => response.status === 503);
  assert.ok(refused.length >= 10 && refused.length < 40, `${refused.length}`);
  assert.match(refused[0]?.text ?? '', /capacity-exhausted/);
  assert.ok(Number(refused[0]?.response.headers.get('retry-after')) > 0);
  assert.ok(answers.every(({ response }) => [200, 503].includes(response.status)));
});

test('invoke: the control API calls a function as a client would', async () => {
  await node.deploy('echo', 'echo');
  const response = await fetch(`${node.control}/v1/functions/echo/invoke?method=POST&path=/x`, {
    method: 'POST',
    headers: { authorization: `Bearer ${node.token}` },
    body: 'through control',
  });
  assert.is(response.status, 200);
  assert.is(await response.text(), 'through control');
  assert.is((await node.execution(response.headers.get('nacelle-execution'))).function, 'echo');
});

test('secrets: a new value reaches the guest without a new version', async () => {
  await node.deploy('settings', 'settings', { secrets: ['KEY'] });
  assert.is((await fetch(`${node.url}/settings/KEY`)).status, 404);
  assert.ok((await node.api('PUT', '/v1/functions/settings/secrets/KEY', { value: 'first' })).ok);
  assert.match(await (await fetch(`${node.url}/settings/KEY`)).text(), /first/);
});

test('tenants: a suspended one answers 403, a resumed one again', async () => {
  await node.api('POST', '/v1/tenants', { name: 'acme' });
  const { digest } = (await (await node.api('PUT', '/v1/modules?tenant=acme', fixture('hello'))).json()) as { digest: string };
  assert.ok((await node.api('POST', '/v1/functions?tenant=acme', { name: 'hello', module: digest })).ok);
  assert.is((await fetch(`${node.url}/~acme/hello/`)).status, 200);
  assert.is((await fetch(`${node.url}/hello/`)).status, 404);
  assert.ok((await node.api('POST', '/v1/tenants/acme/suspend')).ok);
  const suspended = await fetch(`${node.url}/~acme/hello/`);
  assert.equal([suspended.status, ((await suspended.json()) as { code: string }).code], [403, 'tenant-suspended']);
  assert.ok((await node.api('POST', '/v1/tenants/acme/resume')).ok);
  assert.is((await fetch(`${node.url}/~acme/hello/`)).status, 200);
});

test.run();
