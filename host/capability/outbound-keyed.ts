import { shortHash } from '../base/short-hash.ts';
import type { OutboundHttp, OutboundRequest } from '../wasi/context.ts';

const header = 'idempotency-key';
const placeLength = 16;

const placeOf = ({ method, scheme, authority, pathWithQuery }: OutboundRequest): string =>
  shortHash(`${method} ${scheme}://${authority}${pathWithQuery}`, placeLength);

/**
 * Requests of an execution that may be run again: each has a key of its own, made of the execution, of where it goes, and of
 * how many went there before, so that whoever gets it at a later attempt can tell that it is the same. What an attempt sends
 * elsewhere than the one before it takes no key of that one. A key that the guest sets stays.
 */
export const keyedOutbound = (outbound: OutboundHttp, execution: string): OutboundHttp => {
  const sent = new Map<string, number>();
  return {
    send: (request) => {
      const place = placeOf(request);
      const count = (sent.get(place) ?? 0) + 1;
      sent.set(place, count);
      if (request.headers.some(([name]) => name.toLowerCase() === header)) return outbound.send(request);
      const own: [string, Uint8Array] = [header, Buffer.from(`"${execution}-${place}-${count}"`)];
      return outbound.send({ ...request, headers: [...request.headers, own] });
    },
  };
};
