/**
 * What sidecars cost, in CPU time of one thread, beside the same function without; then whether memory stays flat, and how
 * long the first request takes that asks a node for a sidecar which was not linked before.
 *
 * Usage: node bin/node26.js bench/sidecar.ts [rounds] [executions] [first requests]
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ask, type Named, runnerOf } from '../test/instance/sidecars.ts';
import { cleanUp, fixture, startTestNode } from '../test/system/node.ts';
import { median, printMachine } from './lib.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const rounds = Number(process.argv[2] ?? 15);
const executions = Number(process.argv[3] ?? 100_000);
const firsts = Number(process.argv[4] ?? 15);
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
  ['companion in Rust, execution scope', [{ fixture: 'rust-watch' }]],
  ['companion that may wait (a clock)', [{ fixture: 'companion' }]],
  ['middleware and companion in Rust', [{ fixture: 'rust-gate' }]],
  ['middleware in TypeScript (QuickJS)', [{ fixture: 'js-maintenance', limits: { memoryMib: 64, cpuMs: 200 } }]],
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
      // What the variant before left behind is not this one's cost.
      collect();
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
    collect();
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

/** Each round adds another version of the recorder and asks for that one: nobody has linked it with the function before. */
async function debugging(): Promise<void> {
  const node = await startTestNode({ gateways: 1 });
  const json = async (promised: Promise<Response>): Promise<Record<string, string>> => (await (await promised).json()) as Record<string, string>;
  const { digest } = await json(node.api('PUT', '/v1/modules', fixture('../sidecars/recorder')));
  const { token = '' } = await json(node.api('POST', '/v1/tokens', { scopes: ['debug:default'] }));
  const cases = ['hello', 'js-hono'].flatMap((component) => (['resident', 'on-demand'] as const).map((fleet) => [component, fleet] as const));
  for (const [at, [component, fleet]] of cases.entries()) {
    const name = `${component}-${fleet}`;
    await node.deploy(name, component, { capacity: { fleet } });
    const timed = async (headers: Record<string, string>): Promise<number> => {
      const before = performance.now();
      const response = await fetch(`${node.url}/${name}/`, { headers });
      await response.text();
      if (response.status !== 200) throw new Error(`${response.status}`);
      return performance.now() - before;
    };
    for (let i = 0; i < 200; i++) await timed({});
    const times: { plain: number; first: number; second: number }[] = [];
    for (let i = 0; i < firsts; i++) {
      const version = `${at + 1}.0.${i}`;
      await json(node.api('POST', '/v1/sidecars', { name: 'recorder', version, module: digest, debug: true }));
      const headers = { 'nacelle-debug': `recorder@${version}`, 'nacelle-debug-token': token };
      times.push({ plain: await timed({}), first: await timed(headers), second: await timed(headers) });
    }
    const shown = (of: 'plain' | 'first' | 'second'): string => median(times.map((time) => time[of])).toFixed(1);
    const longest = Math.max(...times.map(({ first }) => first)).toFixed(1);
    console.log(
      `${component}, ${fleet}: the first request for debugging takes ${shown('first')} ms (at most ${longest}), the next one ${shown('second')} ms, a plain one ${shown('plain')} ms`,
    );
  }
  await node.end();
  cleanUp();
}

printMachine();
await cost();
await memory();
await debugging();
