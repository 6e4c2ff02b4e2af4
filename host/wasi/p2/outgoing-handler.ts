import { Err, err } from '../../base/result.ts';
import type { HostInterface } from '../../component/host.ts';
import type { OutboundRequest, WasiContext } from '../context.ts';
import { allowsOutbound } from '../outbound-grant.ts';
import { contentLengthOf } from './fields.ts';
import { FutureIncomingResponse } from './future-incoming-response.ts';
import { type ErrorCode, errorCode, failedExchange } from './http-error-code.ts';
import { methodText } from './http-method.ts';
import type { OutgoingRequest, RequestOptions } from './outgoing-message.ts';
import { assertChildless } from './resource.ts';

const refuse = (code: string, text = ''): Err<ErrorCode> => err(errorCode(code, text));

const toMs = (ns: bigint | undefined): number | undefined => (ns === undefined ? undefined : Math.ceil(Number(ns) / 1_000_000));

function pathOf(pathWithQuery: string | undefined): string {
  if (pathWithQuery === undefined || pathWithQuery === '') return '/';
  const encoded = pathWithQuery.replace(/[\u0080-\uffff]+/g, encodeURIComponent);
  return encoded.startsWith('?') ? `/${encoded}` : encoded;
}

/** The request as it goes out, or why it may not. */
function prepare(context: WasiContext, request: OutgoingRequest, options: RequestOptions | undefined): OutboundRequest | Err<ErrorCode> {
  const { scheme, authority } = request;
  if (scheme?.tag === 'other') return refuse('HTTP-protocol-error');
  if (authority === undefined) return refuse('HTTP-request-URI-invalid');
  if (request.method.tag === 'connect') return refuse('HTTP-request-method-invalid');
  const schemeText = scheme?.tag === 'HTTP' ? 'http' : 'https';
  const allowed = allowsOutbound(context.grant.outboundHosts, schemeText, authority);
  if (allowed === null) return refuse('HTTP-request-denied');
  const length = contentLengthOf(request.headers);
  if (length === null) return refuse('HTTP-protocol-error');
  if (length > 0 && request.content === null) return refuse('HTTP-request-body-size', '0');
  return {
    method: methodText(request.method),
    scheme: schemeText,
    authority,
    pathWithQuery: pathOf(request.pathWithQuery),
    headers: request.headers,
    listed: allowed === 'listed',
    owner: context,
    connectTimeoutMs: toMs(options?.connectTimeout),
    firstByteTimeoutMs: toMs(options?.firstByteTimeout),
    betweenBytesTimeoutMs: toMs(options?.betweenBytesTimeout),
  };
}

function handle(context: WasiContext, request: OutgoingRequest, options: RequestOptions | undefined): FutureIncomingResponse | Err<ErrorCode> {
  assertChildless(context, request, 'send outgoing-request');
  const outbound = prepare(context, request, options);
  if (outbound instanceof Err) {
    request.content?.abort('the request was refused');
    return outbound;
  }
  try {
    const exchange = context.execution.outbound.send(outbound);
    if (request.content === null) exchange.body.finish();
    else request.content.attach(exchange.body);
    return new FutureIncomingResponse(exchange);
  } catch (error) {
    return failedExchange(error);
  }
}

export const outgoingHandler: HostInterface<WasiContext> = {
  name: 'wasi:http/outgoing-handler',
  functions: { handle },
};
