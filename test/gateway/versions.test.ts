import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { DeployedVersion } from '../../host/deploy/route-table.ts';
import type { Execution } from '../../host/execution/execution.ts';
import type { FunctionExecutor } from '../../host/execution/executor.ts';
import { ExecutionIds } from '../../host/execution/id.ts';
import { createGatewayApp } from '../../host/gateway/app.ts';
import type { Debugging } from '../../host/gateway/debugging.ts';
import { Deferring } from '../../host/gateway/deferring.ts';
import type { HttpExchange } from '../../host/gateway/exchange.ts';
import { Guarding, type GuardingOptions } from '../../host/gateway/guarding.ts';
import { exchange, until } from '../system/node.ts';

const servers: Server[] = [];
test.after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

const base: DeployedVersion = {
  key: 'plain',
  tenant: 'default',
  function: 'fn',
  version: 1,
  digest: '',
  limits: { timeMs: 5000, cpuMs: 1000, bodyMib: 1, concurrency: 10, memoryMib: 1 },
  instance: 'pristine',
  env: [],
  config: [],
  outboundHosts: [],
  scratch: false,
  idleMs: 1,
  trust: 'shared',
  fleet: 'resident',
  fleetWanted: 'auto',
  prewarm: 0,
  whenExhausted: 'overflow',
  deferMaxMs: 0,
};
const guaranteed: DeployedVersion = { ...base, key: 'guaranteed', guarantee: { runs: 1, retries: 0, leaseMs: 30_000, outbound: 'allow' } };
const judged: DeployedVersion = { ...base, key: 'judged', overlay: true, outboundHosts: ['a.test'] };

/** Answers at once that it was run as it goes. */
const executor = {
  execute: (http: HttpExchange): Execution => {
    const sink = http.respond(200, []);
    sink.write(Buffer.from('plain'));
    sink.finish();
    return { stop: () => undefined } as unknown as Execution;
  },
} as unknown as FunctionExecutor;

type Takers = NonNullable<Parameters<typeof createGatewayApp>[2]>;
const listen = async (versions: readonly DeployedVersion[], weights: readonly number[], takers: Takers): Promise<number> => {
  const targets = versions.map(({ key }, index) => ({ key, weight: weights[index] ?? 0 }));
  const routes = [{ host: null, path: '/fn/*', stripPrefix: '/fn', targets, suspended: false }];
  const app = createGatewayApp({ version: 1, functions: [...versions], routes }, () => executor, takers);
  const server = createServer((incoming, outgoing) => app(incoming, outgoing, false));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};

const guarding = {
  guard: async (version: DeployedVersion, _request: unknown, _incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    outgoing.end(`guarded ${version.key}`);
  },
} as unknown as Guarding;

const get = (lines = ''): string => `GET /fn/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${lines}\r\n`;
const answerOf = async (port: number, lines = ''): Promise<string> => {
  const answer = await exchange(port, get(lines));
  return `${/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]} ${answer.slice(answer.indexOf('\r\n\r\n') + 4)}`;
};
const key = 'idempotency-key: "k"\r\n';

test('versions: of two that share a route each request is taken as the one that gets it says', async () => {
  const deferring: Deferring = new Deferring({
    ids: new ExecutionIds(0),
    post: ({ request: { id } }) => deferring.take({ kind: 'deferred', id, problem: null }),
  });
  for (const [weights, keyed, unkeyed, later, keyedLater] of [
    [[100, 0], '200 guarded guaranteed', '200 plain', '202 ', '200 guarded guaranteed'],
    [[0, 100], '200 plain', '200 plain', '202 ', '202 '],
  ] as const) {
    const port = await listen([guaranteed, base], weights, { guarding, deferring });
    const async = 'prefer: respond-async\r\n';
    assert.equal(
      [await answerOf(port, key), await answerOf(port), await answerOf(port, async), await answerOf(port, key + async)],
      [keyed, unkeyed, later, keyedLater],
    );
  }
  const port = await listen([judged, guaranteed], [0, 100], { guarding, deferring });
  assert.equal([await answerOf(port), await answerOf(port, key)], ['200 plain', '200 guarded guaranteed'], 'the other one runs all in an overlay');
});

