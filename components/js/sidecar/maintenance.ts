// Middleware in TypeScript: answers requests with the header `x-maintenance` with 503, and passes every other on as it is.
import { handle } from 'wasi:http/incoming-handler';
import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from 'wasi:http/types';
import { encode } from '../../../guest/text.ts';

function refuse(out): void {
  const response = new OutgoingResponse(Fields.fromList([['retry-after', encode('60')]]));
  response.setStatusCode(503);
  const body = response.body();
  ResponseOutparam.set(out, { tag: 'ok', val: response });
  const stream = body.write();
  stream.blockingWriteAndFlush(encode('back in a minute\n'));
  stream[Symbol.dispose]();
  OutgoingBody.finish(body, undefined);
}

export const incomingHandler = {
  handle(incoming, out) {
    const fields = incoming.headers();
    const isDown = fields.has('x-maintenance');
    fields[Symbol.dispose]();
    if (!isDown) return handle(incoming, out);
    refuse(out);
    incoming[Symbol.dispose]();
  },
};
