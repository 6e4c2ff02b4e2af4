import type { HeaderList, WasiContext } from '../context.ts';
import { contentLengthOf, type Fields } from './fields.ts';
import type { Method, Scheme } from './http-method.ts';
import { OutgoingBody } from './outgoing-body.ts';
import { heldBytes, type Parent } from './resource.ts';

/** What an outgoing request and an outgoing response have in common: headers that are fixed now, and one body. */
abstract class OutgoingMessage implements Parent {
  children = 0;
  /** What the guest took by `body`, if it did. */
  content: OutgoingBody | null = null;
  readonly headers: HeaderList;
  /** The error-code of a body that is not as long as its content-length says. */
  protected abstract readonly bodySizeCode: 'HTTP-request-body-size' | 'HTTP-response-body-size';

  constructor(headers: Fields) {
    this.headers = headers.release();
  }

  /** The body, the first time. Null also if content-length makes no sense. */
  body(context: WasiContext): OutgoingBody | null {
    if (this.content !== null) return null;
    const length = contentLengthOf(this.headers);
    if (length === null) return null;
    this.content = new OutgoingBody(length, this.bodySizeCode, heldBytes(context));
    return this.content;
  }
}

/** The resource `wasi:http/types.outgoing-response`. */
export class OutgoingResponse extends OutgoingMessage {
  protected readonly bodySizeCode = 'HTTP-response-body-size';
  status = 200;
}

/** The resource `wasi:http/types.outgoing-request`. */
export class OutgoingRequest extends OutgoingMessage {
  protected readonly bodySizeCode = 'HTTP-request-body-size';
  method: Method = { tag: 'get' };
  scheme: Scheme | undefined;
  authority: string | undefined;
  pathWithQuery: string | undefined;
}

/** The resource `wasi:http/types.request-options`; durations in nanoseconds. */
export class RequestOptions {
  connectTimeout: bigint | undefined;
  firstByteTimeout: bigint | undefined;
  betweenBytesTimeout: bigint | undefined;
}
