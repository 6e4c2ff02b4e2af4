// Request and Response with whole bodies, the part of the Fetch standard that servers use.
import { Headers, type Pair } from './headers.ts';
import { decode, encode } from './text.ts';

type BodyInit = string | Uint8Array | ArrayBuffer | null | undefined;
type Init = { method?: string; status?: number; headers?: Headers | Record<string, string>; body?: BodyInit };
/** A request that is still in the host: each part is fetched when it is looked at. */
export type Incoming = { method: string; url: () => string; headers: () => Pair[]; read: () => Uint8Array };

abstract class Body {
  bodyUsed = false;
  readonly headers: Headers;
  #read: () => Uint8Array;

  constructor(read: () => Uint8Array, headers: Headers) {
    this.#read = read;
    this.headers = headers;
  }

  /** The whole body, once. */
  take(): Uint8Array {
    if (this.bodyUsed) throw new TypeError('the body was already read');
    this.bodyUsed = true;
    return this.#read();
  }

  async text(): Promise<string> {
    return decode(this.take());
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  async arrayBuffer(): Promise<ArrayBufferLike> {
    return this.take().slice().buffer;
  }
}

function bytesOf(body: BodyInit): Uint8Array {
  if (body === null || body === undefined) return new Uint8Array();
  if (typeof body === 'string') return encode(body);
  return new Uint8Array(body);
}

export class Request extends Body {
  readonly method: string;
  #url: string | (() => string);

  constructor(input: string | Incoming, init: Init = {}) {
    const host = typeof input === 'object' && 'read' in input ? input : undefined;
    super(host?.read ?? (() => bytesOf(init.body)), new Headers(host?.headers ?? init.headers));
    this.#url = host?.url ?? String(input);
    this.method = host?.method ?? init.method ?? 'GET';
  }

  get url(): string {
    if (typeof this.#url === 'function') this.#url = this.#url();
    return this.#url;
  }
}

export class Response extends Body {
  readonly status: number;
  readonly body: BodyInit;

  constructor(body?: BodyInit, init: Init = {}) {
    super(() => bytesOf(body), new Headers(init.headers));
    this.body = body;
    this.status = init.status ?? 200;
    if (typeof body === 'string' && !this.headers.has('content-type')) this.headers.set('content-type', 'text/plain;charset=UTF-8');
  }

  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  static json(value: unknown, init: Init = {}): Response {
    const headers = new Headers(init.headers);
    headers.set('content-type', 'application/json');
    return new Response(JSON.stringify(value), { ...init, headers });
  }
}

Object.assign(globalThis, { Headers, Request, Response });
