import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, exitOf, freshDirectory, until } from './node.ts';

/** What `npm pack` makes, installed into a folder of its own by unpacking, and used as a stranger would. */

const checkout = fileURLToPath(new URL('../../', import.meta.url));
const project = freshDirectory();
const installed = join(project, 'node_modules', 'nacelle');
const launcher = join(installed, 'bin', 'nacelle.js');
const data = join(project, '.nacelle');

type Package = { version: string; dependencies: Record<string, string>; optionalDependencies: Record<string, string> };

function link(name: string): void {
  const target = join(checkout, 'node_modules', name);
  const path = join(project, 'node_modules', name);
  if (!existsSync(target) || existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path);
}

test.before(() => {
  const packed = execFileSync('npm', ['pack', '--silent', '--pack-destination', project], { cwd: checkout, encoding: 'utf8' }).trim();
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(project, packed), '-C', installed, '--strip-components=1']);
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Package;
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) link(name);
});
test.after(cleanUp);

const nacelle = (...args: string[]): { stdout: string; stderr: string; status: number | null } =>
  spawnSync('node', [launcher, ...args], { cwd: project, encoding: 'utf8', env: { ...process.env, NACELLE_URL: '', NACELLE_TOKEN: '' } });

test('npm pack: ships JavaScript, declarations and what they read; no TypeScript, test or fixture beside the examples', () => {
  const files = readdirSync(installed, { recursive: true, encoding: 'utf8' });
  assert.equal(
    files.filter((name) => /(?<!\.d)\.ts$|(^|\/)(test|bench|components)\/|node_modules/.test(name)),
    [],
  );
  const modules = files.filter((name) => name.endsWith('.js') && name.startsWith('dist/host/'));
  assert.ok(modules.length > 100);
  assert.equal(
    modules.filter((name) => !files.includes(name.replace(/\.js$/, '.d.ts'))),
    [],
  );
  for (const name of ['README.md', 'LICENSE', 'CHANGELOG.md', 'manifest.schema.json', 'node.schema.json', 'verdict.schema.json'])
    assert.ok(files.includes(name), name);
  const components = files.filter((name) => name.endsWith('.wasm')).map((name) => name.slice('dist/fixtures/'.length));
  const examples = JSON.parse(readFileSync(join(checkout, 'fixtures', 'examples.json'), 'utf8')) as { component: string }[];
  assert.equal(components.sort(), examples.map(({ component }) => component).sort());
});

test('npm pack: leaves nothing that was built in the checkout', () => assert.not(existsSync(join(checkout, 'dist'))));

/** Runs the installed node while `work` does something with it. */
async function serving(work: (http: string) => Promise<void>): Promise<void> {
  const child = spawn('node', [launcher, 'serve', '--examples', '--http', '127.0.0.1:0', '--control', '127.0.0.1:0', '--gateways', '1'], {
    cwd: project,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const file = join(data, 'node.json');
  const isThere = () => {
    if (child.exitCode !== null) throw new Error(errors);
    return existsSync(file) || undefined;
  };
  await until(isThere, 'node.json', 60_000);
  try {
    await work((JSON.parse(readFileSync(file, 'utf8')) as { http: string }).http);
  } finally {
    child.kill('SIGTERM');
  }
  assert.is(await exitOf(child), 0, errors);
}

test('an installed package: serves, deploys, answers and ends', () =>
  serving(async (http) => {
    assert.is(await (await fetch(`${http}/hello/`)).text(), 'Hello from nacelle!\n');
    const deployed = nacelle('deploy', join(installed, 'dist', 'fixtures', 'echo.wasm'), '--name', 'mine');
    assert.equal([deployed.status, deployed.stderr], [0, '']);
    assert.match(deployed.stdout, /^mine@1 {2}sha256:/);
    assert.is(await (await fetch(`${http}/mine/`, { method: 'POST', body: 'there and back' })).text(), 'there and back');
    assert.match(nacelle('ls').stdout, /^mine +1 /m);
    const wrong = nacelle('shwo');
    assert.is(wrong.status, 2);
    assert.match(wrong.stderr, /show/);
  }));

test('an installed package: builds a function of TypeScript, whose types say what there is in one', async () => {
  const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--lib', 'esnext', '--types', 'nacelle/guest'];
  link('typescript');
  writeFileSync(
    join(project, 'greeter.ts'),
    `export default async (request: Request): Promise<Response> => {
      const name: string | null = new URL(request.url).searchParams.get('name');
      return Response.json({ hello: name, streams: typeof ReadableStream });
    };`,
  );
  const checked = spawnSync(process.execPath, [join(checkout, 'node_modules/typescript/bin/tsc'), ...flags, 'greeter.ts'], { cwd: project, encoding: 'utf8' });
  assert.match(checked.stdout, /^greeter\.ts\(3,\d+\): error TS2304: Cannot find name 'ReadableStream'\.\s*$/);
  const built = nacelle('build', 'greeter.ts', '-o', 'greeter.wasm');
  assert.equal([built.status, built.stderr], [0, '']);
  assert.match(built.stdout, /^greeter\.wasm {2}\d+ bytes\n$/);
  await serving(async (http) => {
    assert.is(nacelle('deploy', 'greeter.wasm').status, 0);
    assert.equal(await (await fetch(`${http}/greeter/?name=you`)).json(), { hello: 'you', streams: 'undefined' });
  });
});

test('an installed package: a program starts a node of its own, and finds its types', () => {
  const program = `
    import { loadConfig, startNode } from 'nacelle';
    const flags = { data: 'own', http: '127.0.0.1:0', control: '127.0.0.1:0', gateways: '1', 'logs-level': 'silent' };
    const node = await startNode(loadConfig({ flags, env: {}, directory: process.cwd() }), { examples: true });
    console.log(await (await fetch(node.httpUrl + '/hello/')).text());
    await node.close();`;
  writeFileSync(join(project, 'program.mjs'), program);
  assert.is(execFileSync(process.execPath, ['program.mjs'], { cwd: project, encoding: 'utf8' }).trim(), 'Hello from nacelle!');
  writeFileSync(join(project, 'program.mts'), `${program}\n    export const wrong: number = node.httpUrl;\n`);
  for (const name of ['typescript', '@types/node']) link(name);
  const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node', '--skipLibCheck'];
  const checked = spawnSync(process.execPath, [join(checkout, 'node_modules/typescript/bin/tsc'), ...flags, 'program.mts'], { cwd: project, encoding: 'utf8' });
  assert.match(checked.stdout, /^program\.mts\(\d+,\d+\): error TS2322: Type 'string' is not assignable to type 'number'\.\s*$/);
});

test.run();
