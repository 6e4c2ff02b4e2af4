/** `nacelle:sidecar`: what the host gives to sidecars beside WASI. */
import { type Err, err } from '../../base/result.ts';
import type { HostInterface } from '../../component/host.ts';
import type { Peers, WasiContext } from '../context.ts';
import { FutureIncomingResponse } from './future-incoming-response.ts';
import { type ErrorCode, errorCode } from './http-error-code.ts';
import { methodText } from './http-method.ts';
import type { OutgoingRequest } from './outgoing-message.ts';
import { assertChildless } from './resource.ts';

const peersOf = ({ peers }: WasiContext): Peers => {
  if (!peers) throw new Error('only a sidecar may call this');
  return peers;
};

function handle(context: WasiContext, request: OutgoingRequest): FutureIncomingResponse | Err<ErrorCode> {
  assertChildless(context, request, 'send outgoing-request');
  const { scheme, authority, pathWithQuery, headers, content } = request;
  const exchange = peersOf(context).next(
    {
      method: methodText(request.method),
      scheme: scheme?.tag === 'HTTPS' ? 'https' : 'http',
      authority: authority ?? '',
      pathWithQuery: pathWithQuery ?? '/',
      headers,
    },
    content !== null,
  );
  if (exchange === undefined) {
    content?.abort('the request was refused');
    return err(errorCode('internal-error', 'there is no next one, or it has been called before'));
  }
  content?.attach(exchange.body);
  return new FutureIncomingResponse(exchange);
}

/** By their names with version: no function has them. */
export const sidecarInterfaces: readonly HostInterface<WasiContext>[] = [
  { name: 'nacelle:sidecar/next@0.1.0', functions: { handle } },
  {
    name: 'nacelle:sidecar/configuration@0.1.0',
    waitless: 'all',
    functions: {
      settings: (context: WasiContext) => peersOf(context).settings(),
      record: (context: WasiContext, key: string, value: string | undefined) => peersOf(context).record(key, value),
    },
  },
];
