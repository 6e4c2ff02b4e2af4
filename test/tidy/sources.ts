import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Program, parseSync } from 'oxc-parser';

/**
 * A file of ours, parsed. `path` is relative to the repository with forward slashes. `imports` are the repository's files that it
 * names, `new URL(…, import.meta.url)` of threads included; `loads` are those of them that are there at run time, types left out.
 */
export type Source = { path: string; text: string; program: Program; imports: string[]; loads: string[] };

type Named = { specifier: string | undefined; type: boolean };

const WORKER_URL = /new URL\(\s*'(\.[^']+\.ts)',\s*import\.meta\.url/g;

const onlyTypes = (entries: readonly { isType: boolean }[]): boolean => entries.length > 0 && entries.every((entry) => entry.isType);

function namedBy(text: string, { module }: ReturnType<typeof parseSync>): Named[] {
  return [
    ...module.staticImports.map(({ moduleRequest, entries }) => ({ specifier: moduleRequest.value, type: onlyTypes(entries) })),
    ...module.staticExports.flatMap(({ entries }) => entries.map(({ moduleRequest, isType }) => ({ specifier: moduleRequest?.value, type: isType }))),
    ...module.dynamicImports.map(({ moduleRequest }) => ({ specifier: text.slice(moduleRequest.start + 1, moduleRequest.end - 1), type: false })),
    ...[...text.matchAll(WORKER_URL)].map((match) => ({ specifier: match[1], type: false })),
  ];
}

const localFiles = (path: string, named: readonly Named[]): string[] => {
  const local = named.flatMap(({ specifier }) => (specifier?.startsWith('.') ? [join(dirname(path), specifier)] : []));
  return [...new Set(local)];
};

/** Parses one file's text. Throws an Error that names the file if it is not TypeScript. */
export function parseSource(path: string, text: string): Source {
  const parsed = parseSync(path, text);
  if (parsed.errors.length > 0) throw new Error(`cannot parse ${path}: ${parsed.errors[0]?.message}`);
  const named = namedBy(text, parsed);
  const loads = localFiles(
    path,
    named.filter(({ type }) => !type),
  );
  return { path, text, program: parsed.program, imports: localFiles(path, named), loads };
}

/** All TypeScript of the repository at `root` that is written by hand. */
export function readSources(root: string): Source[] {
  const paths = globSync(['host/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'], { cwd: root, exclude: ['bench/out/**'] });
  return paths.sort().map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')));
}
