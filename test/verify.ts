// `npm run verify`: everything about the sources that needs no run of the product. `--tighten` lowers the length ratchet to what is reached.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { cycleProblems, layerProblems } from './tidy/layers.ts';
import { lengthProblems, measure, type Ratchet, tighten } from './tidy/lengths.ts';
import { readSources } from './tidy/sources.ts';

type Outcome = { ok: boolean; output: string };
type Check = { name: string; run: () => Outcome | Promise<Outcome> };

const root = fileURLToPath(new URL('..', import.meta.url));
const ratchetFile = new URL('./tidy/ratchet.json', import.meta.url);
const allowed = JSON.parse(readFileSync(ratchetFile, 'utf8')) as Ratchet;

function tool(script: string, ...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [`node_modules/${script}`, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    child.on('error', (error) => resolve({ ok: false, output: error.message }));
    child.on('close', (code) => resolve({ ok: code === 0, output: Buffer.concat(chunks).toString() }));
  });
}

const listed = (problems: string[]): Outcome => ({ ok: problems.length === 0, output: problems.join('\n') });

const checks: Check[] = [
  { name: 'types', run: () => tool('typescript/bin/tsc', '--noEmit') },
  { name: 'lint', run: () => tool('@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.') },
  { name: 'layers', run: () => listed(layerProblems(readSources(root))) },
  { name: 'cycles', run: () => listed(cycleProblems(readSources(root))) },
  { name: 'dead code', run: () => tool('knip/bin/knip.js', '--no-progress') },
  { name: 'lengths', run: () => listed(lengthProblems(readSources(root), allowed)) },
];

async function runCheck({ name, run }: Check): Promise<boolean> {
  const startMs = performance.now();
  const { ok, output } = await Promise.resolve()
    .then(run)
    .catch((error: Error) => ({ ok: false, output: error.message }));
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`);
  if (!ok) console.log(output.trimEnd());
  return ok;
}

if (process.argv.includes('--tighten')) {
  writeFileSync(ratchetFile, `${JSON.stringify(tighten(allowed, measure(readSources(root)).reached))}\n`);
}
let passed = 0;
for (const check of checks) passed += Number(await runCheck(check));
console.log(`\n${passed} passed, ${checks.length - passed} failed`);
process.exit(passed === checks.length ? 0 : 1);
