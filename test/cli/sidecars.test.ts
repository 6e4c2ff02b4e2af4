import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, freshDirectory, startTestNode, type TestNode, until } from '../system/node.ts';
import { type CliHarness, commandLine, type Ran, succeed } from './harness.ts';

let node: TestNode;
let cli: CliHarness['run'];
const directory = freshDirectory();
const path = (name: string): string => join(directory, name);

test.before(async () => {
  node = await startTestNode({ gateways: 1 });
  cli = commandLine(node.control, node.token, directory);
  for (const [from, name] of [
    ['sidecar/probe', 'probe'],
    ['sidecar/companion', 'companion'],
    ['../sidecars/recorder', 'recorder'],
    ['hello', 'hello'],
    ['sidecar/shop', 'shop'],
  ] as const)
    copyFileSync(fileURLToPath(new URL(`../../fixtures/${from}.wasm`, import.meta.url)), path(`${name}.wasm`));
  writeFileSync(path('rules.txt'), 'deny all\n');
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const done = (...words: string[]): Promise<Ran> => succeed(cli, words);
async function refused(...words: string[]): Promise<string> {
  const ran = await cli(words);
  assert.is.not(ran.code, 0, ran.out);
  return `${ran.code} ${ran.error}`;
}
const manifest = (sidecar: Record<string, unknown>): string => {
  writeFileSync(path('nacelle.jsonc'), JSON.stringify({ name: 'shop', component: './hello.wasm', sidecars: [sidecar] }));
  return 'nacelle.jsonc';
};

test('sidecars add, ls, show: what it is, imports and exports, and who uses it', async () => {
  assert.match((await done('sidecars', 'add', 'probe.wasm', '--name', 'probe', '--agent')).out, /^probe@1\.0\.0 {2}middleware {2}sha256:[0-9a-f]{64}\n$/);
  writeFileSync(path('settings.json'), '{ "greeting": "hi" }');
  await done('sidecars', 'add', 'companion.wasm', '--name', 'watch', '--config', 'settings.json');
  assert.match((await done('sidecars', 'ls')).out, /probe@1\.0\.0 +middleware +agent +the tenant +-\nwatch@1\.0\.0 +companion +image +the tenant +-\n/);
  const shown = (await done('sidecars', 'show', 'watch')).out;
  assert.match(shown, /exports +nacelle:sidecar\/lifecycle@0\.1\.0/);
  assert.match(shown, /settings +greeting/);
  assert.match((await done('sidecars', 'add', 'companion.wasm', '--name', 'watch', '--config', 'settings.json')).out, /^watch@1\.0\.1 /);
});

test('deploy: the files of an agent are read beside the manifest; secrets put gives its secrets', async () => {
  const probe = { use: 'probe', config: { theirs: 'yes' }, secrets: ['KEY'], files: { 'rules.txt': './rules.txt' } };
  assert.match((await done('deploy', manifest(probe))).out, /^shop@1 /);
  assert.is((await done('invoke', 'shop', '--path', '/probe/file/rules.txt')).out, 'deny all\n');
  assert.match((await done('show', 'shop')).out, /probe\/KEY/);
  const put = await cli(['secrets', 'put', 'shop', 'probe/KEY'], { input: 'let-me-in\n' });
  assert.equal([put.code, put.out], [0, 'put probe/KEY of shop\n']);
  await until(async () => ((await done('invoke', 'shop', '--path', '/probe/settings')).out.includes('KEY=let-me-in') ? true : undefined), 'the secret');
  const listed = (await done('secrets', 'ls', 'shop')).out;
  assert.match(listed, /probe\/KEY .*yes/);
  assert.not.match(listed, 'let-me-in');
  assert.match(await refused('deploy', manifest({ ...probe, files: { 'rules.txt': './not-there.txt' } })), /^1 .*not-there\.txt/s);
  assert.match(await refused('sidecars', 'rm', 'probe'), /^1 .*sidecar-in-use.*shop@1/s);
});

test('sidecars rm: names who uses it, and says where only a rollback does; deploy: shows what an agent says of its configuration', async () => {
  await done('sidecars', 'add', 'companion.wasm', '--name', 'moody', '--agent');
  const named = (config: Record<string, string>): string => {
    writeFileSync(path('moody.jsonc'), JSON.stringify({ name: 'moody', component: './hello.wasm', sidecars: [{ use: 'moody', config }] }));
    return 'moody.jsonc';
  };
  assert.match(
    await refused('deploy', named({ refuse: 'configure' })),
    /^1 .*sidecar-invalid.*moody@1\.0\.0 does not take its configuration: not in the mood/s,
  );
  await done('deploy', named({ greeting: 'hi' }));
  assert.match(await refused('sidecars', 'rm', 'moody'), /used by moody@1\n/);
  await done('deploy', 'hello.wasm', '--name', 'moody');
  assert.match(await refused('sidecars', 'rm', 'moody'), /used by moody@1 \(not live, but a rollback can reach it\)/);
  await done('rm', 'moody');
  await done('sidecars', 'rm', 'moody');
  writeFileSync(path('refused.json'), '{ "refuse": "configure" }');
  assert.match(await refused('sidecars', 'add', 'companion.wasm', '--name', 'image', '--config', 'refused.json'), /^1 .*sidecar-invalid.*not in the mood/s);
});

test('invoke --debug: a sidecar of the library takes part in this call, which explain shows; nobody else pays', async () => {
  await done('sidecars', 'add', 'recorder.wasm', '--name', 'recorder', '--debug');
  const { execution, body } = JSON.parse((await done('invoke', 'shop', '--debug', 'recorder', '--header', 'x-test: 1', '--json')).out);
  assert.is(body, 'Hello from nacelle!\n');
  const explained = (await done('explain', execution)).out;
  assert.match(explained, /recorder@1\.0\.0/);
  await until(async () => ((await done('logs', 'shop')).out.includes('recorder@1.0.0: x-test: 1') ? true : undefined), 'its lines');
  const next = JSON.parse((await done('invoke', 'shop', '--json')).out);
  assert.not.match((await done('explain', next.execution)).out, 'recorder');
  assert.match(await refused('invoke', 'shop', '--debug', 'probe'), /^1 .*sidecar-not-found.*not added with --debug/s);
});

test('sidecars: what is wrong is said, and how to go on', async () => {
  assert.match(await refused('sidecars', 'add', 'hello.wasm'), /^2 .*--name/s);
  assert.match(await refused('sidecars', 'add', 'hello.wasm', '--name', 'hello'), /^1 .*module-invalid.*a sidecar exports/s);
  assert.match(await refused('sidecars', 'add', 'not-there.wasm', '--name', 'gone'), /^1 .*not-there\.wasm/s);
  writeFileSync(path('wrong.json'), '{ "greeting": 1 }');
  assert.match(await refused('sidecars', 'add', 'companion.wasm', '--name', 'watch', '--config', 'wrong.json'), /^1 .*object of strings/s);
  assert.match(await refused('deploy', manifest({ use: 'prob' })), /^1 .*sidecar-not-found.*prob/s);
  assert.match(await refused('deploy', manifest({ use: 'probe@2' })), /^1 .*sidecar-not-found.*probe@2/s);
  assert.match(await refused('deploy', manifest({ use: 'watch', config: { greeting: 'ho' } })), /^1 .*it is an image/s);
  assert.match(await refused('deploy', 'shop.wasm', '--name', 'unmet'), /^1 .*import-unknown.*nacelle:shop\/baskets@1\.0\.0/s);
});

test.run();
