import { existsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, exitOf, spawnNode, startTestNode, until } from './node.ts';

test.after(cleanUp);

test('serve: deploys the examples at the first start, which answer, and ends on SIGTERM', async () => {
  const node = await startTestNode({ args: ['--examples'] });
  const response = await fetch(`${node.url}/hello/`);
  assert.is(response.status, 200);
  assert.is(await response.text(), 'Hello from nacelle!\n');
  assert.match(response.headers.get('nacelle-execution') ?? '', /^[0-9a-z]{28}$/);
  assert.match(response.headers.get('server-timing') ?? '', /^run;dur=[0-9.]+, place;dur=[0-9.]+, fleet;desc="on-demand", rung;desc="[1-4]"$/);
  assert.is(statSync(join(node.data, 'admin.token')).mode & 0o777, 0o600);
  assert.is(await node.end(), 0);
  assert.not(existsSync(join(node.data, 'node.json')), 'node.json is removed');
});

test('serve: deploys nothing by itself, and does not bring back an example that was removed', async () => {
  const plain = await startTestNode({ gateways: 1 });
  assert.is((await fetch(`${plain.url}/hello/`)).status, 404);
  await plain.end();
  const first = await startTestNode({ gateways: 1, data: plain.data, args: ['--examples'] });
  assert.is((await fetch(`${first.url}/hello/`)).status, 200);
  assert.is((await first.api('DELETE', '/v1/functions/hello')).status, 204);
  await first.end();
  const second = await startTestNode({ gateways: 1, data: plain.data, args: ['--examples'] });
  assert.is((await fetch(`${second.url}/hello/`)).status, 404);
  await second.end();
});

test('serve: refuses a port in use, with its code, and leaves the data directory free', async () => {
  const squatter = createServer().listen(0, '127.0.0.1');
  const { port } = await until(() => (squatter.address() as { port: number } | null) ?? undefined, 'the squatter');
  for (const option of ['--http', '--control']) {
    const { child, data, errors } = spawnNode({ gateways: 1, args: [option, `127.0.0.1:${port}`] });
    assert.is(await exitOf(child), 1);
    assert.match(errors(), /address-in-use/);
    assert.match(errors(), new RegExp(`127\\.0\\.0\\.1:${port}`));
    const node = await startTestNode({ gateways: 1, data });
    await node.end();
  }
  squatter.close();
});

test('serve: refuses a data directory that another node uses', async () => {
  const node = await startTestNode({ gateways: 1 });
  const { child, errors } = spawnNode({ gateways: 1, data: node.data });
  assert.is(await exitOf(child), 1);
  assert.match(errors(), /data-in-use/);
  assert.is((await fetch(`${node.control}/healthz`)).status, 200, 'the first node goes on');
  await node.end();
});

test('serve: a second node cannot share the port of the first', async () => {
  const node = await startTestNode();
  const { child, errors } = spawnNode({ args: ['--http', `127.0.0.1:${node.port}`] });
  assert.is(await exitOf(child), 1);
  assert.match(errors(), /address-in-use/);
  await node.end();
});

test.run();
