import type { ByteSource } from '../../base/stream.ts';
import type { GuestRequest, HeaderList, OutboundResponse } from '../context.ts';
import { Fields, withoutForbidden } from './fields.ts';
import { http, https, type Method, methodOf, type Scheme } from './http-method.ts';
import { IncomingBody } from './incoming-body.ts';
import type { Parent } from './resource.ts';

/** What `incoming-request` and `incoming-response` share: immutable headers and a body that is taken at most once. */
class IncomingMessage implements Parent {
  children = 0;
  private readonly message: { readonly headers: HeaderList };
  private visible: HeaderList | undefined;
  private readonly source: ByteSource | null;
  private consumed = false;

  /** `message.headers` is read when the guest asks for headers. */
  constructor(message: { readonly headers: HeaderList }, body: ByteSource | null) {
    this.message = message;
    this.source = body;
  }

  headers(): Fields {
    this.visible ??= withoutForbidden(this.message.headers);
    return Fields.view(this.visible, this);
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
    super(request, request.body);
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
    super(response, response.body);
    this.status = response.status;
  }
}
