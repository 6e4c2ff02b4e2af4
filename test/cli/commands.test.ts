import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CliHarness, openCli } from './harness.ts';

let cli: CliHarness;
const json = async (...words: string[]) => JSON.parse((await done(...words, '--json')).out);

async function done(...words: string[]) {
  const ran = await cli.run(words);
  assert.is(ran.code, 0, ran.error);
  return ran;
}

test.before(async () => {
  cli = await openCli();
});
test.after(() => cli.close());

test('deploy: a component alone is named after its file, and prints name, version, digest and urls', async () => {
  cli.write('My_Orders.wasm', 'component one');
  const { out, error } = await done('deploy', 'My_Orders.wasm');
  assert.match(out, /^my-orders@1 {2}sha256:[0-9a-f]{64}\n/);
  assert.match(out, '  http://127.0.0.1:8080/my-orders/\n');
  assert.is(error, '');
  assert.match((await done('deploy', 'My_Orders.wasm', '--name', 'shop')).out, /^shop@1 /);
});

test('deploy: a folder is deployed by its manifest, with --set and --route on top', async () => {
  mkdirSync(join(cli.directory, 'app'));
  cli.write('app/app.wasm', 'component two');
  cli.write('app/nacelle.jsonc', '{ "name": "app", "component": "./app.wasm", /* modest */ "limits": { "memoryMib": 32, "cpuMs": 20 }, "routes": ["/old/*"] }');
  await done('deploy', 'app', '--set', 'limits.memoryMib=64', '--set', 'env.MODE=test', '--set', 'secrets=["KEY"]', '--route', '/new/*');
  const { manifest, urls, missingSecrets } = await json('show', 'app');
  assert.is(manifest.limits.memoryMib, 64);
  assert.is(manifest.limits.cpuMs, 20);
  assert.equal(manifest.env, { MODE: 'test' });
  assert.ok(urls.includes('http://127.0.0.1:8080/new/') && !urls.some((url: string) => url.includes('old')));
  assert.equal(missingSecrets, ['KEY']);
});

test('state: puts, prints, lists and removes values', async () => {
  assert.is((await done('state', 'put', 'orders', 'a/b', 'one')).out, 'put a/b in orders\n');
  await done('state', 'put', 'orders', 'other', '');
  assert.is((await done('state', 'get', 'orders', 'a/b')).out, 'one');
  assert.equal(await json('state', 'get', 'orders', 'a/b'), { key: 'a/b', base64: 'b25l' });
  assert.is((await done('state', 'ls', 'orders')).out, 'a/b\nother\n');
  assert.is((await done('state', 'ls', 'orders', '--prefix', 'o')).out, 'other\n');
  assert.match((await done('state', 'ls')).out, /^bucket +keys +bytes\norders +2 +11\n/);
  assert.is((await done('state', 'rm', 'orders', 'a/b')).out, 'removed a/b from orders\n');
  assert.is((await cli.run(['state', 'get', 'orders', 'a/b'])).code, 1);
  await done('state', 'put', 'bucket/stock', 'a/b', 'shared');
  assert.is((await done('state', 'get', 'bucket/stock', 'a/b')).out, 'shared');
  assert.is((await done('state', 'ls', 'bucket/stock')).out, 'a/b\n');
  await done('state', 'rm', 'bucket/stock', 'a/b');
  assert.is((await cli.run(['state', 'get', 'bucket/stock', 'a/b'])).code, 1);
  assert.is((await cli.run(['state', 'get', 'orders', '..'])).code, 2);
});

test('deploy: warns of secrets without a value', async () => {
  const { error } = await done('deploy', 'My_Orders.wasm', '--name', 'keyed', '--set', 'secrets=["KEY"]');
  assert.match(error, 'warning: secret KEY has no value yet: nacelle secrets put keyed KEY');
});

test('deploy: lists every problem of a manifest, and the remedy', async () => {
  const { code, out, error } = await cli.run(['deploy', 'My_Orders.wasm', '--set', 'limits.memoryMib=0', '--set', 'colour="red"']);
  assert.is(code, 1);
  assert.is(out, '');
  assert.match(error, 'error: manifest-invalid: ');
  assert.match(error, '  - cannot set memoryMib');
  assert.match(error, 'colour');
  assert.match(error, '\nremedy: Correct each problem that the message lists.');
});

test('deploy: refuses what cannot be read, before anything is sent', async () => {
  for (const words of [['absent'], ['.'], ['My_Orders.wasm', '--set', 'novalue']]) assert.is((await cli.run(['deploy', ...words])).code, 2, words.join(' '));
  cli.write('9.wasm', 'x');
  assert.match((await cli.run(['deploy', '9.wasm'])).error, 'give a name with --name');
  cli.write('broken.jsonc', '{ "name": }');
  const { code, error } = await cli.run(['deploy', 'broken.jsonc']);
  assert.is(code, 1);
  assert.match(error, 'line 1');
  cli.write('lost.jsonc', '{ "name": "lost", "component": "./lost.wasm" }');
  assert.match((await cli.run(['deploy', 'lost.jsonc'])).error, 'cannot read the component');
  assert.is((await cli.run(['deploy', 'My_Orders.wasm', '--weight', '10'])).code, 1);
  assert.is((await cli.run(['deploy', 'My_Orders.wasm', '--set', '__proto__.polluted=1'])).code, 1);
  assert.is(({} as Record<string, unknown>).polluted, undefined);
});

