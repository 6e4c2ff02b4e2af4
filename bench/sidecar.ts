/**
 * What sidecars cost, in CPU time of one thread, beside the same function without; then whether memory stays flat.
 *
 * Usage: node --expose-gc bin/node26.js bench/sidecar.ts [rounds] [executions]
 */
import { ask, type Named, runnerOf } from '../test/instance/sidecars.ts';
import { median, printMachine } from './lib.ts';

const rounds = Number(process.argv[2] ?? 15);
const executions = Number(process.argv[3] ?? 100_000);
const PER_ROUND = 1500;
const WARM_ROUNDS = 3;

const shared = { scope: 'function' } as const;
const variants: [name: string, sidecars: Named[]][] = [
  ['no sidecar', []],
  ['middleware, execution scope', [{ fixture: 'pass' }]],
  ['two middlewares, execution scope', [{ fixture: 'pass' }, { fixture: 'pass' }]],
  ['middleware, function scope', [{ fixture: 'pass', ...shared, sharedAs: 'pass' }]],
  ['middleware over next, execution scope', [{ fixture: 'censor' }]],
  ['companion, execution scope', [{ fixture: 'quiet' }]],
  ['companion, function scope', [{ fixture: 'quiet', ...shared, sharedAs: 'quiet' }]],
];

async function cost(): Promise<void> {
  const runners = await Promise.all(
    variants.map(async ([name, sidecars]) => ({
      name,
      runner: await runnerOf('hello', sidecars, sidecars.length > 0 ? {} : { composition: undefined }),
      times: [] as number[],
    })),
  );
  for (let round = 0; round < rounds + WARM_ROUNDS; round++)
    for (const { runner, times } of runners) {
      const before = process.cpuUsage();
      for (let i = 0; i < PER_ROUND; i++) await ask(runner);
      const { user, system } = process.cpuUsage(before);
      if (round >= WARM_ROUNDS) times.push((user + system) / PER_ROUND);
    }
  const plain = median(runners[0]?.times ?? []);
  for (const { name, times, runner } of runners) {
    console.log(`${name.padEnd(38)} ${median(times).toFixed(1).padStart(6)} µs an execution, ${(median(times) - plain).toFixed(1)} more than without`);
    runner.close();
  }
}

async function memory(): Promise<void> {
  const runner = await runnerOf('sidecar/shop', [{ fixture: 'pass' }, { fixture: 'basket' }, { fixture: 'quiet' }]);
  const mib = (): string => {
    (globalThis as { gc?: () => void }).gc?.();
    const { rss, heapUsed } = process.memoryUsage();
    return `${(rss / 1048576).toFixed(0)} MiB, heap ${(heapUsed / 1048576).toFixed(1)} MiB`;
  };
  console.log(`${executions} executions with a middleware, a provider and a companion:`);
  for (let done = 0; done < executions; done += executions / 5) {
    for (let i = 0; i < executions / 5; i++) await ask(runner);
    console.log(`  after ${String(done + executions / 5).padStart(7)}: ${mib()}, ${runner.instances} instances`);
  }
  runner.close();
}

printMachine();
await cost();
await memory();
