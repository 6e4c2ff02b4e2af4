import { Err } from '../../host/base/result.ts';
import type { Grant, HeaderList, OutboundHttp, WasiContext } from '../../host/wasi/context.ts';
import { hostInterfaces } from '../../host/wasi/p2/index.ts';

/** What a guest does with the host interfaces, for tests: calls by WIT name, with the results unwrapped. */

export type Line = { stream: string; text: string };

const refusing: OutboundHttp = {
  send() {
    throw new Error('this test sends nothing');
  },
};

export function makeContext(grant: Partial<Grant> = {}, outbound: OutboundHttp = refusing): WasiContext & { lines: Line[]; exits: boolean[] } {
  const lines: Line[] = [];
  const exits: boolean[] = [];
  return {
    lines,
    exits,
    grant: { env: [], config: new Map(), outboundHosts: [], scratch: false, scratchBytesMax: 0, ...grant },
    execution: {
      id: 'test',
      log: {
        write: (stream, bytes) => lines.push({ stream, text: new TextDecoder().decode(bytes) }),
        record: (level, topic, message) => lines.push({ stream: level, text: `${topic}: ${message}` }),
      },
      outbound,
    },
    local: new Map(),
    exit(ok) {
      exits.push(ok);
      throw new Error('exit');
    },
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a guest's values have no type here
export type Value = any;

/** Calls `interface#function`, for example `call(context, 'wasi:io/poll', 'poll', list)`. */
export function call(context: WasiContext, name: string, func: string, ...parameters: Value[]): Value {
  const table = hostInterfaces.get(name);
  const implementation = table?.functions[func];
  if (implementation === undefined) throw new Error(`no ${name} ${func}`);
  const result = implementation(context, ...(parameters as never[]));
  if (result instanceof Promise && !table?.suspending?.includes(func)) throw new Error(`${func} may not wait`);
  return result;
}

export function drop(context: WasiContext, name: string, resource: string, object: unknown): void {
  const implementation = hostInterfaces.get(name)?.drop?.[resource];
  if (implementation === undefined) throw new Error(`no drop of ${name} ${resource}`);
  implementation(context, object as never);
}

export type Guest = ReturnType<typeof makeGuest>;

/** Short names for one context: `http('[method]fields.get', …)`, `http.drop('fields', …)`. */
export function makeGuest(context: WasiContext) {
  const bind = (name: string) =>
    Object.assign((func: string, ...parameters: Value[]) => call(context, name, func, ...parameters), {
      drop: (resource: string, object: unknown) => drop(context, name, resource, object),
    });
  return {
    context,
    http: bind('wasi:http/types'),
    streams: bind('wasi:io/streams'),
    poll: bind('wasi:io/poll'),
    clock: bind('wasi:clocks/monotonic-clock'),
    outgoing: bind('wasi:http/outgoing-handler'),
  };
}

/** The payload of an `Err`; throws if it is none. */
export function errorOf(result: unknown): Value {
  if (!(result instanceof Err)) throw new Error(`expected an error, got ${String(result)}`);
  return result.value;
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

export const text = (chunk: Uint8Array): string => new TextDecoder().decode(chunk);

export const headers = (...pairs: [string, string][]): HeaderList => pairs.map(([name, value]) => [name, bytes(value)]);

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
