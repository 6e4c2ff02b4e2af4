import { readFileSync } from 'node:fs';
import type { ByteSink, ByteSource } from '../../host/base/stream.ts';
import { Linker } from '../../host/component/link.ts';
import { InstancePool, type Outcome, type PoolOptions, type Running } from '../../host/instance/pool.ts';
import type { Artifact } from '../../host/module/artifact.ts';
import { prepare } from '../../host/module/prepare.ts';
import type { ExecutionPorts, Grant, GuestRequest, HeaderList, OutboundHttp, WasiContext } from '../../host/wasi/context.ts';
import { hostInterfaces, makeIncomingRequest, makeResponseOutparam } from '../../host/wasi/p2/index.ts';

export type Loaded = { artifact: Artifact; modules: WebAssembly.Module[]; handler: string };

/** A fixture, prepared as an upload would be, without threads or cache. */
export async function load(name: string): Promise<Loaded> {
  const implemented = new Map([...hostInterfaces].map(([interfaceName, { functions }]) => [interfaceName, Object.keys(functions)]));
  const artifact = prepare(new Uint8Array(readFileSync(new URL(`../../fixtures/${name}.wasm`, import.meta.url))), implemented);
  const handler = artifact.plan.exports.find((exported) => exported.interface.startsWith('wasi:http/incoming-handler@'))?.interface ?? '';
  return { artifact, modules: artifact.modules.map((bytes) => new WebAssembly.Module(bytes as BufferSource)), handler };
}

export const grant: Grant = { env: [['GREETING', 'hi']], config: new Map([['colour', 'blue']]), outboundHosts: [], scratch: false, scratchBytesMax: 0 };

const outbound: OutboundHttp = {
  send() {
    throw new Error('no outgoing requests in this test');
  },
};

export type Captured = { stdout: string; records: string[] };

export function ports(captured: Captured = { stdout: '', records: [] }): ExecutionPorts {
  const log = {
    write(_stream: string, bytes: Uint8Array) {
      captured.stdout += Buffer.from(bytes).toString('latin1');
    },
    record(level: string, context: string, message: string) {
      captured.records.push(`${level} ${context} ${message}`);
    },
  };
  return { id: 'test', log, outbound };
}

export const initialPages = (artifact: Artifact): number =>
  artifact.reports.reduce((sum, report) => sum + report.memories.reduce((pages, memory) => pages + memory.minPages, 0), 0);

export function optionsOf({ artifact, modules }: Loaded, overrides: Partial<PoolOptions> = {}): PoolOptions {
  return {
    plan: artifact.plan,
    modules,
    interfaces: hostInterfaces,
    grant,
    limits: { memoryPages: 1024, cpuMs: 200 },
    initialPages: initialPages(artifact),
    mode: 'pristine',
    restorable: artifact.restorable,
    concurrency: 100,
    ...overrides,
  };
}

export const poolOf = (loaded: Loaded, overrides: Partial<PoolOptions> = {}): InstancePool => new InstancePool(optionsOf(loaded, overrides));

export const linkerOf = ({ artifact, modules }: Loaded): Linker<WasiContext> => new Linker(artifact.plan, modules, hostInterfaces);

class BytesSource implements ByteSource {
  private readonly bytes: Uint8Array;
  private readonly sentTrailers: HeaderList | undefined;
  private at = 0;
  readonly ready = true;

  constructor(bytes: Uint8Array, trailers: HeaderList | undefined) {
    this.bytes = bytes;
    this.sentTrailers = trailers;
  }

  read(max: number): Uint8Array | null {
    if (this.at >= this.bytes.length) return null;
    const chunk = this.bytes.slice(this.at, this.at + max);
    this.at += chunk.length;
    return chunk;
  }

  async readable(): Promise<void> {}

  trailers(): HeaderList | undefined {
    return this.sentTrailers;
  }

  cancel(): void {}
}

export type Answer = {
  status: number;
  headers: HeaderList;
  body: Uint8Array;
  text: string;
  failed: string | undefined;
  aborted: string | undefined;
  complete: boolean;
  trailers: HeaderList | undefined;
};

/** Collects what a guest answers. */
export class Collector {
  status = 0;
  headers: HeaderList = [];
  failed: string | undefined;
  aborted: string | undefined;
  complete = false;
  trailers: HeaderList | undefined;
  readonly chunks: Uint8Array[] = [];

  respond(status: number, headers: HeaderList): ByteSink {
    this.status = status;
    this.headers = headers;
    const collector = this;
    return {
      capacity: 65536,
      drained: true,
      write(chunk) {
        collector.chunks.push(chunk);
      },
      async writable() {},
      async flushed() {},
      finish(trailers) {
        collector.complete = true;
        collector.trailers = trailers;
      },
      abort(reason) {
        collector.aborted = reason;
      },
    };
  }

  fail(errorCode: string, detail: string | undefined): void {
    this.failed = detail === undefined ? errorCode : `${errorCode}: ${detail}`;
  }

  answer(): Answer {
    const body = Buffer.concat(this.chunks);
    const { status, headers, failed, aborted, complete, trailers } = this;
    return { status, headers, body, text: body.toString(), failed, aborted, complete, trailers };
  }
}

type Headers = [string, string][];
export type Sent = { method?: string; path?: string; headers?: Headers; body?: string; trailers?: Headers };

const listOf = (headers: Headers): HeaderList => headers.map(([name, value]) => [name, Buffer.from(value)]);

export function requestOf(sent: Sent): GuestRequest {
  const headers = listOf(sent.headers ?? []);
  const body = sent.body === undefined ? null : new BytesSource(Buffer.from(sent.body), sent.trailers && listOf(sent.trailers));
  const method = sent.method ?? (sent.body === undefined ? 'GET' : 'POST');
  return { method, scheme: 'http', authority: 'localhost', pathWithQuery: sent.path ?? '/', headers, body };
}

/** The parameters of `handle` for a request. */
export function parametersOf(sent: Sent, collector: Collector): unknown[] {
  const request = requestOf(sent);
  return [makeIncomingRequest(request), makeResponseOutparam(collector, request.method)];
}

export function start(pool: InstancePool, handler: string, sent: Sent = {}, execution = ports()): { running: Running; collector: Collector } {
  const collector = new Collector();
  return { running: pool.run(execution, { interface: handler, function: 'handle', parameters: parametersOf(sent, collector) }), collector };
}

/** Sends one request through the pool and waits for the guest to return. */
export async function send(pool: InstancePool, handler: string, sent: Sent = {}, execution = ports()): Promise<{ answer: Answer; outcome: Outcome }> {
  const { running, collector } = start(pool, handler, sent, execution);
  const outcome = await running.done;
  return { answer: collector.answer(), outcome };
}
