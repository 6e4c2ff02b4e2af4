import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionRecord } from '../../host/execution/record.ts';

const main = fileURLToPath(new URL('../../host/cli/main.ts', import.meta.url));
const startMs = 180_000;

export type LogLine = { stream: string; text: string; execution: string; level?: string };

export type TestNode = {
  /** Where functions answer, and the port alone. */
  url: string;
  port: number;
  control: string;
  token: string;
  data: string;
  process: ChildProcess;
  /** What the process wrote on standard error so far. */
  errors(): string;
  /** Calls the control API; an object as `body` is sent as JSON. */
  api(method: string, path: string, body?: unknown, token?: string): Promise<Response>;
  /** Uploads a fixture and deploys it. */
  deploy(name: string, fixture: string, manifest?: Record<string, unknown>): Promise<void>;
  /** The record of an execution by its id, when it has ended; `tenant`: whose, if not of `default`. */
  execution(id: string | null, tenant?: string): Promise<ExecutionRecord>;
  /** Lines of a function's log, when there are at least `count` of which `accept` is true. */
  lines(name: string, count: number, accept?: (line: LogLine) => boolean): Promise<LogLine[]>;
  /** Ends the process by a signal and resolves with its exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
};

/** `preload`: path of a module that the process loads first; it then has a channel to this one. */
export type NodeStart = { data?: string; args?: string[]; gateways?: number; preload?: string };

/** Every directory made here, for `cleanUp`. */
const directories: string[] = [];
const running = new Set<ChildProcess>();

export const freshDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'nacelle-system-'));
  directories.push(directory);
  return directory;
};

/** Ends what tests have left behind. */
export const cleanUp = (): void => {
  for (const child of running) child.kill('SIGKILL');
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
};

export const fixture = (name: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(new URL(`../../fixtures/${name}.wasm`, import.meta.url)));

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks again and again until the answer is there. The bound only ends a test that failed: a busy machine must not reach it. */
export const until = async <T>(ask: () => T | undefined | Promise<T | undefined>, what: string, withinMs = 60_000): Promise<T> => {
  const endMs = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > endMs) throw new Error(`waited ${withinMs} ms for ${what}`);
    await sleep(20);
  }
};

/** Starts the process of a node without waiting for it. */
export const spawnNode = ({
  data = freshDirectory(),
  args = [],
  gateways = 2,
  preload,
}: NodeStart = {}): { child: ChildProcess; data: string; errors: () => string } => {
  const settings = ['--http', '127.0.0.1:0', '--control', '127.0.0.1:0', '--gateways', String(gateways), '--data', data];
  const first = preload === undefined ? [] : ['--import', preload];
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...first, main, 'serve', ...settings, ...args], {
    stdio: ['ignore', 'ignore', 'pipe', ...(preload === undefined ? [] : (['ipc'] as const))],
  });
  running.add(child);
  child.on('exit', () => running.delete(child));
  let errors = '';
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  return { child, data, errors: () => errors };
};

export const exitOf = (child: ChildProcess): Promise<number | null> =>
  child.exitCode !== null || child.signalCode !== null ? Promise.resolve(child.exitCode) : new Promise((resolve) => child.on('exit', (code) => resolve(code)));

type NodeFile = { http: string; control: string; pid: number };

const nodeFileOf = async (child: ChildProcess, data: string, errors: () => string): Promise<NodeFile> =>
  until(
    () => {
      if (child.exitCode !== null) throw new Error(`the node ended: ${errors()}`);
      const file = join(data, 'node.json');
      if (!existsSync(file)) return undefined;
      const found = JSON.parse(readFileSync(file, 'utf8')) as NodeFile;
      return found.pid === child.pid ? found : undefined;
    },
    'node.json',
    startMs,
  );

/** Starts a real node in a process of its own, on free ports, and waits until it answers. */
export const startTestNode = async (start: NodeStart = {}): Promise<TestNode> => {
  const { child, data, errors } = spawnNode(start);
  const { http: url, control } = await nodeFileOf(child, data, errors);
  const token = readFileSync(join(data, 'admin.token'), 'utf8').trim();

  const api: TestNode['api'] = (method, path, body, as = token) => {
    const raw = body instanceof Uint8Array;
    const headers: Record<string, string> = { authorization: `Bearer ${as}` };
    if (body !== undefined) headers['content-type'] = raw ? 'application/wasm' : 'application/json';
    return fetch(control + path, { method, headers, ...(body === undefined ? {} : { body: raw ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body) }) });
  };
  const must = async (response: Response): Promise<Response> => {
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    return response;
  };

  return {
    url,
    port: Number(new URL(url).port),
    control,
    token,
    data,
    process: child,
    errors,
    api,
    deploy: async (name, component, manifest = {}) => {
      const { digest } = (await (await must(await api('PUT', '/v1/modules', fixture(component)))).json()) as { digest: string };
      await must(await api('POST', '/v1/functions', { name, module: digest, ...manifest }));
    },
    execution: (id, tenant = 'default') =>
      until(async () => {
        const response = await api('GET', `/v1/executions/${id}?tenant=${tenant}`);
        if (response.status === 404) return undefined;
        const record = (await (await must(response)).json()) as ExecutionRecord;
        return record.state === 'running' || record.state === 'queued' ? undefined : record;
      }, `execution ${id}`),
    lines: (name, count, accept = () => true) =>
      until(async () => {
        const response = await must(await api('GET', `/v1/functions/${name}/logs`));
        const { items } = (await response.json()) as { items: LogLine[] };
        const accepted = items.filter(accept);
        return accepted.length >= count ? accepted : undefined;
      }, `${count} lines in the log of ${name}`),
    end: (signal = 'SIGTERM') => {
      child.kill(signal);
      return exitOf(child);
    },
  };
};

/** Sends bytes on a connection of their own, and resolves with all that comes back until the other side closes or breaks off. */
export const exchange = (port: number, text: string | Uint8Array): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.on('error', (error) => (answer === '' ? reject(error) : resolve(answer)));
    socket.on('close', () => resolve(answer));
    socket.write(text);
    socket.setTimeout(10_000, () => socket.destroy(new Error(`no end of the answer: ${answer.slice(0, 200)}`)));
  });

export type HeldAnswer = { status: number; text: string; headers: IncomingHttpHeaders };

export type HeldRequest = {
  /** May come before the release if the node refuses. */
  answer: Promise<HeldAnswer>;
  /** Ends the body, and resolves with the answer. */
  release(): Promise<HeldAnswer>;
};

/** A request whose body stays open, so that a function which answers with it, as `echo` does, is in flight until it is released. */
export const holdRequest = (url: string): HeldRequest => {
  const outgoing = request(url, { method: 'POST', agent: false });
  const answer = new Promise<HeldAnswer>((resolve, reject) => {
    outgoing.on('error', reject).on('response', (incoming) => {
      let text = '';
      incoming.on('data', (chunk) => {
        text += chunk;
      });
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, text, headers: incoming.headers })).on('error', reject);
    });
  });
  answer.catch(() => undefined);
  outgoing.write('held');
  return {
    answer,
    release: () => {
      outgoing.end(' and released');
      return answer;
    },
  };
};

/** A dead letter, once it is there. */
export const deadLetterOf = <Letter>(node: TestNode, id: string | null): Promise<Letter> =>
  until(async () => {
    const response = await node.api('GET', `/v1/dead-letters/${id}`);
    return response.status === 404 ? undefined : ((await response.json()) as Letter);
  }, `the dead letter ${id}`);
