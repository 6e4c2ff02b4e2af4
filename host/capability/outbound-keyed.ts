import type { OutboundHttp } from '../wasi/context.ts';

const header = 'idempotency-key';

/**
 * Requests of an execution that may be run again: each has a key of its own, made of the execution and of how many came
 * before, so that whoever gets it at a later attempt can tell that it is the same. A key that the guest sets stays.
 */
export const keyedOutbound = (outbound: OutboundHttp, execution: string): OutboundHttp => {
  let sent = 0;
  return {
    send: (request) => {
      sent++;
      const given = request.headers.some(([name]) => name.toLowerCase() === header);
      const own: [string, Uint8Array] = [header, Buffer.from(`"${execution}-${sent}"`)];
      return outbound.send(given ? request : { ...request, headers: [...request.headers, own] });
    },
  };
};
