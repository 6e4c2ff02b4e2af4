import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export type Child = {
  /** Lines that the child has printed so far. */
  lines: string[];
  /** Resolves when that many lines are there; rejects when the child ends before. */
  printed(count: number): Promise<void>;
  /** SIGKILL: nothing of the child's own runs after this. */
  kill(): Promise<void>;
};

/** Runs a file of this folder as a process of its own. */
export function startChild(file: string, ...args: string[]): Child {
  const child = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url)), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  const closed = once(reader, 'close');
  reader.on('line', (line) => lines.push(line));
  const printed = async (count: number): Promise<void> => {
    while (lines.length < count) {
      const ended = await Promise.race([once(reader, 'line').then(() => false), closed.then(() => true)]);
      if (ended && lines.length < count) throw new Error(`the child ended after ${lines.length} lines`);
    }
  };
  return { lines, printed, kill: () => kill(child, closed) };
}

async function kill(child: ChildProcess, closed: Promise<unknown>): Promise<void> {
  const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
  child.kill('SIGKILL');
  await exited;
  await closed;
}
