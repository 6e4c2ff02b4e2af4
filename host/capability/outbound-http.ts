import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { ByteStreamError } from '../base/stream.ts';
import type { OutboundHttp, OutboundRequest } from '../wasi/context.ts';
import { Connections, type Target } from './outbound-connections.ts';
import { outboundError } from './outbound-error.ts';
import { Exchange, type Timeouts } from './outbound-exchange.ts';
import { isIdempotent, requestHead } from './outbound-head.ts';

/**
 * Requests of guests to other servers, HTTP/1.1 over node:http. One of these serves a thread: its connections are shared,
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
  /** Loads what requests need before the first one comes: most threads never send any. */
  prepare(): void;
  /** Ends all exchanges and connections. */
  close(): void;
};

/** A guest's request waits this long for a connection, an answer, and each next part of it, unless it asks for less. */
const defaultTimeouts: Timeouts = { connectTimeoutMs: 30_000, firstByteTimeoutMs: 600_000, betweenBytesTimeoutMs: 600_000 };

export function createOutboundHttp(options: OutboundHttpOptions = {}): OutboundClient {
  const timeouts = { ...defaultTimeouts, ...options };
  const { exchangesMax = 1024, exchangesPerOwnerMax = 128 } = options;
  const reservedPorts = new Set(options.reservedPorts ?? []);
  const connections = new Connections(options.extraCa ?? []);
  const running = new Set<Exchange>();
  const counts = new WeakMap<object, number>();

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
      const address = !request.listed && reservedPorts.has(portOf(origin)) ? await addressElsewhere(hostOf(origin)) : undefined;
      if (exchange.isOver) return;
      const target = targetOf(request, origin, address, requestHead(origin.host, request.method, request.headers, exchange.body.takeWhole()));
      const open = () => connections.request(target);
      const again = () => {
        connections.forgetIdle(target);
        return open();
      };
      exchange.send({ open, retry: isIdempotent(request.method) ? again : undefined });
    } catch (error) {
      exchange.abandon(outboundError(error));
    }
  }

  return {
    send,
    prepare: () => connections.prepare(),
    get exchanges() {
      return running.size;
    },
    close() {
      for (const exchange of running) exchange.cancel();
      connections.close();
    },
  };
}

function targetOf(request: OutboundRequest, origin: URL, address: string | undefined, headers: string[]): Target {
  const { scheme, method, pathWithQuery: path } = request;
  return { scheme, host: hostOf(origin), port: portOf(origin), address, method, path, headers };
}

const hostOf = (origin: URL): string => origin.hostname.replace(/^\[|\]$/g, '');
const portOf = (origin: URL): number => Number(origin.port) || (origin.protocol === 'https:' ? 443 : 80);

/** An address of a host that is not this machine, so that no second look-up gives another one; undefined if the host is an address. */
async function addressElsewhere(host: string): Promise<string | undefined> {
  const isName = isIP(host) === 0;
  const addresses = isName ? (await lookup(host, { all: true })).map(({ address }) => address) : [host];
  if (addresses.some(isOwnAddress)) throw new ByteStreamError('destination-IP-prohibited', 'this port of the node is not for guests');
  return isName ? addresses[0] : undefined;
}

function isOwnAddress(address: string): boolean {
  const plain = address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '');
  if (plain === '::' || plain === '::1' || plain === '0.0.0.0' || plain.startsWith('127.') || plain.startsWith('::ffff:')) return true;
  return Object.values(networkInterfaces()).some((infos) => infos?.some((info) => info.address.toLowerCase() === plain));
}
