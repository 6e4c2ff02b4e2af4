import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Program, parseSync } from 'oxc-parser';

/** A file of ours, parsed. `path` is relative to the repository with forward slashes; `imports` are the repository's files it names, type imports and `new URL(…, import.meta.url)` of threads included. */
export type Source = { path: string; text: string; program: Program; imports: string[] };

const WORKER_URL = /new URL\(\s*'(\.[^']+\.ts)',\s*import\.meta\.url/g;

function importsOf(path: string, text: string, parsed: ReturnType<typeof parseSync>): string[] {
  const specifiers = [
    ...parsed.module.staticImports.map((entry) => entry.moduleRequest.value),
    ...parsed.module.staticExports.flatMap((statement) => statement.entries.map((entry) => entry.moduleRequest?.value)),
    ...parsed.module.dynamicImports.map(({ moduleRequest }) => text.slice(moduleRequest.start + 1, moduleRequest.end - 1)),
    ...[...text.matchAll(WORKER_URL)].map((match) => match[1]),
  ];
  const local = specifiers.filter((specifier) => specifier?.startsWith('.')) as string[];
  return [...new Set(local.map((specifier) => join(dirname(path), specifier)))];
}

/** Parses one file's text. Throws an Error that names the file if it is not TypeScript. */
export function parseSource(path: string, text: string): Source {
  const parsed = parseSync(path, text);
  if (parsed.errors.length > 0) throw new Error(`cannot parse ${path}: ${parsed.errors[0]?.message}`);
  return { path, text, program: parsed.program, imports: importsOf(path, text, parsed) };
}

/** All TypeScript of the repository at `root` that is written by hand. */
export function readSources(root: string): Source[] {
  const paths = globSync(['host/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'], { cwd: root, exclude: ['bench/out/**'] });
  return paths.sort().map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')));
}
