import { type ChildProcess, spawn } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { type FileResult, readResult } from './output.ts';

const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;
const running = new Set<ChildProcess>();

function killTree(child: ChildProcess): void {
  try {
    process.kill(-(child.pid as number), 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

/** Ends all that `runFile` has begun, with the processes that they began. */
export function killRunning(): void {
  for (const child of running) killTree(child);
}

/** Runs one test file in its own process group on this runtime; after `timeoutMs` the group is killed. */
export function runFile(file: string, timeoutMs: number): Promise<FileResult> {
  const startMs = performance.now();
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, NO_COLOR: '1' },
  });
  running.add(child);
  const chunks: Buffer[] = [];
  let bytes = 0;
  let timedOut = false;
  const keep = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes <= OUTPUT_BYTES_MAX) chunks.push(chunk);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const timer = setTimeout(() => {
    timedOut = true;
    killTree(child);
  }, timeoutMs);
  return new Promise((resolve) => {
    child.on('exit', () => killTree(child));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      const output = Buffer.concat(chunks).toString();
      resolve(readResult(file, output, { code, signal, timedOut }, (performance.now() - startMs) / 1000, timeoutMs));
    });
  });
}
