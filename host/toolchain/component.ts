import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Problem } from '../base/errors.ts';
import { type Bundle, bundle } from './bundle.ts';
import { engineName, withReleasedNames } from './engine-name.ts';
import { worldOf } from './world.ts';

/** A component, and the interfaces of the host that its code imports. */
export type Built = { component: Uint8Array; imports: string[] };

/** The place in the sources for each place in the bundle. */
function placed(text: string, { lines }: Bundle): string {
  return text.replace(/\/?function\.js:(\d+)(?::\d+)?/g, (found, line: string) => {
    const [, file, offset = 0] = lines.findLast(([start]) => start <= Number(line)) ?? [];
    return typeof file === 'string' ? `${file}:${Number(line) + offset}` : found;
  });
}

const topLevel = /^.*Failed to finish JavaScript module evaluation: (?:Error: )?/s;

/** What the engine says, with places in the sources. */
function reasonOf(error: unknown, bundled: Bundle): string {
  const message = error instanceof Error ? error.message : String(error);
  return placed(message.replace(topLevel, 'its code at the top level failed: '), bundled).trimEnd();
}

/** Runs the code at the top level in the engine, and keeps what it leaves. */
async function snapshot(bundled: Bundle, folder: string): Promise<Uint8Array> {
  const { componentize } = await import('componentize-qjs');
  const jsPath = join(folder, 'function.js');
  const witPath = join(folder, 'world.wit');
  writeFileSync(jsPath, bundled.code);
  writeFileSync(join(folder, 'lines.js'), `export default ${JSON.stringify(bundled.lines)};\n`);
  writeFileSync(witPath, engineName(worldOf(bundled.imports.map((name) => name.replace('wasj:', 'wasi:')))));
  const { component } = await componentize({
    witPath,
    jsSource: bundled.code,
    jsPath,
    moduleRoot: folder,
    world: 'function',
    sync: true,
    optSize: true,
    stubWasi: true,
  });
  return withReleasedNames(component);
}

/**
 * Builds a component of a JavaScript or TypeScript module whose default export answers requests, in QuickJS. Types are not
 * checked. Code at the top level runs now; its state is part of the component.
 *
 * @param entry absolute path of the module
 * @param directory what paths in messages and stack traces are relative to
 * @throws Problem `build-failed`
 */
export async function buildComponent(entry: string, directory: string): Promise<Built> {
  const bundled = await bundle(entry, directory);
  const folder = mkdtempSync(join(tmpdir(), 'nacelle-build-'));
  try {
    const component = await snapshot(bundled, folder);
    return { component, imports: bundled.imports.map((name) => name.replace('wasj:', 'wasi:')) };
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem('build-failed', `cannot build ${relative(directory, entry)}: ${reasonOf(error, bundled)}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
