/**
 * A gateway thread's side of one isolate: starts runs there and carries their requests and responses. Begins with the
 * channel; ends with `lost`, when the isolate is gone.
 */
import { type ErrorCode, Problem } from '../base/errors.ts';
import { Slots } from '../base/slots.ts';
import { ByteStreamError } from '../base/stream.ts';
import { encodeAttachments } from '../capability/shared-protocol.ts';
import type { RunEnd, RunMeter } from '../instance/runner.ts';
import type { ExecutionPorts, GuestRequest, LogLevel, ResponseSink } from '../wasi/context.ts';
import { ArrivingBody, LeavingBody, pump } from './body.ts';
import { Channel, type ChannelEnds } from './channel.ts';
import { type FrameReader, kinds, openFlags } from './frame.ts';
import { decodeEffects } from './gathered.ts';
import { ownMs, stepsBy, withMoments } from './moment.ts';
import type { DescribedEnd } from './serving.ts';

/** Request bodies up to this size are kept until the response begins, so that a lost run can be placed again. */
const REPLAY_BYTES_MAX = 64 * 1024;

/** How a run ended: as runs do; or the isolate had let go of the version; or the isolate was lost under it. */
export type IsolateEnd = { kind: 'ended'; end: RunEnd } | { kind: 'not-held' } | { kind: 'lost'; repeatable: boolean };

export type IsolateRun = { readonly ended: Promise<IsolateEnd>; stop(code: ErrorCode, message: string): void };

type Carried = {
  response: ResponseSink;
  ports: ExecutionPorts;
  requestBody: LeavingBody | undefined;
  responseBody: ArrivingBody | undefined;
  /** Resolves when the response's body has gone where it goes. */
  responded: Promise<void>;
  hostCallNames: readonly string[];
  /** Parts of what its overlay holds. */
  gathered: Uint8Array[];
  /** The client has seen a byte, or the guest did what cannot be undone, or its request is no longer held. */
  irreversible: boolean;
  /** The run has ended; only its response is still on its way to the client. */
  ended: boolean;
  resolve: (end: IsolateEnd) => void;
};

/** A request whose body can be given again from its start, as far as it has been read. */
export type ReplayableRequest = GuestRequest & { replay?: { chunks: Uint8Array[]; bytes: number; whole: boolean } };

const flagsOf = ({ overlay, shared, upload }: ExecutionPorts, body: boolean, placed: boolean): number =>
  (body ? openFlags.body : 0) |
  (placed ? openFlags.placed : 0) |
  (overlay ? openFlags.overlay : 0) |
  (shared ? openFlags.shared : 0) |
  (upload ? openFlags.upload : 0);

export class IsolateClient {
  readonly id: number;
  private readonly channel: Channel;
  private readonly runs = new Slots<Carried>();
  private gone = false;

  constructor(id: number, ends: ChannelEnds) {
    this.id = id;
    this.channel = new Channel(ends, (frame) => this.take(frame));
  }

  get inFlight(): number {
    return this.runs.size;
  }

  /** @param placed the supervisor placed this run, and is told of its end by its id */
  run(cell: number, hostCallNames: readonly string[], request: ReplayableRequest, response: ResponseSink, ports: ExecutionPorts, placed = false): IsolateRun {
    const { promise, resolve } = Promise.withResolvers<IsolateEnd>();
    if (this.gone) {
      resolve({ kind: 'lost', repeatable: true });
      return { ended: promise, stop: () => undefined };
    }
    const carried: Carried = {
      response,
      ports,
      requestBody: undefined,
      responseBody: undefined,
      responded: Promise.resolve(),
      hostCallNames,
      gathered: [],
      irreversible: false,
      ended: false,
      resolve,
    };
    const id = this.runs.add(carried);
    const body = request.body === null ? undefined : new LeavingBody(this.channel, id);
    carried.requestBody = body;
    const { method, scheme, authority, pathWithQuery, headers } = request;
    this.channel.send(kinds.open, id, (frame) => {
      frame
        .number(cell)
        .text(ports.id)
        .number(flagsOf(ports, body !== undefined, placed));
      frame.text(method).text(scheme).text(authority).text(pathWithQuery).headers(headers);
      if (ports.overlay) frame.number(ports.overlay.run);
      if (ports.shared) frame.text(encodeAttachments(ports.shared.attachments));
      if (ports.upload) frame.text(ports.upload.container).text(ports.upload.name);
    });
    if (body) this.sendBody(id, request, body, carried);
    return {
      ended: promise,
      stop: (code, message) => this.runs.get(id) === carried && this.channel.send(kinds.stop, id, (frame) => frame.text(code).text(message)),
    };
  }