test('progress: is shown on a terminal and not in a pipe', async () => {
  assert.match((await cli.run(['deploy', 'My_Orders.wasm'], { interactive: true })).error, 'uploading');
  assert.is((await cli.run(['deploy', 'My_Orders.wasm'])).error, '');
});

test('versions, promote, rollback: move the live version', async () => {
  cli.write('v.wasm', 'first');
  await done('deploy', 'v.wasm');
  cli.write('v.wasm', 'second');
  await done('deploy', 'v.wasm');
  assert.match((await done('versions', 'v')).out, /2 +100 % +sha256:/);
  assert.is((await done('promote', 'v', '1')).out, 'v: version 1 is live\n');
  assert.is((await done('rollback', 'v')).out, 'v: version 2 is live\n');
  assert.equal(
    (await json('versions', 'v')).items.map((item: { weight: number }) => item.weight),
    [0, 100],
  );
  assert.is((await cli.run(['promote', 'v', '9'])).code, 1);
  assert.is((await cli.run(['promote', 'v', 'two'])).code, 2);
  assert.match((await cli.run(['promote', 'v', '1', '--weight', '10'])).error, 'not-implemented');
});

test('ls and rm: list functions over several pages and remove them', async () => {
  for (let i = 0; i < 3; i++) await done('deploy', 'v.wasm', '--name', `page-${i}`);
  const names = (await json('ls')).items.map((item: { name: string }) => item.name);
  assert.ok(['page-0', 'page-1', 'page-2'].every((name) => names.includes(name)));
  assert.is((await done('rm', 'page-0')).out, 'removed page-0\n');
  assert.not.match((await done('ls')).out, 'page-0');
  const { code, error } = await cli.run(['rm', 'page-0']);
  assert.is(code, 1);
  assert.match(error, 'error: not-found: ');
});

test('secrets: are put from standard input, listed by name, never shown', async () => {
  await done('deploy', 'v.wasm', '--name', 'safe');
  const put = await cli.run(['secrets', 'put', 'safe', 'PAYMENT_KEY'], { input: 'hunter2\n' });
  assert.is(put.code, 0);
  assert.match((await done('secrets', 'ls', 'safe')).out, 'PAYMENT_KEY');
  const shown = await json('show', 'safe');
  assert.equal(shown.secrets[0].name, 'PAYMENT_KEY');
  assert.not.match(JSON.stringify(shown), 'hunter2');
  await done('secrets', 'rm', 'safe', 'PAYMENT_KEY');
  assert.match((await done('secrets', 'ls', 'safe')).out, 'no secrets of safe');
  assert.is((await cli.run(['secrets', 'put', 'safe', 'EMPTY'])).code, 2);
});

test('invoke: sends method, path, headers and body, and prints what the guest answers', async () => {
  cli.write('body.json', '{"a":1}');
  const { out } = await done('invoke', 'v', '--path', '/x?y=1', '--header', 'X-One: 1', '--header', 'X-Two: b', '--data', '@body.json');
  assert.is(out, 'guest says hi');
  const { target, url, method, headers, body } = cli.control.invoked.at(-1) as (typeof cli.control.invoked)[number];
  assert.equal(target, { tenant: 'default', function: 'v' });
  assert.match(url, /\/x\?y=1$/);
  assert.is(method, 'POST');
  assert.is(headers['x-one'], '1');
  assert.is(headers['x-two'], 'b');
  assert.is(body, '{"a":1}');
  assert.match((await done('invoke', 'v', '-i')).out, /^HTTP 418\n[\s\S]*x-guest: yes\n\nguest says hi$/);
  assert.is((await json('invoke', 'v')).execution, 'x1');
  assert.is((await cli.run(['invoke', 'absent'])).code, 1);
});

test('logs: prints lines with the execution, and follows until interrupted', async () => {
  const record = { at: 0, execution: 'e1', tenant: 'default', function: 'v', version: 1, stream: 'stdout' as const, text: 'first' };
  cli.control.hub.push(record);
  assert.is((await done('logs', 'v')).out, '1970-01-01T00:00:00.000Z e1 stdout first\n');
  assert.is((await json('logs', 'v')).items[0].text, 'first');

  const stop = new AbortController();
  const seen: string[] = [];
  const onOut = (text: string): void => {
    seen.push(text);
    if (seen.length === 1) cli.control.hub.push({ ...record, stream: 'log' as never, level: 'info', text: 'second' });
    else stop.abort();
  };
  const { code } = await cli.run(['logs', 'v', '-f'], { signal: stop.signal, onOut });
  assert.is(code, 0);
  assert.equal(seen, ['1970-01-01T00:00:00.000Z e1 stdout first\n', '1970-01-01T00:00:00.000Z e1 info second\n']);
});

