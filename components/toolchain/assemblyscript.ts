import { readFileSync } from 'node:fs';
import { parse, print } from '@bytecodealliance/jco';
import { componentOf } from './wat.ts';

type Asc = {
  main(args: string[], options: { readFile(name: string): string | null; writeFile(name: string, bytes: Uint8Array): void }): Promise<{ error: Error | null }>;
};

const HANDLER = '(export "handle"';

/** A component of one AssemblyScript module without a runtime; its export `handle` becomes the handler. */
export async function componentOfAssemblyScript(file: URL): Promise<Uint8Array> {
  const { main } = (await import('assemblyscript/asc' as string)) as Asc;
  let core: Uint8Array | undefined;
  const { error } = await main(['function.ts', '--outFile', 'out.wasm', '--runtime', 'stub', '--use', 'abort=', '-O2'], {
    readFile: (name) => (name === 'function.ts' ? readFileSync(file, 'utf8') : null),
    writeFile: (_name, bytes) => {
      core = bytes;
    },
  });
  if (error !== null || core === undefined) throw new Error(`cannot compile ${file}: ${error?.message}`);
  const text = (await print(core)).replace(HANDLER, '(export "wasi:http/incoming-handler@0.2.3#handle"');
  return componentOf(await parse(text));
}
