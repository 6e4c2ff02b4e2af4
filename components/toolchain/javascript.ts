import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { worldSource } from './wit.ts';

const VERSION = '0.2.3';
const INTERFACES = ['http/types', 'io/streams', 'io/poll', 'clocks/monotonic-clock', 'cli/stderr'];

/** The tools of components/package.json, which the product does not depend on. */
type Esbuild = { build(options: object): Promise<{ outputFiles: { text: string }[] }> };
type Componentize = { componentize(options: object): Promise<{ component: Uint8Array }> };

async function tool<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    throw new Error(`cannot load ${name}: run "npm ci --prefix components" (${error instanceof Error ? error.message : error})`);
  }
}

/** Names `wasi:x/y` as the build-time linker must see them: under its own names it takes ours for the engine's. */
const alias = (name: string) => `wasj${name.slice(4)}@${VERSION}`;

const names = (entry: string) => ({
  name: 'wasi',
  setup(build: { onResolve(filter: { filter: RegExp }, resolve: (args: { path: string }) => object): void }) {
    build.onResolve({ filter: /^wasi:/ }, ({ path }) => ({ path: alias(path), external: true }));
    build.onResolve({ filter: /^function:user$/ }, () => ({ path: entry }));
  },
});

const handler = fileURLToPath(new URL('../js/runtime/handler.ts', import.meta.url));

async function bundle(start: string, user: string): Promise<string> {
  const { build } = await tool<Esbuild>('esbuild');
  const result = await build({
    entryPoints: [start],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2023',
    supported: { 'async-await': false, 'async-generator': false, 'for-await': false },
    minify: true,
    legalComments: 'none',
    plugins: [names(user)],
  });
  return result.outputFiles[0]!.text;
}

/** A component whose start module exports what its world does. */
async function componentOf(start: string, user: string, imports: readonly string[]): Promise<Uint8Array> {
  const { componentize } = await tool<Componentize>('componentize-qjs');
  const folder = mkdtempSync(join(tmpdir(), 'fixture-'));
  try {
    const jsPath = join(folder, 'handler.js');
    const witPath = join(folder, 'world.wit');
    const world = `${imports.map((name) => `import wasi:${name}@${VERSION};`).join(' ')} export wasi:http/incoming-handler@${VERSION};`;
    writeFileSync(jsPath, await bundle(start, user));
    writeFileSync(witPath, worldSource(VERSION, world).replaceAll('wasi:', 'wasj:'));
    const options = {
      witPath,
      jsSource: readFileSync(jsPath, 'utf8'),
      jsPath,
      moduleRoot: folder,
      world: 'fixture',
      sync: true,
      optSize: true,
      stubWasi: true,
    };
    const { component } = await componentize(options);
    return Buffer.from(Buffer.from(component).toString('latin1').replaceAll('wasj:', 'wasi:'), 'latin1');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * A component of a JavaScript or TypeScript module whose default export has `fetch(request)`, in QuickJS. Top-level code
 * runs now; its state is part of the component.
 */
export const componentOfJavaScript = (entry: URL): Promise<Uint8Array> => componentOf(handler, fileURLToPath(entry), INTERFACES);

/** Middleware of a module that exports `incomingHandler` itself and imports the next one. */
export const middlewareOfJavaScript = (entry: URL): Promise<Uint8Array> =>
  componentOf(fileURLToPath(entry), '', ['http/types', 'io/streams', 'http/incoming-handler']);
