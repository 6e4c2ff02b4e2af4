import { createServer, type Server } from 'node:http';
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

/** @throws Problem `address-in-use` */
export const serveControl = (fetch: (request: Request) => Response | Promise<Response>, address: Address): Promise<ControlServer> => {
  const server = createServer(getRequestListener(fetch));
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