test('versions: a function that may put executions off beside one that may not makes nobody wait', async () => {
  const deferring: Deferring = new Deferring({
    ids: new ExecutionIds(0),
    post: ({ request: { id } }) => deferring.take({ kind: 'deferred', id, problem: null }),
  });
  const patient: DeployedVersion = { ...base, key: 'patient', deferMaxMs: 1000 };
  assert.is(await answerOf(await listen([patient, base], [0, 100], { deferring })), '200 plain');
  assert.is(await answerOf(await listen([patient, base], [100, 0], { deferring })), '202 ');
});

test('debugging: a request with a key is refused where the key would promise something', async () => {
  const debugging = { wanted: () => true, executorOf: async () => executor } as unknown as Debugging;
  assert.match(await answerOf(await listen([guaranteed], [100], { debugging, guarding }), key), /^400 .*request-invalid.*without a key/);
  assert.is(await answerOf(await listen([guaranteed], [100], { debugging, guarding })), '200 plain');
  assert.is(await answerOf(await listen([base], [100], { debugging, guarding }), key), '200 plain');
});

/** Sends the head and some of the body of an upload, and not the rest. Resolves with what is answered meanwhile, when the server ends it. */
const upload = (port: number, announced: number, bytes: number): { socket: Socket; answer: Promise<string> } => {
  const socket = connect({ port, host: '127.0.0.1' });
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  const answer = new Promise<string>((resolve) => socket.on('close', () => resolve(text)).on('error', () => undefined));
  socket.write(`POST /fn/ HTTP/1.1\r\nhost: a\r\ncontent-length: ${announced}\r\n\r\n`);
  socket.write(Buffer.alloc(bytes));
  return { socket, answer };
};

test('guarding: bodies count while they arrive, and what has no room is refused before it is there', async () => {
  const mib = 1024 * 1024;
  const real = new Guarding({ ids: new ExecutionIds(0), post: () => undefined, heldBytesMax: 4 * mib } as unknown as GuardingOptions);
  const port = await listen([judged], [100], { guarding: real });
  const started = Array.from({ length: 40 }, () => upload(port, mib, mib - 1));
  let refused = 0;
  for (const { answer } of started)
    answer.then((text) => {
      if (/^HTTP\/1\.1 503 [\s\S]*capacity-exhausted/.test(text)) refused++;
    });
  await until(() => (refused >= 36 ? true : undefined), '36 to be refused');
  const late = await upload(port, mib, 0).answer;
  assert.match(late, /^HTTP\/1\.1 503 [\s\S]*retry-after/, 'by its length alone');
  for (const { socket } of started) socket.destroy();
  await until(async () => {
    const { socket, answer } = upload(port, 1000, 0);
    const ended = await Promise.race([answer.then(() => 'refused'), new Promise((resolve) => setTimeout(resolve, 200, 'taken'))]);
    socket.destroy();
    return ended === 'taken' ? true : undefined;
  }, 'the room of those that are gone');
});

test('guarding: a request whose client is gone is not begun again', async () => {
  const asked: number[] = [];
  const post = (message: { kind: string; ask?: number }): void => void (message.kind === 'guard' && asked.push(message.ask as number));
  const real = new Guarding({ ids: new ExecutionIds(0), post } as unknown as GuardingOptions);
  const port = await listen([judged], [100], { guarding: real });
  const again = (): void => real.take({ kind: 'guarded', ask: asked.at(-1) as number, answer: { kind: 'again' } });
  const begin = async (): Promise<Socket> => {
    const before = asked.length;
    const socket = connect({ port, host: '127.0.0.1' });
    socket.write(get());
    await until(() => (asked.length > before ? true : undefined), 'its request');
    return socket;
  };
  await begin();
  again();
  await until(() => (asked.length === 2 ? true : undefined), 'the one that waits');
  const gone = new Promise((resolve) => servers.at(-1)?.once('request', (_, outgoing: ServerResponse) => outgoing.once('close', resolve)));
  const leaving = await begin();
  leaving.destroy();
  await gone;
  again();
  await new Promise(setImmediate);
  assert.is(asked.length, 3);
});

test.run();
