import { lookup } from 'node:dns/promises';
import { connect, isIP } from 'node:net';
import { Problem } from '../base/errors.ts';
import { type Address, formatAddress } from '../config/address.ts';

const discardPort = 9;

/** Binds a socket to the address without listening, so that no client can connect meanwhile. Resolves with the error's code, if binding fails. */
const bindError = (address: string, port: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    const host = isIP(address) === 6 ? '::1' : '127.0.0.1';
    const socket = connect({ host, port: discardPort, localAddress: address, localPort: port });
    socket.on('error', ({ code, syscall }: NodeJS.ErrnoException) => resolve(syscall === 'bind' ? code : undefined));
    socket.on('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
  });

/**
 * Checks that nobody listens on an address. Threads that share a port would share it with another process as well, and
 * not see an error.
 * @throws Problem `address-in-use`, `config-invalid`
 */
export const checkPortFree = async (http: Address): Promise<void> => {
  if (http.port === 0) return;
  const address = isIP(http.host) ? http.host : (await lookup(http.host).catch(() => undefined))?.address;
  const error = address === undefined ? 'its name cannot be resolved' : await bindError(address, http.port);
  if (error === 'EADDRINUSE') throw new Problem('address-in-use', `cannot listen on ${formatAddress(http)}: another process does`);
  if (error !== undefined) throw new Problem('config-invalid', `cannot listen on ${formatAddress(http)}: ${error}`);
};
