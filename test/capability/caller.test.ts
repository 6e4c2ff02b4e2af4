import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createOutboundHttp } from '../../host/capability/outbound-http.ts';
import { grant, load, poolOf, ports, send, start } from '../instance/harness.ts';
import { pause } from '../wasi/guest.ts';

/** A real guest (fixtures/caller.wasm) that calls real servers. */

const caller = await load('caller');
const client = createOutboundHttp();
const execution = () => ({ ...ports(), outbound: client });
let gone = 0;

const server: Server = createServer((request, response) => {
  response.on('close', () => gone++);
  if (request.url === '/huge') for (let i = 0; i < 100; i++) response.write('x'.repeat(10_000));
  if (request.url !== '/never') response.end(`you asked for ${request.url}`);
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;
const pool = poolOf(caller, { grant: { ...grant, outboundHosts: [`127.0.0.1:${port}`, '127.0.0.1:1'] } });

/** Positions of cases in error-code. */
const denied = 15;
const refused = 6;

test('caller: passes the answer of another server on', async () => {
  const { answer } = await send(pool, caller.handler, { path: `/http://127.0.0.1:${port}/a?b` }, execution());
  assert.equal([answer.status, answer.text, answer.complete], [200, 'you asked for /a?b', true]);
});

test('caller: streams a body larger than any buffer', async () => {
  const { answer } = await send(pool, caller.handler, { path: `/http://127.0.0.1:${port}/huge` }, execution());
  assert.is(answer.text.length, 1_000_000 + 'you asked for /huge'.length);
});

test('caller: is told of a host that is not granted, and of a port where nobody listens', async () => {
  const other = await send(pool, caller.handler, { path: '/http://example.com/' }, execution());
  assert.equal([other.answer.status, other.answer.text], [502, `refused: error-code ${denied}\n`]);
  const closed = await send(pool, caller.handler, { path: '/http://127.0.0.1:1/' }, execution());
  assert.equal([closed.answer.status, closed.answer.text], [502, `failed: error-code ${refused}\n`]);
});

test('caller: when it is stopped, its exchange ends too', async () => {
  const { running } = start(pool, caller.handler, { path: `/http://127.0.0.1:${port}/never` }, execution());
  while (client.exchanges === 0) await pause(5);
  await pause(30);
  const before = gone;
  running.stop('time-limit', 'the test has waited long enough');
  const outcome = await running.done;
  assert.is(outcome.ended?.code, 'time-limit');
  assert.is(client.exchanges, 0);
  await pause(50);
  assert.is(gone, before + 1);
});

test.after(async () => {
  pool.close();
  client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test.run();
