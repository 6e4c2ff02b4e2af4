/**
 * What it takes from the bytes of a component to its artifact: reading and checking, rewriting, and the whole in a
 * worker that has to be started first and in one that is there.
 *
 * Usage: node bin/node26.js bench/preparation.ts [fixture or FILE.wasm …]
 */
import { readFileSync } from 'node:fs';
import { readComponent } from '../host/component/elaborate.ts';
import { checkImports } from '../host/module/check-imports.ts';
import { hostSignatures } from '../host/module/host-signatures.ts';
import { prepare } from '../host/module/prepare.ts';
import { Preparer } from '../host/module/preparer.ts';
import { hostInterfaces } from '../host/wasi/p2/index.ts';
import { median, printMachine } from './lib.ts';

const ROUNDS = 7;
const implemented = new Map([...hostInterfaces].map(([name, { functions }]) => [name, Object.keys(functions)] as const));

async function medianMs(action: () => unknown): Promise<string> {
  const taken: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    await action();
    taken.push(performance.now() - started);
  }
  return `${median(taken).toFixed(1)} ms`;
}

async function measure(name: string): Promise<Record<string, string>> {
  const file = name.endsWith('.wasm') ? name : new URL(`../fixtures/${name}.wasm`, import.meta.url);
  const load = (): Uint8Array => new Uint8Array(readFileSync(file));
  const bytes = load();
  const cold = await medianMs(async () => {
    const preparer = new Preparer({ implemented });
    await preparer.prepare(name, load);
    await preparer.close();
  });
  const preparer = new Preparer({ implemented });
  const warm = await medianMs(() => preparer.prepare(name, load));
  await preparer.close();
  return {
    component: name.replace(/.*\//, ''),
    size: `${(bytes.length / 1024).toFixed(0)} KiB`,
    'read and check': await medianMs(() => checkImports(readComponent(bytes), hostSignatures(), implemented)),
    whole: await medianMs(() => prepare(bytes, implemented)),
    'worker, to be started': cold,
    'worker, warm': warm,
  };
}

printMachine();
const names = process.argv.slice(2);
const rows: Record<string, string>[] = [];
for (const name of names.length > 0 ? names : ['hello', 'rust-std', 'rust-wstd', 'js-hello', 'js-hono']) rows.push(await measure(name));
console.table(rows);
