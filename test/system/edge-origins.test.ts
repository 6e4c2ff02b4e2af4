import { cpSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createSigner, newSigningKey, signed } from '../../host/edge/signing.ts';
import { again, type EdgeView, edgeIs, hello, portOf, proxyTo, readyz, serves, textOf, tokenOf } from './edge-harness.ts';
import { cleanUp, freshDirectory, startTestNode, type TestNode } from './node.ts';
import { closeProxies, type TcpProxy } from './tcp-proxy.ts';

const servers: Server[] = [];

test.after(async () => {
  cleanUp();
  await closeProxies();
  for (const server of servers) server.close();
});

/** Something else where the origin was. */
const listens = async (answer: RequestListener): Promise<number> => {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};

const stream =
  (...events: string[]): RequestListener =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const event of events) response.write(event);
  };

const breaksOff =
  (text: string): RequestListener =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(text, () => response.destroy());
  };

const greeting = (key: string, format = 1): string => `event: hello\ndata: ${JSON.stringify({ format, key, heartbeatMs: 500, draining: false })}\n\n`;

const stateOf = (revision: number, base: number | null): string =>
  JSON.stringify({ format: 1, product: '0.1.0', domain: 'localhost', revision, base, put: [], remove: ['default/function/hello'] });

type Joined = { origin: TestNode; edge: TestNode; proxy: TcpProxy; token: string; args: string[] };

const joined = async (): Promise<Joined> => {
  const origin = await startTestNode({ gateways: 1 });
  await origin.deploy('hello', 'hello');
  const token = await tokenOf(origin, 'edge');
  const proxy = await proxyTo(origin);
  const args = ['--origin', proxy.url, '--token', token];
  const edge = await startTestNode({ gateways: 1, args });
  await serves(edge, '/hello/', hello);
  return { origin, edge, proxy, token, args };
};

const replace = (proxy: TcpProxy, port: number): void => {
  proxy.set('cut');
  proxy.use([port]);
  proxy.set('pass');
};

test('edge: whatever answers in place of its origin, it serves what it has and says what is wrong', async () => {
  const { origin, edge, proxy } = await joined();
  const { originKey } = (await edgeIs(edge, 'the edge to connect', ({ state }) => state === 'connected')) as EdgeView & { originKey: string };
  const other = createSigner(newSigningKey());
  const forged = signed(other, stateOf(99, null));
  const cases: [what: string, answer: RequestListener, is: (view: EdgeView) => boolean][] = [
    ['garbage', (_request, response) => response.end('<html>Welcome!</html>'), ({ state }) => state === 'cut-off'],
    ['an answer that ends half-way', breaksOff(greeting(originKey).slice(0, 30)), ({ state }) => state === 'cut-off'],
    ['an older protocol', stream(greeting(originKey, 0)), ({ alarm }) => alarm?.why === 'version'],
    ['another key', stream(greeting(other.publicKey)), ({ alarm }) => alarm?.why === 'key'],
    ['a forged signature', stream(greeting(originKey), `event: state\ndata: ${forged}\n\n`), ({ alarm }) => alarm?.why === 'signature'],
    ['a node that knows no feed', (_request, response) => response.writeHead(404).end(), ({ state, failure }) => state === 'cut-off' && failure !== null],
  ];
  for (const [what, answer, is] of cases) {
    replace(proxy, await listens(answer));
    await edgeIs(edge, what, is);
    assert.is(await textOf(`${edge.url}/hello/`), hello, what);
    assert.is((await readyz(edge))[0], 200, what);
  }
  replace(proxy, portOf(origin.control));
  await origin.api('DELETE', '/v1/functions/hello');
  const view = await edgeIs(edge, 'the edge to follow again', ({ state, alarm }) => state === 'connected' && alarm === null);
  assert.is(view.alarm, null);
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test('edge: an origin that was set back to the past is refused, until it is ahead again', async () => {
  const { origin, edge, proxy } = await joined();
  assert.is(await origin.end(), 0);
  const copy = join(freshDirectory(), 'copy');
  cpSync(origin.data, copy, { recursive: true });
  const present = await again(origin);
  await present.deploy('later', 'hello');
  await present.deploy('latest', 'hello');
  await serves(edge, '/latest/', hello);
  assert.is(await present.end(), 0);
  const past = await startTestNode({ data: copy, gateways: 1 });
  replace(proxy, portOf(past.control));
  const { alarm } = await edgeIs(edge, 'the past to be refused', (view) => view.alarm?.why === 'backwards');
  assert.match(alarm?.detail ?? '', /the origin is at revision \d+, this edge has seen \d+/);
  assert.is(await textOf(`${edge.url}/latest/`), hello);
  for (let i = 0; i < 4; i++) await past.deploy('hello', i % 2 === 0 ? 'as-hello' : 'hello');
  await edgeIs(edge, 'an origin that is ahead to be believed', (view) => view.alarm === null && view.state === 'connected');
  for (const node of [edge, past]) assert.is(await node.end(), 0);
});

test.run();
