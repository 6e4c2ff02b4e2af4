import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAdaptorServer, type ServerType } from '@hono/node-server';
import * as assert from 'uvu/assert';
import { commands } from '../../host/cli/commands.ts';
import { runCommandLine } from '../../host/cli/run.ts';
import { type ControlFixture, openControl } from '../control/fixture.ts';

/** What a command did. `out` and `error` are its whole output. */
export type Ran = { code: number; out: string; error: string };

export type RunOptions = { env?: Record<string, string>; input?: string; interactive?: boolean; signal?: AbortSignal; onOut?: (text: string) => void };

/** The command line in this process, in a directory of its own, beside a control API over deployments in memory. Ends with `close()`. */
export type CliHarness = {
  control: ControlFixture;
  directory: string;
  url: string;
  /** Runs `nacelle WORDS` with the node's URL and admin token in the environment. */
  run(words: string[], options?: RunOptions): Promise<Ran>;
  write(file: string, content: string | Uint8Array): string;
  close(): void;
};

async function listen(control: ControlFixture): Promise<{ server: ServerType; url: string }> {
  const server = createAdaptorServer({ fetch: control.fetch });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** `nacelle WORDS` in this process, with a node's URL and token in the environment. */
export const commandLine =
  (url: string, token: string, directory: string): CliHarness['run'] =>
  async (words, { env, input = '', interactive = false, signal, onOut } = {}) => {
    const ran = { out: '', error: '' };
    const out = (content: string | Uint8Array): void => {
      const text = typeof content === 'string' ? content : Buffer.from(content).toString();
      ran.out += text;
      onOut?.(text);
    };
    const error = (text: string): void => {
      ran.error += text;
    };
    const terminal = { json: words.includes('--json'), interactive, out, error, input: async () => Buffer.from(input) };
    const surroundings = { env: env ?? { NACELLE_URL: url, NACELLE_TOKEN: token }, directory, signal: signal ?? new AbortController().signal };
    return { code: await runCommandLine(commands, words, surroundings, terminal), ...ran };
  };

/** Runs what is to succeed. */
export const succeed = async (run: CliHarness['run'], words: string[], options?: RunOptions): Promise<Ran> => {
  const ran = await run(words, options);
  assert.is(ran.code, 0, ran.error);
  return ran;
};

export async function openCli(): Promise<CliHarness> {
  const control = await openControl();
  const { server, url } = await listen(control);
  const directory = mkdtempSync(join(tmpdir(), 'nacelle-cli-'));
  const run = commandLine(url, control.admin, directory);
  const write = (file: string, content: string | Uint8Array): string => {
    writeFileSync(join(directory, file), content);
    return file;
  };
  const close = (): void => {
    server.close();
    if ('closeAllConnections' in server) server.closeAllConnections();
    rmSync(directory, { recursive: true });
  };
  return { control, directory, url, run, write, close };
}
