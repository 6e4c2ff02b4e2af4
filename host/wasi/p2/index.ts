import type { HostInterface } from '../../component/host.ts';
import type { GuestRequest, ResponseSink, WasiContext } from '../context.ts';
import { blobstoreInterfaces, ContainerHandle } from './blobstore.ts';
import { BucketHandle } from './bucket.ts';
import { environment, exit, terminals } from './cli.ts';
import { monotonicClock, timezone, wallClock } from './clocks.ts';
import { configInterfaces } from './config.ts';
import { Descriptor, wipeScratch } from './descriptor.ts';
import { filesystemTypes, preopens } from './filesystem.ts';
import { httpTypes } from './http-types.ts';
import { IncomingRequest } from './incoming-message.ts';
import { ioError } from './io-error.ts';
import { ioPoll } from './io-poll.ts';
import { ioStreams } from './io-streams.ts';
import { keyvalueInterfaces } from './keyvalue.ts';
import { logging } from './logging.ts';
import { messagingInterfaces } from './messaging.ts';
import { outgoingHandler } from './outgoing-handler.ts';
import { insecure, insecureSeed, random } from './random.ts';
import { allowAnyOrder } from './resource.ts';
import { ResponseOutparam, type Settlement } from './response-outparam.ts';
import { sockets } from './sockets.ts';
import { stateExpiry } from './state-expiry.ts';
import { sharedInterfaces } from './state-shared.ts';
import { EmptyStream, LogStream, stderr, stdin, stdout } from './stdio.ts';

export type { Settlement } from './response-outparam.ts';
export type { IncomingRequest, ResponseOutparam };

/** All interfaces of WASI 0.2.0–0.2.x for HTTP components, by their names. */
export const hostInterfaces: ReadonlyMap<string, HostInterface<WasiContext>> = new Map(
  [
    ioError,
    ioPoll,
    ioStreams,
    monotonicClock,
    wallClock,
    timezone,
    random,
    insecure,
    insecureSeed,
    environment,
    exit,
    stdin,
    stdout,
    stderr,
    ...terminals,
    httpTypes,
    outgoingHandler,
    filesystemTypes,
    preopens,
    ...sockets,
    ...configInterfaces,
    logging,
    ...keyvalueInterfaces,
    ...messagingInterfaces,
    ...blobstoreInterfaces,
    stateExpiry,
    ...sharedInterfaces,
  ].map((table) => [table.name, table]),
);

/** The first parameter of `wasi:http/incoming-handler.handle`. */
export function makeIncomingRequest(request: GuestRequest): IncomingRequest {
  return new IncomingRequest(request);
}

/** The second parameter of `wasi:http/incoming-handler.handle`. `requestMethod` says whether the response has a body at all. */
export function makeResponseOutparam(sink: ResponseSink, requestMethod = 'GET'): ResponseOutparam {
  return new ResponseOutparam(sink, requestMethod);
}

/**
 * Says that the execution is over: from now until `context.local` is emptied, handles may be dropped in any order, and
 * the scratch directory is empty. To be called before the drops that the host makes for a guest.
 */
export function beginTeardown(context: WasiContext): void {
  allowAnyOrder(context);
  if (context.grant.scratch) wipeScratch(context);
}

/** What became of the response, to be asked when `handle` returned. Dropping what the guest still holds turns `open` into `aborted`. */
export function settle(outparam: ResponseOutparam): Settlement {
  return outparam.settlement;
}

/**
 * Whether an object that a guest holds when its instance is snapshotted is as good as new after every reset. If one is
 * not, the instance must be made anew for each execution.
 */
export function survivesReset(object: unknown): boolean {
  if (object instanceof ContainerHandle) return true;
  if (object instanceof BucketHandle) return !object.attached;
  if (object instanceof LogStream || object instanceof EmptyStream) return object.children === 0;
  return object instanceof Descriptor && object.isRoot;
}