test('explain: prints the timeline and what was used', async () => {
  assert.match((await done('explain', 'exec-default')).out, 'default/hello@1');
  assert.is((await json('explain', 'exec-default')).state, 'succeeded');
  assert.match((await cli.run(['explain', 'none'])).error, 'execution-not-found');
});

test('tenants and tokens: are made, used, listed and removed', async () => {
  await done('tenants', 'add', 'acme', '--route', 'acme.example');
  assert.match((await done('tenants', 'ls')).out, /acme +active +acme.example/);
  const token = (await done('tokens', 'add', '--scope', 'deploy:acme', '--expires', '12h', '--note', 'ci')).out.trim();
  const env = { NACELLE_URL: cli.url, NACELLE_TOKEN: token };
  const deployed = await cli.run(['deploy', 'v.wasm', '--json'], { env });
  assert.is(JSON.parse(deployed.out).tenant, 'acme');
  assert.is((await cli.run(['ls', '--tenant', 'default'], { env })).code, 1);
  assert.is((await done('tenants', 'limit', 'acme', '--memory-mib', '32', '--time-ms', '5000')).out, 'acme: 32 MiB of memory, 5000 ms\n');
  assert.match((await done('tenants', 'ls')).out, /acme +active +acme.example +32 MiB of memory, 5000 ms/);
  assert.is((await cli.run(['tenants', 'limit', 'acme', '--memory-mib', 'much'])).code, 2);
  assert.is((await done('tenants', 'limit', 'acme', '--prewarm', '0')).out, 'acme: 0 instances made ready\n');
  assert.is((await done('tenants', 'limit', 'acme')).out, 'acme: as on the node\n');
  assert.is((await done('tenants', 'suspend', 'acme')).out, 'acme: suspended\n');
  assert.is((await done('tenants', 'resume', 'acme')).out, 'acme: active\n');
  const { id, expiresAt } = (await json('tokens', 'ls')).items.find((item: { note: string }) => item.note === 'ci');
  assert.ok(Math.abs(Date.parse(expiresAt) - Date.now() - 12 * 3_600_000) < 60_000);
  await done('tokens', 'rm', id);
  assert.match((await cli.run(['ls'], { env })).error, 'error: unauthorized: ');
  await done('tenants', 'rm', 'acme');
  assert.not.match((await done('tenants', 'ls')).out, 'acme');
  for (const words of [[], ['--scope', 'admin', '--expires', 'soon']]) assert.is((await cli.run(['tokens', 'add', ...words])).code, 2);
});

test('dead-letters limit, queues: say what a queue may hold', async () => {
  const { out } = await done('dead-letters', 'limit', 'orders', '--keep', '30s', '--items', '5', '--bytes', '2000');
  assert.match(out, /orders +0 +5 +0 +2000 +30 s/);
  assert.match((await done('dead-letters', 'queues')).out, /orders +0 +5 +0 +2000 +30 s/);
  assert.is((await cli.run(['dead-letters', 'limit', 'orders', '--keep', 'long'])).code, 2);
  assert.match((await cli.run(['dead-letters', 'limit', 'orders', '--items', '100000000'])).error, /at most .* on this node, got 100000000/);
  assert.match((await done('dead-letters', 'limit', 'orders')).out, /orders/);
});

test('a node that is not there: exit code 1 and how to start one', async () => {
  const { code, error } = await cli.run(['ls'], { env: { NACELLE_URL: 'http://127.0.0.1:9', NACELLE_TOKEN: 't' } });
  assert.is(code, 1);
  assert.match(error, 'cannot reach the node at http://127.0.0.1:9');
  assert.match(error, 'nacelle serve');
});

test('--json: problems are JSON too', async () => {
  const { code, error } = await cli.run(['show', 'absent', '--json']);
  assert.is(code, 1);
  assert.is(JSON.parse(error).code, 'not-found');
});

test('serve: refuses what is not there yet, and a wrong configuration, with every problem', async () => {
  const later = await cli.run(['serve', '--origin', 'https://x', '--cluster', 'nats://x']);
  assert.is(later.code, 1);
  assert.match(later.error, 'error: not-implemented: ');
  assert.match(later.error, '--cluster');
  const wrong = await cli.run(['serve', '--gateways', 'many', '--http', 'nowhere'], { env: {} });
  assert.is(wrong.code, 1);
  assert.match(wrong.error, 'error: config-invalid: ');
  assert.match(wrong.error, '--gateways');
  assert.match(wrong.error, '--http');
});

test('help: without words is wrong usage, on request is not', async () => {
  assert.is((await cli.run([])).code, 2);
  assert.is((await cli.run(['--help'])).code, 0);
  assert.match((await cli.run(['deploy', '--help'])).out, '--route');
  assert.is((await cli.run(['help', 'tokens', 'add'])).out, (await cli.run(['tokens', 'add', '--help'])).out);
  assert.is((await cli.run(['help', 'shwo'])).code, 2);
  assert.match((await cli.run(['--version'])).out, /^\d+\.\d+\.\d+\n$/);
});

test.run();
