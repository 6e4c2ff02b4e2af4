import { type Address, formatAddress } from '../config/address.ts';

/** An address as a client on this machine reaches it. */
export const reachable = ({ host, port }: Address): Address => ({ host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port });

export const urlOf = (address: Address): string => `http://${formatAddress(reachable(address))}`;
