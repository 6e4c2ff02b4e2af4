// A nacelle node in a process of its own, as the launcher starts it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePort, type Server, startServer, temporaryFolder } from './lib.ts';

const launcher = fileURLToPath(new URL('../bin/nacelle.js', import.meta.url));

export type NodeUnderTest = Server & { http: string; control: string; data: string };

/**
 * Starts a node on free ports and waits until it is ready. `data` is an existing data directory, for a restart; a new one if
 * it is not given. `announce` is told the URL of functions before the node is ready.
 */
export async function startNacelle(args: readonly string[] = [], data = temporaryFolder(), announce?: (http: string) => void): Promise<NodeUnderTest> {
  const http = `127.0.0.1:${await freePort()}`;
  const control = `127.0.0.1:${await freePort()}`;
  announce?.(`http://${http}`);
  const server = await startServer(
    process.execPath,
    [launcher, 'serve', '--http', http, '--control', control, '--data', data, ...args],
    `http://${control}/readyz`,
  );
  return { ...server, http: `http://${http}`, control: `http://${control}`, data };
}

/** Runs a command of the CLI against the node. */
export async function nacelle(node: NodeUnderTest, ...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [launcher, ...args, '--data', node.data], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error(`nacelle ${args.join(' ')} ended with ${code}`);
  return text;
}

/** Path of a committed fixture. */
export const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/${name}.wasm`, import.meta.url));
