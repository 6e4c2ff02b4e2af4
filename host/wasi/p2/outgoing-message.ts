import type { HeaderList, WasiContext } from '../context.ts';
import { contentLengthOf, type Fields } from './fields.ts';
import type { Method, Scheme } from './http-method.ts';
import { OutgoingBody } from './outgoing-body.ts';
import { heldBytes, type Parent } from './resource.ts';

/** The resource `wasi:http/types.outgoing-response`. */
export class OutgoingResponse implements Parent {
  children = 0;
  status = 200;
  /** What the guest took by `body`, if it did. */
  content: OutgoingBody | null = null;
  readonly headers: HeaderList;

  constructor(headers: Fields) {
    this.headers = headers.release();
  }

  /** The body, the first time. Null also if content-length makes no sense. */
  body(context: WasiContext): OutgoingBody | null {
    if (this.content !== null) return null;
    const length = contentLengthOf(this.headers);
    if (length === null) return null;
    this.content = new OutgoingBody(length, 'HTTP-response-body-size', heldBytes(context));
    return this.content;
  }
}

/** The resource `wasi:http/types.outgoing-request`. */
export class OutgoingRequest implements Parent {
  children = 0;
  method: Method = { tag: 'get' };
  scheme: Scheme | undefined;
  authority: string | undefined;
  pathWithQuery: string | undefined;
  content: OutgoingBody | null = null;
  readonly headers: HeaderList;

  constructor(headers: Fields) {
    this.headers = headers.release();
  }

  /** As of `OutgoingResponse`. */
  body(context: WasiContext): OutgoingBody | null {
    if (this.content !== null) return null;
    const length = contentLengthOf(this.headers);
    if (length === null) return null;
    this.content = new OutgoingBody(length, 'HTTP-request-body-size', heldBytes(context));
    return this.content;
  }
}

/** The resource `wasi:http/types.request-options`; durations in nanoseconds. */
export class RequestOptions {
  connectTimeout: bigint | undefined;
  firstByteTimeout: bigint | undefined;
  betweenBytesTimeout: bigint | undefined;
}
