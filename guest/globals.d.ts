// What there is in a function that `nacelle build` makes, beside the JavaScript language: "lib": ["esnext"], "types": ["nacelle/guest"].

type HeaderPairs = Iterable<readonly [name: string, value: string]> | Record<string, string>;
type BodyInit = string | ArrayBuffer | ArrayBufferView | URLSearchParams | null;

declare class Headers implements Iterable<[string, string]> {
  constructor(init?: Headers | HeaderPairs);
  append(name: string, value: string): void;
  set(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  has(name: string): boolean;
  getSetCookie(): string[];
  forEach(visit: (value: string, name: string) => void): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

/** Bodies are whole: there are no streams. */
interface Body {
  readonly headers: Headers;
  readonly bodyUsed: boolean;
  text(): Promise<string>;
  // biome-ignore lint/suspicious/noExplicitAny: as the Fetch standard's types have it
  json(): Promise<any>;
  bytes(): Promise<Uint8Array>;
  arrayBuffer(): Promise<ArrayBuffer>;
}

interface RequestInit {
  method?: string;
  headers?: Headers | HeaderPairs;
  body?: BodyInit;
}

interface Request extends Body {
  readonly method: string;
  readonly url: string;
  clone(): Request;
}
declare const Request: { new (input: string | URL | Request, init?: RequestInit): Request };

interface ResponseInit {
  status?: number;
  statusText?: string;
  headers?: Headers | HeaderPairs;
}

interface Response extends Body {
  readonly status: number;
  readonly statusText: string;
  readonly ok: boolean;
  readonly url: string;
  clone(): Response;
}
declare const Response: {
  new (body?: BodyInit, init?: ResponseInit): Response;
  json(value: unknown, init?: ResponseInit): Response;
  redirect(url: string | URL, status?: number): Response;
};

/** Only to the hosts under `capabilities.http` of the manifest. Redirects are not followed. */
declare function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;

declare class URLSearchParams implements Iterable<[string, string]> {
  constructor(init?: string | HeaderPairs);
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  forEach(visit: (value: string, name: string) => void): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  toString(): string;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

declare class URL {
  constructor(url: string | URL, base?: string | URL);
  static canParse(url: string, base?: string): boolean;
  hash: string;
  host: string;
  hostname: string;
  href: string;
  readonly origin: string;
  password: string;
  pathname: string;
  port: string;
  protocol: string;
  search: string;
  readonly searchParams: URLSearchParams;
  username: string;
  toJSON(): string;
  toString(): string;
}

declare const crypto: { getRandomValues<T extends ArrayBufferView>(array: T): T; randomUUID(): string };
declare const performance: { now(): number; readonly timeOrigin: number };

/** Each call is a line of the function's log. */
declare const console: Record<'log' | 'info' | 'warn' | 'error' | 'debug' | 'trace', (...values: unknown[]) => void>;

declare class TextEncoder {
  readonly encoding: 'utf-8';
  encode(text?: string): Uint8Array;
}
declare class TextDecoder {
  readonly encoding: 'utf-8';
  decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}
declare function atob(text: string): string;
declare function btoa(text: string): string;

declare function setTimeout<A extends unknown[]>(run: (...args: A) => void, ms?: number, ...args: A): number;
declare function setInterval<A extends unknown[]>(run: (...args: A) => void, ms?: number, ...args: A): number;
declare function clearTimeout(id: number | undefined): void;
declare function clearInterval(id: number | undefined): void;
declare function queueMicrotask(run: () => void): void;

declare module 'wasi:config/store' {
  export function get(key: string): string | null;
  export function getAll(): [key: string, value: string][];
}
declare module 'wasi:logging/logging' {
  export function log(level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'critical', context: string, message: string): void;
}
declare module 'wasi:keyvalue/store' {
  export interface Bucket {
    get(key: string): Uint8Array | null;
    set(key: string, value: Uint8Array): void;
    delete(key: string): void;
    exists(key: string): boolean;
    listKeys(cursor: string | null): { keys: string[]; cursor: string | null };
    [Symbol.dispose](): void;
  }
  /** A bucket by the name that the manifest gives it. It is to be disposed of. */
  export function open(name: string): Bucket;
}
/** Others have no types here. */
declare module 'wasi:*';
declare module 'nacelle:*';
