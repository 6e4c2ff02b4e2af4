import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { buildComponent } from '../../toolchain/component.ts';
import { type Command, UsageError } from '../command.ts';
import { isSource, nameOf, readTarget } from '../manifest-file.ts';
import type { Options } from '../options.ts';
import { print, progress } from '../terminal.ts';

/** The module that is named, or that the manifest names. */
function sourceOf(path: string, options: Options): string {
  const { source } = readTarget(path, options);
  if (source === undefined)
    throw new UsageError(`there is no source to build in ${path}: name a TypeScript or JavaScript module, or set "source" in the manifest`);
  if (!isSource(source)) throw new UsageError(`cannot build ${source}: it must be a TypeScript or JavaScript module`);
  return source;
}

/** Makes a component of a TypeScript or JavaScript module. */
export const build: Command = {
  name: 'build',
  summary: 'Build a component of a TypeScript or JavaScript module. Types are not checked: tsc does that.',
  parameters: ['[DIR | nacelle.jsonc | SOURCE]'],
  local: true,
  options: {
    output: { type: 'string', short: 'o', value: 'FILE', description: 'Where to write it. Default: build/NAME.wasm.' },
  },
  run: async ({ parameters, options, terminal, directory }) => {
    const source = sourceOf(resolve(directory, parameters[0] ?? '.'), options);
    const file = resolve(directory, options.text('output') ?? join('build', `${nameOf(source)}.wasm`));
    progress(terminal, `building ${relative(directory, source)}`);
    try {
      const { component, imports } = await buildComponent(source, directory);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, component);
      progress(terminal, '');
      print(terminal, { file, bytes: component.length, imports }, ({ bytes }) => `${relative(directory, file)}  ${bytes} bytes`);
    } finally {
      progress(terminal, '');
    }
  },
};
