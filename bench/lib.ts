// What benches share: the machine, processes that are started and ended, load by wrk, medians.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 10;
const TERMINATE_MS = 5_000;

/** Prints the machine, its load before the run, and the versions of what is measured. */
export function printMachine(): void {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  const cpu = cpus()[0]?.model.trim() ?? 'unknown processor';
  const load = loadavg().map((value) => value.toFixed(1));
  console.log(`${availableParallelism()} × ${cpu}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, load ${load.join(' ')}`);
  console.log(`nacelle ${version}, Node ${process.version}, V8 ${process.versions.v8}`);
}

/** The number of a flag `--name=N`, or `otherwise`. */
export function option(name: string, otherwise: number): number {
  const found = process.argv.find((argument) => argument.startsWith(`--${name}=`));
  return found === undefined ? otherwise : Number(found.slice(name.length + 3));
}

/** The middle value; the mean of the two middle ones if there is an even number. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** What a command prints for `--version`, or undefined where it is not installed. */
export function versionOf(command: string): string | undefined {
  const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().split('\n')[0] : undefined;
}

/** A port on 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const folders: string[] = [];
const children = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is removed when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'nacelle-bench-'));
  folders.push(folder);
  return folder;
}

/** A server in a process of its own. */
export type Server = { url: string; pid: number; stop(): Promise<void> };

/** Whether `url` answers with a status below 400. */
async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1_000) });
    await response.arrayBuffer();
    return response.status < 400;
  } catch {
    return false;
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), TERMINATE_MS);
  await ended;
  clearTimeout(timer);
}

/** Starts a server and waits until `readyUrl` answers. Its output is kept and shown only if it does not come up. */
export async function startServer(command: string, args: readonly string[], readyUrl: string, timeoutMs = 30_000): Promise<Server> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output = (output + chunk).slice(-10_000)));
  children.add(child);
  child.once('exit', () => children.delete(child));
  const deadline = performance.now() + timeoutMs;
  while (!(await answers(readyUrl))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await end(child);
      throw new Error(`cannot start ${command} ${args.join(' ')}: no answer from ${readyUrl} within ${timeoutMs} ms\n${output}`);
    }
    await sleep(POLL_MS);
  }
  return { url: readyUrl, pid: child.pid!, stop: () => end(child) };
}

/** What wrk measured. `failed` counts answers that are not 2xx or 3xx, and socket errors. */
export type Load = { perSecond: number; p50Ms: number; p99Ms: number; requests: number; failed: number };

const UNIT_MS: Record<string, number> = { us: 0.001, ms: 1, s: 1000, m: 60_000 };

function parseWrk(text: string): Load {
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);
  const latencyMs = (percent: string): number => {
    const found = new RegExp(`^\\s+${percent}%\\s+([\\d.]+)(us|ms|s|m)\\s*$`, 'm').exec(text);
    return found === null ? Number.NaN : Number(found[1]) * UNIT_MS[found[2]!]!;
  };
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1) ?? [];
  return {
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    requests: number(/(\d+) requests in/),
    p50Ms: latencyMs('50'),
    p99Ms: latencyMs('99'),
    failed: number(/Non-2xx or 3xx responses: (\d+)/) + socketErrors.reduce((sum, count) => sum + Number(count), 0),
  };
}

/** Runs wrk with one thread against `url`. `script`: path of a Lua script that makes the requests. */
export async function wrk(url: string, connections: number, seconds: number, script?: string): Promise<Load> {
  const child = spawn('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', ...(script ? ['-s', script] : []), url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error(`cannot measure ${url}: wrk ended with ${code}`);
  return parseWrk(text);
}
