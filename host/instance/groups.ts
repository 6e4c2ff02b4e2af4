/** The groups of one function in a thread: what they share, and what companions are told of an execution. */
import type { ByteSink } from '../base/stream.ts';
import { type Recorded, type RecordedSettings, recordedKey } from '../sidecar/recorded.ts';
import type { ExecutionPorts, GuestRequest, HeaderList, ResponseSink } from '../wasi/context.ts';
import { Group, type GroupFrame } from './group.ts';
import type { ExecutionInfo, Told } from './member.ts';
import { makeParts } from './parts.ts';
import type { PoolRunnerOptions } from './pool-runner.ts';
import type { MainChange } from './runner.ts';
import { SharedSidecars } from './shared-sidecars.ts';

/** A response on its way, of which status and size are noted; head and body in one object, since one is made for each execution. */
class ObservedResponse implements ResponseSink, ByteSink, Told {
  status = 0;
  bytes = 0;
  readonly info: ExecutionInfo;
  private readonly sink: ResponseSink;
  private body: ByteSink | undefined;

  constructor(sink: ResponseSink, info: ExecutionInfo) {
    this.sink = sink;
    this.info = info;
  }

  respond(status: number, headers: HeaderList): ByteSink {
    this.status = status;
    this.body = this.sink.respond(status, headers);
    return this;
  }

  informational(status: number, headers: HeaderList): void {
    this.sink.informational?.(status, headers);
  }

  fail(errorCode: string, detail: string | undefined): void {
    this.sink.fail(errorCode, detail);
  }

  private get open(): ByteSink {
    return this.body as ByteSink;
  }

  get capacity(): number {
    return this.open.capacity;
  }

  get drained(): boolean {
    return this.open.drained;
  }

  write(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.open.write(chunk);
  }

  writable(): Promise<void> {
    return this.open.writable();
  }

  flushed(): Promise<void> {
    return this.open.flushed();
  }

  finish(trailers?: HeaderList): void {
    this.open.finish(trailers);
  }

  abort(reason: string): void {
    this.open.abort(reason);
  }
}

export type Groups = {
  make(ports: ExecutionPorts): Group;
  /** Shared sidecars are told of it. */
  changing(event: MainChange): void;
  /** No more executions come: shared sidecars that nobody else links end. */
  release(event: MainChange): void;
  /** Where the response of an execution goes, and what companions are told of it; undefined if nobody wants to know. */
  observe(request: GuestRequest, response: ResponseSink, ports: ExecutionPorts): (ResponseSink & Told) | undefined;
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
  /** The last one up is the first one down. */
  const downward = [...composition.order].reverse();
  let changed: MainChange | undefined;
  const frame: GroupFrame = {
    parts,
    composition,
    used: new Set(),
    snapshots: [],
    shared,
    recorded: options.recorded ?? forItself(),
    keyOf: (part) => keys[part.index] as string,
  };
  return {
    make: (ports) => new Group(frame, ports),
    changing: (event) => {
      changed = event;
      for (const index of downward) void shared[index]?.changing(user, event);
    },
    release: (event) => {
      const leaving = shared.splice(0);
      for (const index of downward) leaving[index]?.release(user, event === 'suspended' || !changed ? event : undefined);
    },
    observe: (request, response, ports) => {
      if (!told) return undefined;
      const { method, authority, pathWithQuery } = request;
      return new ObservedResponse(response, { id: ports.id, function: name, version, method, authority, pathWithQuery });
    },
  };
}
