/**
 * What it takes to make an uploaded component ready, to instantiate it and to call it: this linker beside the glue of
 * `jco transpile`, in one run.
 *
 * Usage: node bin/node26.js bench/linker.ts [fixture …]
 */
import { readFileSync } from 'node:fs';
import { transpile } from '@bytecodealliance/jco';
import { Linker } from '../host/component/link.ts';
import { Instance } from '../host/instance/instance.ts';
import { prepare } from '../host/module/prepare.ts';
import { hostInterfaces } from '../host/wasi/p2/index.ts';
import { grant, initialPages, linkerOf, load, poolOf, ports, send } from '../test/instance/harness.ts';
import { median, printMachine } from './lib.ts';

const ROUNDS = 5;
const INSTANCES = 200;
const CALLS = 20_000;
const limits = { memoryPages: 4096, cpuMs: 60_000 };

async function times(rounds: number, action: () => unknown): Promise<number> {
  const taken: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const started = performance.now();
    await action();
    taken.push(performance.now() - started);
  }
  return median(taken);
}

async function measure(name: string): Promise<Record<string, string>> {
  const bytes = new Uint8Array(readFileSync(new URL(`../fixtures/${name}.wasm`, import.meta.url)));
  const transpiled = await transpile(bytes, { name: 'component', instantiation: { tag: 'async' }, noNodejsCompat: true } as never);
  const glue = Object.entries(transpiled.files as Record<string, Uint8Array>).find(([file]) => file.endsWith('.js'))?.[1].length ?? 0;
  const jcoMs = await times(ROUNDS, () => transpile(bytes, { name: 'component', instantiation: { tag: 'async' }, noNodejsCompat: true } as never));
  const ourMs = await times(ROUNDS, () => prepare(bytes));
  const loaded = await load(name);
  const linker = linkerOf(loaded);
  const linkMs = await times(ROUNDS, () => new Linker(loaded.artifact.plan, loaded.modules, hostInterfaces));
  const instantiateUs =
    (await times(ROUNDS, async () => {
      for (let i = 0; i < INSTANCES; i++) await Instance.prepare(linker, limits, initialPages(loaded.artifact), grant, ports()).initialise();
    })) *
    (1000 / INSTANCES);
  return {
    component: name,
    'jco transpile': `${jcoMs.toFixed(0)} ms`,
    'its glue': `${(glue / 1024).toFixed(0)} KB`,
    'our preparation': `${ourMs.toFixed(1)} ms`,
    'linker, once a thread': `${linkMs.toFixed(2)} ms`,
    instantiate: `${instantiateUs.toFixed(0)} µs`,
    ...(await calls(loaded)),
  };
}

async function calls(loaded: Awaited<ReturnType<typeof load>>): Promise<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const mode of ['reuse', 'pristine'] as const) {
    const pool = poolOf(loaded, { mode, limits });
    for (let i = 0; i < CALLS; i++) await send(pool, loaded.handler);
    const us =
      (await times(ROUNDS, async () => {
        for (let i = 0; i < CALLS; i++) await send(pool, loaded.handler);
      })) *
      (1000 / CALLS);
    result[`call, ${mode}`] = `${us.toFixed(1)} µs`;
    pool.close();
  }
  return result;
}

printMachine();
const names = process.argv.slice(2);
const rows: Record<string, string>[] = [];
for (const name of names.length > 0 ? names : ['hello', 'rust-std', 'rust-wstd']) rows.push(await measure(name));
console.table(rows);
