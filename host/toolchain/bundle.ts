import { SourceMap, type SourceMapPayload } from 'node:module';
import { isAbsolute, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BuildOptions, Message, OnLoadResult, OnResolveArgs, OnResolveResult, Plugin } from 'esbuild';
import { Problem } from '../base/errors.ts';
import { moduleExtension } from '../base/module-extension.ts';
import { engineName } from './engine-name.ts';
import { versioned } from './world.ts';

/** `[start, file, offset]`: from line `start` of the bundle on, a line is the one `offset` further in `file`, or none of the function's. */
type Run = [start: number, file: string | null, offset: number];
/** The code of a function with all that it imports; `lines` say where it comes from, `imports` what it wants of the host. */
export type Bundle = { code: string; lines: Run[]; imports: string[] };

const guest = new URL('../../guest/', import.meta.url);
const guestFile = (name: string): string => fileURLToPath(new URL(`${name}${moduleExtension}`, guest));

/** Where a message points: `src/index.ts:3:7: Expected ";" but found "}"`, and the line. */
function textOf({ text, location }: Message): string {
  const told = text.replace(/^Top-level await is not available.*/, 'There is no await at the top level of a function: use it in fetch');
  if (location === null) return told;
  const { file, line, column, lineText } = location;
  return `${file}:${line}:${column + 1}: ${told}\n    ${lineText.trim()}`;
}

const nodeBuiltin = /^(node:|(fs|path|http|https|net|os|child_process|crypto|stream|buffer|events|util|worker_threads)(\/|$))/;

function resolveHost({ path }: OnResolveArgs): OnResolveResult {
  const name = versioned(path);
  if (name === undefined) return { errors: [{ text: `there is no interface ${path} that a function may import` }] };
  return { path: engineName(name), external: true, sideEffects: false };
}

/** A part of the runtime in which no line is of interest: less source text in every instance. */
async function minified(path: string): Promise<OnLoadResult> {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [path],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['main'],
    target: 'es2023',
    minify: true,
  });
  return { contents: outputFiles[0]?.text ?? '', loader: 'js' };
}

/** Resolves what only the build knows: the function, interfaces of the host, and parts of the runtime that may be left out. */
const resolver = (entry: string): Plugin => ({
  name: 'nacelle',
  setup(build) {
    build.onResolve({ filter: /^(wasi|nacelle):/ }, resolveHost);
    build.onResolve({ filter: /^function:user$/ }, () => ({ path: entry }));
    build.onResolve({ filter: /^function:lines$/ }, () => ({ path: './lines.js', external: true }));
    build.onResolve({ filter: nodeBuiltin }, ({ path }) => ({
      errors: [{ text: `there is no ${path} in a function: it has the globals of the guide, not those of Node` }],
    }));
    build.onLoad({ filter: /[\\/]guest[\\/]url\.[jt]s$/ }, ({ path }) => minified(path));
    build.onResolve({ filter: /^\.\/(crypto|fetch|url)\.[jt]s$/ }, ({ path, importer }) =>
      importer === guestFile('optional') ? { path: fileURLToPath(new URL(path, guest)), sideEffects: false } : undefined,
    );
  },
});

const options = (entry: string, directory: string) =>
  ({
    entryPoints: [guestFile('handler')],
    inject: [guestFile('optional')],
    absWorkingDir: directory,
    outfile: 'function.js',
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    conditions: ['worker', 'browser', 'import'],
    target: 'es2023',
    supported: { 'async-await': false, 'async-generator': false, 'for-await': false, 'using': false },
    define: { 'process.env.NODE_ENV': '"production"' },
    minifySyntax: true,
    charset: 'utf8',
    legalComments: 'none',
    sourcemap: 'external',
    sourcesContent: false,
    logLevel: 'silent',
    plugins: [resolver(entry)],
  }) satisfies BuildOptions;

/** For each stretch of lines of the bundle, the file of the function that it comes from. */
function linesOf(code: string, payload: SourceMapPayload, directory: string): Run[] {
  const map = new SourceMap(payload);
  const runs: Run[] = [];
  for (const [at, text] of code.split('\n').entries()) {
    const entry = map.findEntry(at, text.length - text.trimStart().length);
    const file = 'originalSource' in entry && entry.generatedLine === at ? relative(directory, resolve(directory, entry.originalSource)) : null;
    const own = file !== null && !file.startsWith('..') && !isAbsolute(file) && !file.includes('node_modules') ? file : null;
    const offset = own !== null && 'originalLine' in entry ? entry.originalLine - at : 0;
    const last = runs.at(-1);
    if (last === undefined || last[1] !== own || last[2] !== offset) runs.push([at + 1, own, offset]);
  }
  return runs;
}

/**
 * Bundles `entry`, an absolute path, with the runtime for functions. Paths in messages and `lines` are relative to `directory`.
 *
 * @throws Problem `build-failed`, with the place of each error
 */
export async function bundle(entry: string, directory: string): Promise<Bundle> {
  const { build } = await import('esbuild');
  try {
    const { outputFiles, metafile } = await build(options(entry, directory));
    const textOfFile = (ending: string): string => outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? '';
    const code = textOfFile('function.js');
    const imported = metafile.outputs['function.js']?.imports.filter(({ external, path }) => external && path.includes(':')) ?? [];
    const imports = [...new Set(imported.map(({ path }) => path))].sort();
    return { code, lines: linesOf(code, JSON.parse(textOfFile('function.js.map')), directory), imports };
  } catch (error) {
    const errors = (error as { errors?: Message[] }).errors;
    if (!Array.isArray(errors) || errors.length === 0) throw error;
    const problems = errors.map(textOf);
    throw new Problem('build-failed', `cannot build ${relative(directory, entry)}: ${problems[0]}`, problems);
  }
}
