import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { edgeOf, rolloutIs, serves, textOf, tokenOf } from './edge-harness.ts';
import { cleanUp, freshDirectory, startTestNode } from './node.ts';

test.after(cleanUp);

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'docs/edges.md'), 'utf8');
const section = page.slice(page.indexOf('## Versions in stages'), page.indexOf('## Taking back'));
const commands = (/^```sh\n([\s\S]*?)^```$/m.exec(section)?.[1] ?? '').trim().split('\n');
const manifest = JSON.parse((/^```jsonc\n([\s\S]*?)^```$/m.exec(section)?.[1] ?? '').replaceAll(/\/\/.*$/gm, '')) as { rollout: object };
const main = join(root, 'host/cli/main.ts');

const run = async (command: string, env: Record<string, string>, cwd: string): Promise<string> => {
  const line = command.replace(/^nacelle /, `"${process.execPath}" --disable-warning=ExperimentalWarning "${main}" `);
  const child = spawn('sh', ['-c', line], { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const [code] = await once(child, 'close');
  assert.is(code, 0, `${command}: ${output}`);
  return output;
};

test('docs/edges.md: a rollout, by the commands of the page', async () => {
  const origin = await startTestNode({ gateways: 1 });
  const token = await tokenOf(origin, 'edge');
  const edge = await edgeOf(origin, token, 'canary', 'tier=canary');
  await origin.deploy('orders', 'hello', { rollout: manifest.rollout });
  await serves(edge, '/orders/', 'Hello from nacelle!\n');
  const directory = freshDirectory();
  copyFileSync(join(root, 'fixtures/settings.wasm'), join(directory, 'orders.wasm'));
  const outputs: string[] = [];
  assert.is(commands.length, 6);
  for (const command of commands) {
    outputs.push(await run(command, { NACELLE_URL: origin.control, NACELLE_TOKEN: origin.token }, directory));
    if (outputs.length === 1) await rolloutIs(origin, 'orders', 'the canary to serve it', ({ waiting }) => waiting === 'somebody has to advance it');
  }
  const [deployed, shown, advanced, aborted, versions, decisions] = outputs as [string, string, string, string, string, string];
  assert.match(deployed, 'orders@2');
  assert.match(deployed, 'in rollout: nacelle rollout show orders');
  assert.match(shown, '[canary tier=canary] → 25 % of the edges → all');
  assert.match(shown, 'somebody has to advance it');
  assert.match(advanced, 'canary tier=canary → [25 % of the edges] → all');
  assert.match(aborted, 'aborted: aborted by hand');
  assert.match(versions, /^1 +100 %/m);
  assert.match(decisions, 'stage 1: canary');
  await serves(edge, '/orders/', 'Hello from nacelle!\n');
  assert.is(await textOf(`${origin.url}/orders/`), 'Hello from nacelle!\n');
  for (const node of [edge, origin]) assert.is(await node.end(), 0);
});

test.run();
