// Request and Response with whole bodies, the part of the Fetch standard that servers and clients use.
import { Headers, type Pair } from './headers.ts';
import { decode, encode } from './text.ts';

type Source = string | Uint8Array | ArrayBuffer | ArrayBufferView | { toString(): string } | null | undefined;
type Init = { method?: string; status?: number; statusText?: string; headers?: Headers | Iterable<Pair> | Record<string, string>; body?: Source };
/** A message that is still in the host: each part is fetched when it is looked at. */
export type Incoming = { url: () => string; headers: () => Pair[]; read: () => Uint8Array };

const isIncoming = (input: unknown): input is Incoming => typeof input === 'object' && input !== null && 'read' in input;

function bytesOf(body: Source): Uint8Array {
  if (body === null || body === undefined) return new Uint8Array();
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  return encode(String(body));
}

/** What the standard says of bodies without a content type. */
function typeOf(body: Source): string | undefined {
  if (body === null || body === undefined || body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return undefined;
  return body.constructor?.name === 'URLSearchParams' ? 'application/x-www-form-urlencoded;charset=UTF-8' : 'text/plain;charset=UTF-8';
}

abstract class Body {
  bodyUsed = false;
  readonly headers: Headers;
  #read: () => Uint8Array;

  constructor(read: () => Uint8Array, headers: Headers, body?: Source) {
    this.#read = read;
    this.headers = headers;
    const type = typeOf(body);
    if (type !== undefined && !headers.has('content-type')) headers.set('content-type', type);
  }

  /** The whole body, once. */
  take(): Uint8Array {
    if (this.bodyUsed) throw new TypeError('the body was already read');
    this.bodyUsed = true;
    return this.#read();
  }

  /** The whole body, which stays to be read: a clone shares it. */
  peek(): Uint8Array {
    if (this.bodyUsed) throw new TypeError('the body was already read');
    const bytes = this.#read();
    this.#read = () => bytes;
    return bytes;
  }

  async text(): Promise<string> {
    return decode(this.take());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  async bytes(): Promise<Uint8Array> {
    return this.take().slice();
  }

  async arrayBuffer(): Promise<ArrayBufferLike> {
    return this.take().slice().buffer;
  }
}

export class Request extends Body {
  readonly method: string;
  #url: string | (() => string);

  constructor(input: string | Request | Incoming | { toString(): string }, init: Init = {}) {
    const from = input instanceof Request ? input : undefined;
    const headers = new Headers(isIncoming(input) ? input.headers : (init.headers ?? from?.headers));
    const body = init.body === undefined && from !== undefined ? from.take() : init.body;
    super(isIncoming(input) ? input.read : () => bytesOf(body), headers, body);
    this.#url = isIncoming(input) ? input.url : (from?.url ?? String(input));
    this.method = (init.method ?? from?.method ?? 'GET').toUpperCase();
  }

  get url(): string {
    if (typeof this.#url === 'function') this.#url = this.#url();
    return this.#url;
  }

  clone(): Request {
    return new Request(this.url, { method: this.method, headers: this.headers, body: this.peek() });
  }
}

export class Response extends Body {
  readonly status: number;
  readonly statusText: string;
  readonly body: Source;
  readonly url: string;

  constructor(body?: Source | Incoming, init: Init = {}) {
    const incoming = isIncoming(body) ? body : undefined;
    const own = incoming === undefined ? (body as Source) : undefined;
    super(incoming?.read ?? (() => bytesOf(own)), new Headers(incoming?.headers ?? init.headers), own);
    this.body = own;
    this.status = init.status ?? 200;
    this.statusText = init.statusText ?? '';
    this.url = incoming?.url() ?? '';
    if (!Number.isInteger(this.status) || this.status < 200 || this.status > 599) throw new RangeError(`a status must be from 200 to 599, got ${this.status}`);
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  clone(): Response {
    return new Response(this.peek(), { status: this.status, statusText: this.statusText, headers: this.headers });
  }

  static json(value: unknown, init: Init = {}): Response {
    const headers = new Headers(init.headers);
    if (!headers.has('content-type')) headers.set('content-type', 'application/json');
    return new Response(JSON.stringify(value), { ...init, headers });
  }

  static redirect(url: string | { toString(): string }, status = 302): Response {
    return new Response(null, { status, headers: { location: String(url) } });
  }
}

Object.assign(globalThis, { Headers, Request, Response });
