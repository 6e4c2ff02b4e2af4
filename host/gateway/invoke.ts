import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { Problem } from '../base/errors.ts';

/** Where a function is asked for: a gateway's address, and the host name by which its routes are found. */
export type InvokeAddress = { host: string; port: number; functionHost: string };

const bodyless = new Set([101, 204, 205, 304]);

const responseOf = (incoming: IncomingMessage, method: string): Response => {
  const headers = new Headers();
  for (let i = 0; i < incoming.rawHeaders.length; i += 2) headers.append(incoming.rawHeaders[i] as string, incoming.rawHeaders[i + 1] as string);
  const status = incoming.statusCode ?? 502;
  const empty = method === 'HEAD' || bodyless.has(status);
  if (empty) incoming.resume();
  return new Response(empty ? null : (Readable.toWeb(incoming) as globalThis.ReadableStream), { status: Math.min(Math.max(status, 200), 599), headers });
};

/**
 * Sends a request to a function through a gateway, as a client would, and ends it when `request.signal` aborts.
 * @throws Problem `unavailable` if no gateway answers
 */
export const invokeThroughGateway = ({ host, port, functionHost }: InvokeAddress, request: Request): Promise<Response> =>
  new Promise((resolve, reject) => {
    const { pathname, search } = new URL(request.url);
    const headers = { ...Object.fromEntries(request.headers), host: functionHost };
    const outgoing = httpRequest({ host, port, method: request.method, path: pathname + search, headers, signal: request.signal, agent: false });
    outgoing.on('response', (incoming) => resolve(responseOf(incoming, request.method)));
    outgoing.on('error', (error) => reject(new Problem('unavailable', `cannot invoke the function: ${error.message}`)));
    if (!request.body) outgoing.end();
    else {
      const body = Readable.fromWeb(request.body as ReadableStream<Uint8Array>);
      body.on('error', () => outgoing.destroy());
      body.pipe(outgoing);
    }
  });
