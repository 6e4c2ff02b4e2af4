import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ask, type Named, runnerOf } from './sidecars.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const sharedBy = (fixture: string): Named => ({ fixture, scope: 'function', sharedAs: fixture });
const compositions: [scope: string, main: string, sidecars: Named[]][] = [
  ['execution', 'sidecar/shop', [{ fixture: 'pass' }, { fixture: 'basket' }, { fixture: 'quiet' }]],
  ['function', 'hello', [sharedBy('pass'), sharedBy('turnstile'), sharedBy('quiet')]],
];

for (const [scope, main, sidecars] of compositions)
  test(`Group: memory is flat over executions with three sidecars, ${scope} scope`, async () => {
    const runner = await runnerOf(main, sidecars);
    const heapMibAfter = async (executions: number): Promise<number> => {
      for (let i = 0; i < executions; i++) assert.is((await ask(runner)).end.failure, undefined);
      collect();
      return process.memoryUsage().heapUsed / 1048576;
    };
    const warm = await heapMibAfter(3000);
    const grown = (await heapMibAfter(6000)) - warm;
    assert.ok(grown < 0.5, `6,000 executions left ${grown} MiB`);
    assert.is(runner.instances, 1);
    runner.close();
  });

test.run();