  private sendBody(id: number, request: ReplayableRequest, body: LeavingBody, carried: Carried): void {
    const replay = { chunks: [] as Uint8Array[], bytes: 0, whole: true };
    request.replay = replay;
    const keep = (chunk: Uint8Array) => {
      replay.bytes += chunk.length;
      if (replay.bytes <= REPLAY_BYTES_MAX) replay.chunks.push(chunk);
      else {
        replay.whole = false;
        replay.chunks.length = 0;
        carried.irreversible = true;
      }
    };
    pump(request.body as NonNullable<GuestRequest['body']>, body, keep).catch((error: unknown) => {
      if (this.runs.get(id) !== carried) return;
      const { code, message } = error instanceof ByteStreamError ? error : new ByteStreamError('connection-terminated', String(error));
      this.channel.send(kinds.broken, id, (frame) => frame.text(code).text(message));
    });
  }

  private take(frame: FrameReader): void {
    const carried = this.runs.get(frame.run);
    if (!carried) return;
    switch (frame.kind) {
      case kinds.head:
        this.respond(frame.run, carried, frame);
        break;
      case kinds.interim:
        carried.irreversible = true;
        carried.response.informational?.(frame.number(), frame.headers());
        break;
      case kinds.fail:
        carried.irreversible = true;
        carried.response.fail(frame.text(), frame.text() || undefined);
        break;
      case kinds.credit:
        carried.requestBody?.give(frame.number());
        break;
      case kinds.output:
        carried.ports.log.write(frame.text() as 'stdout' | 'stderr', frame.bytes());
        break;
      case kinds.record:
        carried.ports.log.record(frame.text() as LogLevel, frame.text(), frame.text());
        break;
      case kinds.effect:
        carried.irreversible = true;
        break;
      case kinds.gathered:
        carried.gathered.push(frame.bytes());
        break;
      case kinds.ended:
        this.end(frame.run, carried, frame.text());
        break;
      default:
        carried.responseBody?.take(frame);
    }
  }

  private respond(id: number, carried: Carried, frame: FrameReader): void {
    carried.irreversible = true;
    const sink = carried.response.respond(frame.number(), frame.headers());
    const body = new ArrivingBody(this.channel, id);
    carried.responseBody = body;
    carried.responded = pump(body, sink).catch((error: unknown) => {
      body.cancel();
      sink.abort(error instanceof Error ? error.message : String(error));
    });
  }

  private end(id: number, carried: Carried, described: string): void {
    if (described === '') {
      this.runs.delete(id);
      carried.resolve({ kind: 'not-held' });
      return;
    }
    const end = JSON.parse(described) as DescribedEnd;
    if (carried.gathered.length > 0) carried.ports.overlay?.take(decodeEffects(carried.gathered));
    carried.ended = true;
    void carried.responded.then(() => {
      this.runs.delete(id);
      carried.resolve({ kind: 'ended', end: revive(end, carried.hostCallNames) });
    });
  }

  /** The isolate is gone. What it had written before is still read; then its runs end. */
  lost(): void {
    this.channel.drainLast();
    this.gone = true;
    for (const [id, carried] of this.runs) {
      if (carried.ended) continue;
      this.runs.delete(id);
      carried.requestBody?.break(new ByteStreamError('connection-terminated', 'the isolate is gone'));
      carried.responseBody?.break(new ByteStreamError('connection-terminated', 'the isolate is gone'));
      carried.resolve({ kind: 'lost', repeatable: !carried.irreversible });
    }
    this.channel.close();
  }
}

function revive({ failure, response, kept, startedAt, sidecars, steps, meter: { counts, ...meter } }: DescribedEnd, names: readonly string[]): RunEnd {
  const whole: RunMeter = { ...meter, hostCalls: { names, counts } };
  return {
    failure: failure && { problem: new Problem(failure.code as ErrorCode, failure.message), backtrace: failure.backtrace, exited: failure.exited },
    response,
    kept,
    startedMs: startedAt === undefined ? undefined : ownMs(startedAt),
    meter: whole,
    ...(sidecars ? { sidecars: sidecars.map((run) => withMoments(run, ownMs)) } : {}),
    ...(steps ? { steps: stepsBy(steps, ownMs) } : {}),
  };
}
