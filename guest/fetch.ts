// fetch over wasi:http/outgoing-handler, to the hosts that the manifest lists. Redirects are not followed.
import { handle } from 'wasi:http/outgoing-handler';
import { Fields, OutgoingBody, OutgoingRequest } from 'wasi:http/types';
import { headersOf, methodOf, readBody, writeBody } from './exchange.ts';
import { Request, Response } from './http.ts';
import { encode } from './text.ts';
import { ready } from './timers.ts';

const TARGET = /^(https?):\/\/(?:[^@/?#]*@)?([^/?#]+)([^#]*)/i;
/** What the host sets itself. */
const FORBIDDEN = new Set(['host', 'connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'proxy-connection']);

function failure(url: string, error): TypeError {
  const { tag, val } = error?.payload ?? error ?? {};
  const why = tag === undefined ? String(error) : `${tag}${typeof val === 'string' ? `: ${val}` : ''}`;
  return new TypeError(`cannot fetch ${url}: ${why}`);
}

function outgoing(request: Request, bytes: Uint8Array) {
  const [, scheme, authority, path] = TARGET.exec(request.url) ?? [];
  if (scheme === undefined) throw new TypeError(`cannot fetch ${request.url}: it must be a URL of http or https`);
  const fields = [...request.headers].filter(([name]) => !FORBIDDEN.has(name)).map(([name, value]) => [name, encode(value)]);
  if (bytes.length > 0 && !request.headers.has('content-length')) fields.push(['content-length', encode(String(bytes.length))]);
  const sent = new OutgoingRequest(Fields.fromList(fields));
  sent.setMethod(methodOf(request.method));
  sent.setScheme({ tag: scheme.toLowerCase() === 'https' ? 'HTTPS' : 'HTTP' });
  sent.setAuthority(authority);
  sent.setPathWithQuery(path.startsWith('/') ? path : `/${path}`);
  return sent;
}

function responseOf(url: string, incoming): Response {
  const status = incoming.status();
  const headers = headersOf(incoming);
  const response = new Response({ url: () => url, headers: () => headers, read: () => readBody(incoming) }, { status });
  return response;
}

export async function fetch(input: string | Request | { toString(): string }, init?: object): Promise<Response> {
  const request = new Request(input, init);
  const bytes = request.take();
  const sent = outgoing(request, bytes);
  const body = sent.body();
  let future: ReturnType<typeof handle>;
  try {
    future = handle(sent, null);
  } catch (error) {
    throw failure(request.url, error);
  }
  writeBody(body, bytes);
  OutgoingBody.finish(body, null);
  await ready(future.subscribe());
  const answer = future.get()?.val;
  future[Symbol.dispose]();
  if (answer?.tag !== 'ok') throw failure(request.url, answer?.val);
  return responseOf(request.url, answer.val);
}
