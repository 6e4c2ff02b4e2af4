import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CliHarness, openCli } from './harness.ts';

let cli: CliHarness;

test.before(async () => {
  cli = await openCli();
  await cli.run(['tenants', 'add', 'acme']);
});
test.after(() => cli.close());

test('decisions: prints choice, inputs and what was passed over; asks only for what it is told to', async () => {
  const { code, out } = await cli.run(['decisions', '--kind', 'load', '--subject', 'acme/shop@1', '--since', '10m']);
  assert.is(code, 0);
  assert.match(out, /load +acme\/shop@1 +isolate-1 +rung 2 +isolate-2: no free slot/);
  const { items } = JSON.parse((await cli.run(['decisions', '--json'])).out);
  assert.equal([items[0].at, items[0].choice], ['1970-01-01T00:00:00.000Z', 'isolate-1']);
});

test('decisions: a wrong kind or time is wrong usage', async () => {
  assert.is((await cli.run(['decisions', '--kind', 'nothing'])).code, 2);
  assert.is((await cli.run(['decisions', '--since', 'yesterday'])).code, 2);
});

test('top: prints the node once in a pipe, and again and again on a terminal until it is interrupted', async () => {
  const { out } = await cli.run(['top']);
  for (const part of ['no isolates', 'nobody waits', 'placed: 0 on rung 1', 'gateway']) assert.match(out, part);
  assert.equal(JSON.parse((await cli.run(['top', '--json'])).out).isolates, []);
  const interrupt = new AbortController();
  const live = await cli.run(['top'], { interactive: true, signal: interrupt.signal, onOut: () => interrupt.abort() });
  assert.is(live.code, 0);
});

test('tenants reserve: sends what is wanted, and gives back with 0', async () => {
  const { out } = await cli.run(['tenants', 'reserve', 'acme', '--isolates', '4', '--functions', 'orders,checkout']);
  assert.is(out, 'acme: 4 isolates (standard) for orders, checkout\n');
  assert.is((await cli.run(['tenants', 'reserve', 'acme'])).code, 2);
  assert.is((await cli.run(['tenants', 'reserve', 'nobody', '--isolates', '1'])).code, 1);
  assert.match((await cli.run(['tenants', 'reserve', 'acme', '--isolates', '0'])).error, 'has no reservation');
});

test.run();
