/** The groups of one function in a thread: what they share, and what companions are told of an execution. */
import type { ByteSink } from '../base/stream.ts';
import { type Recorded, type RecordedSettings, recordedKey } from '../sidecar/recorded.ts';
import type { ExecutionPorts, GuestRequest, HeaderList, ResponseSink } from '../wasi/context.ts';
import { Group, type GroupFrame } from './group.ts';
import type { ExecutionInfo } from './member.ts';
import { makeParts } from './parts.ts';
import type { PoolRunnerOptions } from './pool-runner.ts';
import type { MainChange } from './runner.ts';
import { SharedSidecars } from './shared-sidecars.ts';

/** A response on its way, of which status and size are noted. */
class ObservedSink implements ResponseSink {
  status = 0;
  bytes = 0;
  readonly info: ExecutionInfo;
  private readonly sink: ResponseSink;

  constructor(sink: ResponseSink, info: ExecutionInfo) {
    this.sink = sink;
    this.info = info;
  }

  respond(status: number, headers: HeaderList): ByteSink {
    this.status = status;
    const body = this.sink.respond(status, headers);
    const count = (bytes: number): void => {
      this.bytes += bytes;
    };
    return {
      get capacity() {
        return body.capacity;
      },
      get drained() {
        return body.drained;
      },
      write: (chunk) => {
        count(chunk.length);
        body.write(chunk);
      },
      writable: () => body.writable(),
      flushed: () => body.flushed(),
      finish: (trailers) => body.finish(trailers),
      abort: (reason) => body.abort(reason),
    };
  }

  informational(status: number, headers: HeaderList): void {
    this.sink.informational?.(status, headers);
  }

  fail(errorCode: string, detail: string | undefined): void {
    this.sink.fail(errorCode, detail);
  }
}

export type Groups = {
  make(ports: ExecutionPorts): Group;
  /** No more executions come: shared sidecars that nobody else links end. */
  release(event: MainChange): void;
  /** To be called before the execution is run: where its response goes from now on. */
  observe(request: GuestRequest, response: ResponseSink, ports: ExecutionPorts): ResponseSink;
};

/** Of one runner alone. */
const forItself = (): RecordedSettings => {
  const known = new Map<string, Recorded>();
  return { get: (key) => known.get(key), set: (key, recorded) => void (recorded ? known.set(key, recorded) : known.delete(key)) };
};

/** @throws if a part cannot be linked */
export function createGroups(options: PoolRunnerOptions & Required<Pick<PoolRunnerOptions, 'composition'>>): Groups {
  const { tenant = '', function: name, version = 0, composition } = options;
  if (!composition) throw new Error('a group needs a composition');
  const parts = makeParts(options, composition);
  const keys = parts.map(({ sidecar }) => recordedKey(tenant, name, sidecar?.name ?? ''));
  const user = `${name}@${version}`;
  const sidecars = options.shared ?? new SharedSidecars();
  const shared = parts.map((part) => (part.sidecar?.sharedAs === undefined ? undefined : sidecars.acquire(part, part.sidecar, user)));
  const told = parts.some((part) => part.lives);
  const observed = new WeakMap<ExecutionPorts, ObservedSink>();
  const frame: GroupFrame = {
    parts,
    composition,
    used: new Set(),
    snapshots: [],
    shared,
    recorded: options.recorded ?? forItself(),
    keyOf: (part) => keys[part.index] as string,
    describe: (ports) => {
      const sink = observed.get(ports);
      const info = sink?.info ?? { id: ports.id, function: name, version, method: '', authority: '', pathWithQuery: '' };
      return { info, summary: () => ({ status: sink?.status ?? 0, bytesOut: BigInt(sink?.bytes ?? 0) }) };
    },
  };
  return {
    make: (ports) => new Group(frame, ports),
    release: (event) => {
      for (const one of shared.splice(0)) one?.release(user, event);
    },
    observe: (request, response, ports) => {
      if (!told) return response;
      const { method, authority, pathWithQuery } = request;
      const sink = new ObservedSink(response, { id: ports.id, function: name, version, method, authority, pathWithQuery });
      observed.set(ports, sink);
      return sink;
    },
  };
}
