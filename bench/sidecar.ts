// What sidecars cost, in CPU time of one thread: `node bench/sidecar.ts [rounds]`. Variants run in turns; medians are printed.
import { ask, type Named, runnerOf } from '../test/instance/sidecars.ts';

const rounds = Number(process.argv[2] ?? 15);
const perRound = 1500;

const variants: [name: string, sidecars: Named[]][] = [
  ['no sidecar', []],
  ['one middleware, pristine', [{ fixture: 'pass' }]],
  ['two middlewares, pristine', [{ fixture: 'pass' }, { fixture: 'pass' }]],
  ['companion, execution scope', [{ fixture: 'quiet' }]],
];

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const runners = await Promise.all(
  variants.map(async ([name, sidecars]) => ({
    name,
    runner: await runnerOf('hello', sidecars, sidecars.length > 0 ? {} : { composition: undefined }),
    times: [] as number[],
  })),
);
for (let round = 0; round < rounds + 3; round++)
  for (const { runner, times } of runners) {
    const before = process.cpuUsage();
    for (let i = 0; i < perRound; i++) await ask(runner);
    const { user, system } = process.cpuUsage(before);
    if (round >= 3) times.push((user + system) / perRound);
  }
const [base] = runners;
const plain = median(base?.times ?? []);
for (const { name, times } of runners)
  console.log(`${name.padEnd(32)} ${median(times).toFixed(1)} µs an execution, ${(median(times) - plain).toFixed(1)} more than without`);
