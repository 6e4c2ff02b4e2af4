// wasi:http/incoming-handler over a function from Request to Response, the default export of `function:user`.
import './promise.ts';
import './console.ts';
import user from 'function:user';
import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from 'wasi:http/types';
import type { Pair } from './headers.ts';
import { Request, Response } from './http.ts';
import { decode, encode } from './text.ts';
import { clearTimers, runUntil } from './timers.ts';

const CHUNK_BYTES = 4096;
const READ_BYTES = 65536;

function concat(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The body of a request, read only when it is asked for. */
function readBody(incoming): Uint8Array {
  const body = incoming.consume();
  const stream = body.stream();
  const parts: Uint8Array[] = [];
  try {
    for (;;) parts.push(stream.blockingRead(READ_BYTES));
  } catch (error) {
    if (error.payload?.tag !== 'closed') throw error;
    return concat(parts);
  } finally {
    stream[Symbol.dispose]();
    body[Symbol.dispose]();
  }
}

function headersOf(incoming): Pair[] {
  const fields = incoming.headers();
  const pairs = fields.entries().map(([name, value]): Pair => [name, decode(value)]);
  fields[Symbol.dispose]();
  return pairs;
}

function requestOf(incoming): Request {
  const method = incoming.method();
  return new Request({
    method: method.val ?? method.tag.toUpperCase(),
    url: () => `http://${incoming.authority() ?? 'localhost'}${incoming.pathWithQuery() ?? '/'}`,
    headers: () => headersOf(incoming),
    read: () => readBody(incoming),
  });
}

function send(out, response: Response): void {
  const fields = [...response.headers].map(([name, value]) => [name, encode(value)]);
  const outgoing = new OutgoingResponse(Fields.fromList(fields));
  if (response.status !== 200) outgoing.setStatusCode(response.status);
  const body = outgoing.body();
  ResponseOutparam.set(out, { tag: 'ok', val: outgoing });
  const bytes = response.take();
  if (bytes.length > 0) {
    const stream = body.write();
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) stream.blockingWriteAndFlush(bytes.subarray(at, at + CHUNK_BYTES));
    stream[Symbol.dispose]();
  }
  OutgoingBody.finish(body, null);
}

function failed(error: unknown): Response {
  console.error(error);
  return new Response('Internal Server Error\n', { status: 500 });
}

const checked = (value: unknown): Response => (value instanceof Response ? value : failed(new TypeError('fetch must return a Response')));

/** The response to a request; jobs and timers run until it is there. */
function respondTo(request: Request): Response {
  try {
    const returned = user.fetch(request, {}, {});
    if (returned instanceof Response) return returned;
    let response: Response | undefined;
    Promise.resolve(returned).then(
      (value: unknown) => {
        response = checked(value);
      },
      (error: unknown) => {
        response = failed(error);
      },
    );
    if (runUntil(() => response !== undefined)) return response;
    return failed(new Error('the response waits for what nothing will settle'));
  } catch (error) {
    return failed(error);
  }
}

export const incomingHandler = {
  handle(incoming, out) {
    const response = respondTo(requestOf(incoming));
    clearTimers();
    send(out, response);
    incoming[Symbol.dispose]();
  },
};
