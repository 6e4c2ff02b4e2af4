import { lookup } from 'node:dns/promises';
import { createRequire } from 'node:module';
import { isIP, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Agent, buildConnector, Dispatcher } from 'undici';
import { ByteStreamError } from '../base/stream.ts';
import type { HeaderList, OutboundHttp, OutboundRequest } from '../wasi/context.ts';
import { outboundError } from './outbound-error.ts';
import { Exchange, type Timeouts } from './outbound-exchange.ts';

/**
 * Requests of guests to other servers, HTTP/1.1 over undici. One of these serves a thread: its connections are shared,
 * nothing else is (no cookies, no cache, no redirects followed). Begins with `createOutboundHttp`, ends with `close`.
 */

export type OutboundHttpOptions = Partial<Timeouts> & {
  /** Exchanges under way at once in this thread; more are refused with `connection-limit-reached`. Default 1,024. */
  exchangesMax?: number;
  /** The same for one instance. Default 128. */
  exchangesPerOwnerMax?: number;
  /** Ports of this machine that only a grant which names them reaches: the node's control port. Default none. */
  reservedPorts?: readonly number[];
  /** Certificates to trust beside the built-in ones, PEM. */
  extraCa?: string[];
};

export type OutboundClient = OutboundHttp & {
  /** Exchanges under way. */
  readonly exchanges: number;
  /** Loads what requests need before the first one comes: most threads never send any, and the library is large. */
  prepare(): void;
  /** Ends all exchanges and connections. */
  close(): Promise<void>;
};

/** A guest's request waits this long for a connection, an answer, and each next part of it, unless it asks for less. */
const defaultTimeouts: Timeouts = { connectTimeoutMs: 30_000, firstByteTimeoutMs: 600_000, betweenBytesTimeoutMs: 600_000 };

export function createOutboundHttp(options: OutboundHttpOptions = {}): OutboundClient {
  const timeouts = { ...defaultTimeouts, ...options };
  const { exchangesMax = 1024, exchangesPerOwnerMax = 128 } = options;
  const reservedPorts = new Set(options.reservedPorts ?? []);
  const connecting = new Set<Socket>();
  let agent: Agent | undefined;
  const running = new Set<Exchange>();
  const counts = new WeakMap<object, number>();

  function open(): Agent {
    agent ??= makeAgent(connecting, timeouts.connectTimeoutMs, options.extraCa);
    return agent;
  }

  function count(owner: object, change: number): void {
    const total = (counts.get(owner) ?? 0) + change;
    if (total > exchangesPerOwnerMax) throw new ByteStreamError('connection-limit-reached', `${exchangesPerOwnerMax} requests of this instance are under way`);
    counts.set(owner, total);
  }

  function send(request: OutboundRequest): Exchange {
    if (running.size >= exchangesMax) throw new ByteStreamError('connection-limit-reached', `${exchangesMax} requests are under way`);
    const { owner } = request;
    if (owner !== undefined) count(owner, 1);
    const exchange: Exchange = new Exchange(request, timeouts, () => {
      running.delete(exchange);
      if (owner !== undefined) count(owner, -1);
    });
    running.add(exchange);
    queueMicrotask(() => begin(exchange, request));
    return exchange;
  }

  async function begin(exchange: Exchange, request: OutboundRequest): Promise<void> {
    if (exchange.isOver) return;
    try {
      const origin = new URL(`${request.scheme}://${request.authority}`);
      exchange.start();
      if (!request.listed && reservedPorts.has(portOf(origin))) await assertElsewhere(origin);
      if (!exchange.isOver) open().dispatch(dispatchOptions(exchange, request, origin), exchange);
    } catch (error) {
      exchange.abandon(outboundError(error));
    }
  }

  return {
    send,
    prepare: () => void open(),
    get exchanges() {
      return running.size;
    },
    async close() {
      for (const exchange of running) exchange.cancel();
      for (const socket of connecting) socket.destroy(new Error('the client is closed'));
      await agent?.destroy();
    },
  };
}

/** `connecting` holds the sockets that no connection of the agent owns yet. */
function makeAgent(connecting: Set<Socket>, timeoutMs: number, extraCa: string[] | undefined): Agent {
  const undici = createRequire(import.meta.url)('undici') as typeof import('undici');
  const open = undici.buildConnector({ timeout: timeoutMs, allowH2: false, ...(extraCa === undefined ? {} : { ca: extraCa }) }) as (
    ...parameters: Parameters<buildConnector.connector>
  ) => Socket;
  const connect: buildConnector.connector = (options, callback) => {
    const socket = open(options, (...result) => {
      connecting.delete(socket);
      callback(...result);
    });
    connecting.add(socket);
  };
  return new undici.Agent({ allowH2: false, pipelining: 1, headersTimeout: 0, bodyTimeout: 0, connect });
}

function dispatchOptions(exchange: Exchange, request: OutboundRequest, origin: URL): Dispatcher.DispatchOptions {
  return {
    origin: origin.origin,
    path: request.pathWithQuery,
    method: request.method as Dispatcher.HttpMethod,
    headers: rawHeaders(request.headers),
    body: exchange.body.takeWhole() ?? (exchange.body as unknown as Dispatcher.DispatchOptions['body'] & object),
  };
}

/** `expect` is left out: the body is sent when the guest gives it, asked for or not. */
function rawHeaders(headers: HeaderList): string[] {
  const raw: string[] = [];
  for (const [name, value] of headers) if (name !== 'expect') raw.push(name, Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1'));
  return raw;
}

const portOf = (origin: URL): number => Number(origin.port) || (origin.protocol === 'https:' ? 443 : 80);

/** Refuses a host that is this machine. */
async function assertElsewhere(origin: URL): Promise<void> {
  const host = origin.hostname.replace(/^\[|\]$/g, '');
  const addresses = isIP(host) === 0 ? (await lookup(host, { all: true })).map(({ address }) => address) : [host];
  if (addresses.some(isOwnAddress)) throw new ByteStreamError('destination-IP-prohibited', 'this port of the node is not for guests');
}

function isOwnAddress(address: string): boolean {
  const plain = address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '');
  if (plain === '::' || plain === '::1' || plain === '0.0.0.0' || plain.startsWith('127.') || plain.startsWith('::ffff:')) return true;
  return Object.values(networkInterfaces()).some((infos) => infos?.some((info) => info.address.toLowerCase() === plain));
}
