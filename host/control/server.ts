import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { Problem } from '../base/errors.ts';
import { type Address, formatAddress } from '../config/address.ts';

/** The control API on its own address. `close` ends connections, streams of logs too. */
export type ControlServer = { readonly port: number; close(): Promise<void> };

const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });

/** A kept connection that nobody uses: longer than clients and proxies are busy with something else, since a PUT is not sent again. */
const keepAliveMs = 75_000;
/** A body of which nothing comes for so long is given up. However long it takes as a whole: objects may have gigabytes. */
const bodyIdleMs = 120_000;

const watchBody = (incoming: IncomingMessage, idleMs: number): void => {
  const { 'content-length': length = '0', 'transfer-encoding': coding } = incoming.headers;
  if (length === '0' && coding === undefined) return;
  incoming.setTimeout(idleMs);
  incoming.once('end', () => incoming.setTimeout(0));
};

/** @throws Problem `address-in-use` */
export const serveControl = (
  fetch: (request: Request) => Response | Promise<Response>,
  address: Address,
  limits: { bodyIdleMs: number } = { bodyIdleMs },
): Promise<ControlServer> => {
  const listener = getRequestListener(fetch);
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: keepAliveMs }, (incoming, outgoing) => {
    watchBody(incoming, limits.bodyIdleMs);
    return listener(incoming, outgoing);
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const inUse = error.code === 'EADDRINUSE';
      const why = inUse ? 'another process does' : error.message;
      reject(new Problem(inUse ? 'address-in-use' : 'config-invalid', `cannot listen on ${formatAddress(address)} for the control API: ${why}`));
    });
    server.listen({ host: address.host, port: address.port, exclusive: true }, () => {
      resolve({ port: (server.address() as AddressInfo).port, close: () => close(server) });
    });
  });
};
