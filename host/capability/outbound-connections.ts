import type { Agent, ClientRequest, RequestOptions } from 'node:http';
import type { Duplex } from 'node:stream';

/**
 * The connections of one thread to other servers: node:http and node:https with agents of our own, so that neither
 * proxy variables nor the settings of the global agents count. Begins with the first request, ends with `close`.
 */

/** An idle connection is closed after this, or a second before its server said that it would. */
const idleTimeoutMs = 4_000;
/** A connection is kept for another request only while the thread has at most this many of its scheme. */
const keptSocketsMax = 256;
/** Larger heads of responses, and larger trailers, are refused. */
const responseHeadBytesMax = 64 * 1024;

export type Target = {
  scheme: 'http' | 'https';
  /** Without brackets. */
  host: string;
  port: number;
  /** Names and values in turn, the framing of the body and `host` among them. */
  headers: string[];
  method: string;
  path: string;
  /** The address that the name was found to stand for, if that was checked: no other one is asked for. */
  address: string | undefined;
};

export class Connections {
  private readonly extraCa: readonly string[];
  private readonly agents = new Map<'http' | 'https', Agent>();

  constructor(extraCa: readonly string[]) {
    this.extraCa = extraCa;
  }

  /** Loads what both schemes need before the first request does. */
  prepare(): void {
    this.agent('http');
    this.agent('https');
  }

  /** Begins a request; nothing is on its way before the next turn. */
  request(target: Target): ClientRequest {
    const { scheme, method, headers } = target;
    const { request } = process.getBuiltinModule(`node:${scheme}`);
    const options: RequestOptions = { ...place(target), agent: this.agent(scheme), method, path: target.path, maxHeaderSize: responseHeadBytesMax };
    if (method === method.toUpperCase()) return unlimited(request({ ...options, headers }));
    const made = unlimited(request({ ...options, setHost: false }));
    made.method = method;
    for (let i = 0; i < headers.length; i += 2) made.appendHeader(headers[i] as string, headers[i + 1] as string);
    return made;
  }

  /** Closes the idle connections to a place: one of them turned out to be closed by the server. */
  forgetIdle(target: Target): void {
    const agent = this.agent(target.scheme);
    const idle = agent.freeSockets[agent.getName(place(target))] ?? [];
    for (const socket of [...idle]) socket.destroy();
  }

  close(): void {
    for (const agent of this.agents.values()) agent.destroy();
  }

  private agent(scheme: 'http' | 'https'): Agent {
    const known = this.agents.get(scheme);
    if (known !== undefined) return known;
    const made = makeAgent(scheme, this.extraCa);
    this.agents.set(scheme, made);
    return made;
  }
}

/** Documented, but not or wrongly typed. */
type Keeping = { readonly totalSocketCount: number; keepSocketAlive(socket: Duplex): boolean };

function makeAgent(scheme: 'http' | 'https', extraCa: readonly string[]): Agent {
  const { Agent } = process.getBuiltinModule(`node:${scheme}`);
  const ca = extraCa.length > 0 ? { ca: [...process.getBuiltinModule('node:tls').getCACertificates('default'), ...extraCa] } : {};
  const agent = new Agent({ keepAlive: true, timeout: idleTimeoutMs, ...ca }) as Agent & Keeping;
  const keep = agent.keepSocketAlive;
  agent.keepSocketAlive = (socket) => agent.totalSocketCount <= keptSocketsMax && keep.call(agent, socket);
  return agent;
}

function place({ scheme, host, port, address }: Target): RequestOptions {
  if (address === undefined) return { host, port };
  return { host: address, port, ...(scheme === 'https' ? { servername: host } : {}) };
}

/** Otherwise fields above 2,000 would be dropped without a word; the size of the head is limited anyway. */
function unlimited(request: ClientRequest): ClientRequest {
  request.maxHeadersCount = 0;
  return request;
}
