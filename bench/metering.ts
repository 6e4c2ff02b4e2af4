/**
 * What metering costs: the same core modules as they come, metered, and metered with all writes marked; the best of many runs
 * of each, in turns. Prints milliseconds, the ratios, and how often `tick` is reached. `node bin/node26.js bench/metering.ts [NAME]…`
 */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from '@bytecodealliance/jco';
import { rewriteCore } from '../host/module/core/rewrite.ts';
import { printMachine } from './lib.ts';

type Run = (parameter: number) => number;

const workloads: [name: string, parameter: number, what: string][] = [
  ['sha256', 20, 'SHA-256 of 1.25 MiB'],
  ['sieve', 2, 'sieve up to 1,000,000, twice'],
  ['matrix', 1, '200 × 200 matrix product'],
  ['fib', 31, 'fib(31)'],
  ['tail', 5_000_000, '5 M mutual tail calls'],
  ['indirect', 5_000_000, '5 M calls through a table'],
  ['calls', 1_000_000, '2 M calls of short loops'],
  ['fill', 1_000_000, '1 M fills and copies of 32 bytes'],
  ['copy', 1_000_000, '1 M fills and copies of 0 to 255 bytes'],
  ['bytes', 20, '20 loops that set 1 MiB byte by byte'],
  ['move', 20, '20 loops that copy 1 MiB by 8 bytes'],
  ['records', 20, '20 loops that write 32,768 records of 8 fields'],
  ['large', 2, '2 fills and copies of 8 MiB'],
];

const rounds = 25;
let ticks = 0;

const instantiate = (bytes: Uint8Array): Run => {
  const nacelle = {
    tick: () => {
      ticks++;
      return performance.now() < 0 ? 1 : 0;
    },
    yield: () => {},
    grow: () => 1,
  };
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), { nacelle });
  return instance.exports.run as Run;
};

const timed = (run: Run, parameter: number): number => {
  const start = performance.now();
  run(parameter);
  return performance.now() - start;
};

const bench = async (name: string, parameter: number, what: string): Promise<void> => {
  const wasm = await parse(readFileSync(new URL(`metering/${name}.wat`, import.meta.url), 'utf8'));
  const runs = [wasm, rewriteCore(wasm, { markedPagesMin: Number.POSITIVE_INFINITY }).bytes, rewriteCore(wasm, { markedPagesMin: 0 }).bytes].map(instantiate);
  const best = runs.map(() => Number.POSITIVE_INFINITY);
  if (new Set(runs.map((run) => run(parameter))).size > 1) throw new Error(`${name}: the rewritten module gives another result`);
  for (let round = 0; round < rounds; round++) {
    for (const [index, run] of runs.entries()) best[index] = Math.min(best[index] ?? 0, timed(run, parameter));
  }
  ticks = 0;
  runs[1]?.(parameter);
  const [plain = 0, metered = 0, marked = 0] = best;
  const perTickUs = ((metered * 1_000) / Math.max(1, ticks)).toFixed(0);
  console.log(
    `${name.padEnd(9)} ${plain.toFixed(2).padStart(8)} ms → ${metered.toFixed(2).padStart(8)} ms  ${(metered / plain).toFixed(2)}× → ${marked.toFixed(2).padStart(8)} ms  ${(marked / plain).toFixed(2)}×  tick every ${perTickUs.padStart(3)} µs  ${what}`,
  );
};

/** How fast a large core module is rewritten: the largest that is installed here. */
const benchRewriting = (): void => {
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const largest = globSync('node_modules/@bytecodealliance/**/*.wasm', { cwd })
    .map((file) => new Uint8Array(readFileSync(cwd + file)))
    .filter((bytes) => bytes[6] === 0)
    .sort((a, b) => b.length - a.length)[0];
  if (!largest) return;
  let bestMs = Number.POSITIVE_INFINITY;
  let bytesOut = 0;
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    bytesOut = rewriteCore(largest).bytes.length;
    bestMs = Math.min(bestMs, performance.now() - start);
  }
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  console.log(`rewriting ${bestMs.toFixed(0).padStart(8)} ms for ${mib(largest.length)} MiB of core wasm, which become ${mib(bytesOut)} MiB`);
};

printMachine();
for (const [name, parameter, what] of workloads) if (process.argv.length === 2 || process.argv.includes(name)) await bench(name, parameter, what);
if (process.argv.length === 2 || process.argv.includes('rewriting')) benchRewriting();
