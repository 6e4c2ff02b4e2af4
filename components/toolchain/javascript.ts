import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { componentize } from 'componentize-qjs';
import { build, type Plugin } from 'esbuild';
import { buildComponent } from '../../host/toolchain/component.ts';
import { engineName, withReleasedNames } from '../../host/toolchain/engine-name.ts';
import { worldSource } from './wit.ts';

/** A component of a module, as `nacelle build` makes it. */
export async function componentOfJavaScript(entry: URL): Promise<Uint8Array> {
  const file = fileURLToPath(entry);
  return (await buildComponent(file, dirname(file))).component;
}

const VERSION = '0.2.3';

const names: Plugin = {
  name: 'wasi',
  setup: ({ onResolve }) => onResolve({ filter: /^wasi:/ }, ({ path }) => ({ path: engineName(`${path}@${VERSION}`), external: true })),
};

/** Middleware of a module that exports `incomingHandler` itself and imports the next one. */
export async function middlewareOfJavaScript(entry: URL): Promise<Uint8Array> {
  const entryPoints = [fileURLToPath(entry)];
  const bundled = await build({
    entryPoints,
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    target: 'es2023',
    minify: true,
    plugins: [names],
  });
  const folder = mkdtempSync(join(tmpdir(), 'fixture-'));
  try {
    const jsPath = join(folder, 'handler.js');
    const witPath = join(folder, 'world.wit');
    const imports = ['http/types', 'io/streams', 'http/incoming-handler'].map((name) => `import wasi:${name}@${VERSION};`).join(' ');
    writeFileSync(witPath, engineName(worldSource(VERSION, `${imports} export wasi:http/incoming-handler@${VERSION};`)));
    const jsSource = bundled.outputFiles[0]?.text ?? '';
    writeFileSync(jsPath, jsSource);
    const { component } = await componentize({ witPath, jsSource, jsPath, moduleRoot: folder, world: 'fixture', sync: true, optSize: true, stubWasi: true });
    return withReleasedNames(component);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
