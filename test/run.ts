// `npm test [-- PART-OF-A-PATH…]`: runs every test/**/*.test.ts in its own process, two at a time, and counts.
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { FileResult } from './runner/output.ts';
import { killRunning, runFile } from './runner/process.ts';

const slowestShown = 10;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    root: { type: 'string', default: fileURLToPath(new URL('.', import.meta.url)) },
    'timeout-ms': { type: 'string', default: '300000' },
    jobs: { type: 'string', default: '2' },
  },
});

function findFiles(root: string, filters: string[]): string[] {
  const files = globSync('**/*.test.ts', { cwd: root }).sort();
  return files.filter((file) => filters.length === 0 || filters.some((filter) => `test/${file}`.includes(filter)));
}

function report(result: FileResult): void {
  const counts = `${result.passed} passed, ${result.failed} failed${result.skipped ? `, ${result.skipped} skipped` : ''}`;
  console.log(`${result.failed ? 'FAIL' : 'ok  '} ${result.file} (${counts}, ${result.seconds.toFixed(1)} s)`);
  if (result.failed === 0) return;
  if (result.problem) console.log(`  ${result.file} ${result.problem}`);
  console.log(result.output.trimEnd());
}

async function runAll(root: string, files: string[], timeoutMs: number, jobs: number): Promise<FileResult[]> {
  const waiting = [...files];
  const results: FileResult[] = [];
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const result = { ...(await runFile(join(root, file), timeoutMs)), file };
      results.push(result);
      report(result);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  return results;
}

/** Those that decide how long a run takes; not worth a line in a run of few. */
function printSlowest(results: FileResult[]): void {
  if (results.length < 2 * slowestShown) return;
  console.log(`\nslowest of ${results.length} files:`);
  for (const { file, seconds } of results.toSorted((a, b) => b.seconds - a.seconds).slice(0, slowestShown))
    console.log(`${seconds.toFixed(1).padStart(6)} s  ${file}`);
}

function summarise(results: FileResult[]): void {
  const sum = (count: (result: FileResult) => number): number => results.reduce((total, result) => total + count(result), 0);
  const [passed, failed, skipped] = [sum((r) => r.passed), sum((r) => r.failed), sum((r) => r.skipped)];
  if (skipped > 0) console.log(`\n!!! ${skipped} skipped:`);
  for (const { file, notes } of results) for (const note of notes) console.log(`!!! ${file}: ${note}`);
  if (failed > 0)
    console.log(
      `\nfailed: ${results
        .filter((result) => result.failed > 0)
        .map((result) => result.file)
        .join(' ')}`,
    );
  console.log(`\n${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`);
  process.exitCode = failed === 0 ? 0 : 1;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    killRunning();
    process.exit(130);
  });
}
const files = findFiles(values.root, positionals);
if (files.length === 0) {
  console.log(`no test file matches ${positionals.join(', ') || values.root}\n\n0 passed, 1 failed`);
  process.exit(1);
}
const results = await runAll(values.root, files, Number(values['timeout-ms']), Number(values.jobs));
printSlowest(results);
summarise(results);
