import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net';
import { ByteStreamError } from '../../host/base/stream.ts';
import { createOutboundHttp } from '../../host/capability/outbound-http.ts';
import type { OutboundExchange, OutboundRequest, OutboundResponse } from '../../host/wasi/context.ts';
import { text } from '../wasi/guest.ts';

/** A client, and servers of all kinds for it. `closeAll` ends them. */

export const client = createOutboundHttp();
export const servers: (Server | TcpServer)[] = [];
const sockets = new Set<Socket>();

export async function listen(server: Server | TcpServer): Promise<number> {
  servers.push(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

export const serve = (listener: RequestListener): Promise<number> => listen(createServer(listener));
export const serveRaw = (listener: (socket: Socket) => void): Promise<number> => listen(createTcpServer(listener));

export function request(port: number, overrides: Partial<OutboundRequest> = {}): OutboundRequest {
  const timeouts = { connectTimeoutMs: undefined, firstByteTimeoutMs: undefined, betweenBytesTimeoutMs: undefined };
  return { method: 'GET', scheme: 'http', authority: `127.0.0.1:${port}`, pathWithQuery: '/', headers: [], listed: true, ...timeouts, ...overrides };
}

export function get(port: number, overrides: Partial<OutboundRequest> = {}): OutboundExchange {
  const exchange = client.send(request(port, overrides));
  exchange.body.finish();
  return exchange;
}

export async function readAll(response: OutboundResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = response.body.read(65536);
    if (chunk === null) return text(Buffer.concat(chunks));
    chunks.push(chunk);
    if (chunk.length === 0) await response.body.readable();
  }
}

/** The error-code that a promise rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  return error instanceof ByteStreamError ? error.code : `no error-code: ${error}`;
}

export async function collect(message: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of message) body += chunk;
  return body;
}

export const json = (response: ServerResponse, value: unknown) => response.end(JSON.stringify(value));

export async function closeAll(): Promise<void> {
  client.close();
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
}
