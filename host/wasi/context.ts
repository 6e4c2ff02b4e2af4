import type { ByteSink, ByteSource } from '../base/stream.ts';
import type { Blobstore, ObjectName } from './blobstore-port.ts';
import type { KeyValue } from './keyvalue-port.ts';
import type { Overlay } from './overlay.ts';
import type { SharedResources } from './shared-port.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'critical';

/** Where the output of an execution goes. Bytes are joined into lines by the receiver. */
export type ExecutionLog = {
  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): void;
  record(level: LogLevel, context: string, message: string): void;
};

export type HeaderList = [name: string, value: Uint8Array][];

/** An HTTP request on its way to a guest. `method` as sent (`GET`); header names in lower case. */
export type GuestRequest = {
  method: string;
  scheme: 'http' | 'https';
  authority: string;
  pathWithQuery: string;
  headers: HeaderList;
  body: ByteSource | null;
};

/**
 * Where a guest's response goes. `respond` is called at most once; it hands over the head and returns the sink of the
 * body, made only when the guest asks for the body.
 */
export type ResponseSink = {
  respond(status: number, headers: HeaderList): ByteSink;
  /** An interim 1xx response. */
  informational?(status: number, headers: HeaderList): void;
  /** The guest answered with an error-code (its case name, and a text if it has one) instead of a response. */
  fail(errorCode: string, detail: string | undefined): void;
};

/** A request that a guest sends out, already allowed by its grant. */
export type OutboundRequest = {
  method: string;
  scheme: 'http' | 'https';
  authority: string;
  pathWithQuery: string;
  headers: HeaderList;
  /** True if the grant names the host; false if only `*` allows it, which does not reach the node's own control port. */
  listed: boolean;
  /** Whose request it is: the instance's context. No instance takes all connections of a thread. */
  owner?: object;
  connectTimeoutMs: number | undefined;
  firstByteTimeoutMs: number | undefined;
  betweenBytesTimeoutMs: number | undefined;
};

export type OutboundResponse = { status: number; headers: HeaderList; body: ByteSource };

/** An outgoing exchange under way. Rejections are `ByteStreamError`s with a wasi:http error-code. */
export type OutboundExchange = { body: ByteSink; response: Promise<OutboundResponse>; cancel(): void };

export type OutboundHttp = { send(request: OutboundRequest): OutboundExchange };

/** What a function may reach. Fixed for the life of an instance; what is not here cannot be reached. */
export type Grant = {
  env: readonly (readonly [name: string, value: string])[];
  config: ReadonlyMap<string, string>;
  /** Hosts that outgoing requests may go to, as `host:port`, `host` (default ports) or `*`. */
  outboundHosts: readonly string[];
  /** A scratch directory in memory, empty at the start of each execution. */
  scratch: boolean;
  /** Largest size of the scratch directory, all files together, in bytes. */
  scratchBytesMax: number;
  /** Files that the scratch directory begins with, by name; they cannot be changed. */
  files?: ReadonlyMap<string, Uint8Array>;
  /** Buckets by the names under which the guest opens them; none if not given. */
  keyvalue?: ReadonlyMap<string, string>;
  /** What it answers must depend on its request alone: clocks stand still, and random numbers come from `seed` of the execution. */
  deterministic?: boolean;
  /** Topics that messages may be sent to, and the bucket that takes them; none if not given. */
  messaging?: { topics: readonly string[]; outbox: string };
  /** Buckets of objects by the names under which the guest opens them; none if not given. */
  objects?: ReadonlyMap<string, string>;
};

/** What belongs to the execution that an instance runs now. */
export type ExecutionPorts = {
  id: string;
  log: ExecutionLog;
  outbound: OutboundHttp;
  /** Where buckets are, if any are in reach of this thread. */
  keyvalue?: KeyValue | undefined;
  /** Where objects are, if any are in reach of this thread. */
  objects?: Blobstore | undefined;
  /** Where effects gather, if the execution is in an overlay; `keyvalue` then does so by itself. */
  overlay?: Overlay | undefined;
  /** The object whose upload it is called for: it may read that one, whatever else is granted. */
  upload?: ObjectName | undefined;
  /** Brings what the execution shares within its reach: awaited before it has an instance. Rejects with a `Problem`. */
  attach?: (() => Promise<void>) | undefined;
  /** What is attached to it; none if nothing is. */
  shared?: SharedResources | undefined;
  /** What standard input has; nothing if not given. */
  stdin?: Uint8Array | undefined;
  /** Counted by interface name, for metering. */
  countHostCall?(name: string): void;
};

/** What an instance that is linked with others has of them. */
export type Peers = {
  /** Calls a function of an interface that it imports of another. Rejects with a genuine trap. */
  call(imported: string, name: string, parameters: readonly unknown[]): Promise<unknown>;
  /** Sends a request to the next part of the chain; undefined if there is none, or if it was called before. */
  next(request: Omit<GuestRequest, 'body'>, hasBody: boolean): OutboundExchange | undefined;
  /** The settings of this execution. */
  settings(): [name: string, value: string][];
  /** Sets one for later executions; undefined takes back what was recorded. */
  record(key: string, value: string | undefined): void;
};

/**
 * The first argument of every host function: one object per instance, kept over resets; `execution` changes.
 * While an instance is initialised there is no request, but `execution` is set (its log goes to the function's log).
 */
export type WasiContext = {
  readonly grant: Grant;
  execution: ExecutionPorts;
  /** State that an interface keeps for one execution, by interface; emptied at reset. */
  readonly local: Map<string, unknown>;
  /** Ends the guest by a genuine trap with this code: never returns. For wasi:cli/exit. */
  exit(ok: boolean): never;
  /** What provides the interfaces that the host does not. */
  readonly peers?: Peers;
};
