import { ByteStreamError } from '../base/stream.ts';
import type { GuestRequest, HeaderList, OutboundExchange, OutboundResponse, ResponseSink } from '../wasi/context.ts';
import { Pipe } from './pipe.ts';

/**
 * A request from a middleware to the next part of its chain, as an exchange with a server: `run` is given the request
 * and where its response goes, and resolves when the part has ended; it rejects with why it did not answer.
 */
export function exchangeWith(
  request: Omit<GuestRequest, 'body'>,
  hasBody: boolean,
  run: (request: GuestRequest, response: ResponseSink) => Promise<void>,
): OutboundExchange {
  const sent = new Pipe();
  const received = new Pipe();
  const { promise, resolve, reject } = Promise.withResolvers<OutboundResponse>();
  promise.catch(() => undefined);
  const fail = (code: string, message: string): void => {
    reject(new ByteStreamError(code, message));
    received.break(code, message);
  };
  const response: ResponseSink = {
    respond(status, headers: HeaderList) {
      resolve({ status, headers, body: received.source });
      return received.sink;
    },
    fail: (code, detail) => fail(code, detail ?? 'the next part answered with an error'),
  };
  if (!hasBody) sent.sink.finish();
  void run({ ...request, body: hasBody ? sent.source : null }, response).then(
    () => fail('HTTP-response-incomplete', 'the next part did not answer'),
    (error: unknown) => fail('connection-terminated', error instanceof Error ? error.message : String(error)),
  );
  return {
    body: sent.sink,
    response: promise,
    cancel() {
      sent.break('connection-terminated', 'the middleware wants no response');
      received.source.cancel();
    },
  };
}
