import type { ByteSource } from '../../base/stream.ts';
import type { GuestRequest, HeaderList, OutboundResponse } from '../context.ts';
import { Fields, withoutForbidden } from './fields.ts';
import { http, https, type Method, methodOf, type Scheme } from './http-method.ts';
import { IncomingBody } from './incoming-body.ts';
import type { Parent } from './resource.ts';

/** What `incoming-request` and `incoming-response` share: immutable headers and a body that is taken at most once. */
class IncomingMessage implements Parent {
  children = 0;
  private received: HeaderList;
  private filtered = false;
  private readonly source: ByteSource | null;
  private consumed = false;

  constructor(headers: HeaderList, body: ByteSource | null) {
    this.received = headers;
    this.source = body;
  }

  headers(): Fields {
    if (!this.filtered) this.received = withoutForbidden(this.received);
    this.filtered = true;
    return Fields.view(this.received, this);
  }

  /** The body, the first time. */
  consume(): IncomingBody | null {
    if (this.consumed) return null;
    this.consumed = true;
    return new IncomingBody(this.source);
  }

  drop(): void {
    if (!this.consumed) this.source?.cancel();
  }
}

/** The resource `wasi:http/types.incoming-request`. */
export class IncomingRequest extends IncomingMessage {
  readonly method: Method;
  readonly scheme: Scheme;
  readonly authority: string;
  readonly pathWithQuery: string;

  constructor(request: GuestRequest) {
    super(request.headers, request.body);
    this.method = methodOf(request.method);
    this.scheme = request.scheme === 'https' ? https : http;
    this.authority = request.authority;
    this.pathWithQuery = request.pathWithQuery;
  }
}

/** The resource `wasi:http/types.incoming-response`. */
export class IncomingResponse extends IncomingMessage {
  readonly status: number;

  constructor(response: OutboundResponse) {
    super(response.headers, response.body);
    this.status = response.status;
  }
}
