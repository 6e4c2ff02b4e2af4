import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Problem } from '../base/errors.ts';

/** Takes one request. `expectsContinue`: the client waits for `100 Continue` before it sends the body. */
export type RequestHandler = (incoming: IncomingMessage, outgoing: ServerResponse, expectsContinue: boolean) => void;

/** A server of one HTTP version. Begins with `listen`; `close` ends it, idle connections first. */
export type Listener = {
  /** @returns the port @throws Problem `address-in-use` */
  listen(options: { host: string; port: number; reusePort: boolean }): Promise<number>;
  /** Takes no more connections; resolves when the last one is gone, which `graceMs` ends by force. */
  close(graceMs: number): Promise<void>;
};

/** A connection that moves nothing for so long beyond the longest execution is closed. */
const idleBeyondMs = 60_000;
const sweepMs = 50;
/** Open connections of one thread; more are closed at once. */
const connectionsMax = 20_000;

const refuseTunnel = (_incoming: IncomingMessage, socket: Socket): void => {
  socket.end('HTTP/1.1 501 Not Implemented\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
};

const listenProblem = (error: NodeJS.ErrnoException, host: string, port: number): Problem => {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (error.code === 'EADDRINUSE') return new Problem('address-in-use', `cannot listen on ${where}: another process does`);
  return new Problem('config-invalid', `cannot listen on ${where}: ${error.message}`);
};

const closeServer = async (server: Server, graceMs: number): Promise<void> => {
  // Connections that wait in the kernel's queue would be reset: right after this turn's events all that came are taken.
  await new Promise((resolve) => setImmediate(resolve));
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const sweep = setInterval(() => server.closeIdleConnections(), sweepMs);
  const force = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearInterval(sweep);
  clearTimeout(force);
};

/**
 * HTTP/1.1 on node:http with its strict parser. Upgrades are not taken: such a request is answered as any other.
 * @param timeMsMax longest time that a request may take to be answered
 */
export const createHttp1Listener = (handle: RequestHandler, timeMsMax: number): Listener => {
  let closing = false;
  const take: RequestHandler = (incoming, outgoing, expectsContinue) => {
    if (closing) outgoing.shouldKeepAlive = false;
    handle(incoming, outgoing, expectsContinue);
  };
  const server = createServer({ keepAlive: true, noDelay: true }, (incoming, outgoing) => take(incoming, outgoing, false));
  server.on('checkContinue', (incoming: IncomingMessage, outgoing: ServerResponse) => take(incoming, outgoing, true));
  server.on('connect', refuseTunnel);
  server.maxConnections = connectionsMax;
  server.timeout = timeMsMax + idleBeyondMs;
  server.requestTimeout = timeMsMax + idleBeyondMs;
  return {
    listen: ({ host, port, reusePort }) =>
      new Promise((resolve, reject) => {
        server.once('error', (error) => reject(listenProblem(error, host, port)));
        server.listen({ host, port, reusePort, backlog: 2048 }, () => resolve((server.address() as AddressInfo).port));
      }),
    close: (graceMs) => {
      closing = true;
      return closeServer(server, graceMs);
    },
  };
};
