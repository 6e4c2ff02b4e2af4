/**
 * A gateway thread's side of one isolate: starts runs there and carries their requests and responses. Begins with the
 * channel; ends with `lost`, when the isolate is gone.
 */
import { BytesSource } from '../base/bytes-source.ts';
import type { ErrorCode } from '../base/errors.ts';
import { Slots } from '../base/slots.ts';
import { type ByteSink, type ByteSource, ByteStreamError } from '../base/stream.ts';
import { encodeAttachments } from '../capability/shared-protocol.ts';
import type { RunEnd } from '../instance/runner.ts';
import type { ExecutionPorts, GuestRequest, LogLevel, ResponseSink } from '../wasi/context.ts';
import { ArrivingBody, LeavingBody, pump } from './body.ts';
import { Channel, type ChannelEnds } from './channel.ts';
import { readEnd } from './end-frame.ts';
import { type FrameReader, kinds, openFlags } from './frame.ts';
import { decodeEffects } from './gathered.ts';

/** Request bodies up to this size are kept until the response begins, so that a lost run can be placed again. */
const REPLAY_BYTES_MAX = 64 * 1024;

/** How a run ended: as runs do; or the isolate had let go of the version; or the isolate was lost under it. */
export type IsolateEnd = { kind: 'ended'; end: RunEnd } | { kind: 'not-held' } | { kind: 'lost'; repeatable: boolean };

/** Whoever began a run. `runEnded` is called once, and never before `run` has returned. */
export type RunOwner = { runEnded(end: IsolateEnd): void };

/** One run under way. */
export type IsolateRun = { stop(code: ErrorCode, message: string): void };

class CarriedRun implements IsolateRun {
  readonly response: ResponseSink;
  readonly ports: ExecutionPorts;
  readonly hostCallNames: readonly string[];
  readonly #owner: RunOwner;
  readonly #channel: Channel;
  /** 0: it was not begun, or is over. */
  id = 0;
  requestBody: LeavingBody | undefined = undefined;
  responseBody: ArrivingBody | undefined = undefined;
  /** Resolves when the response's body has gone where it goes. */
  responded: Promise<void> | undefined = undefined;
  /** Parts of what its overlay holds. */
  gathered: Uint8Array[] | undefined = undefined;
  /** The client has seen a byte, or the guest did what cannot be undone, or its request is no longer held. */
  irreversible = false;
  /** The run has ended; only its response is still on its way to the client. */
  ended = false;

  constructor(hostCallNames: readonly string[], response: ResponseSink, ports: ExecutionPorts, owner: RunOwner, channel: Channel) {
    this.hostCallNames = hostCallNames;
    this.response = response;
    this.ports = ports;
    this.#owner = owner;
    this.#channel = channel;
  }

  gather(part: Uint8Array): void {
    this.gathered ??= [];
    this.gathered.push(part);
  }

  stop(code: ErrorCode, message: string): void {
    if (this.id !== 0) this.#channel.send(kinds.stop, this.id, (frame) => frame.text(code).text(message));
  }

  end(end: IsolateEnd): void {
    this.id = 0;
    this.#owner.runEnded(end);
  }
}

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
  private readonly runs = new Slots<CarriedRun>();
  private gone = false;

  constructor(id: number, ends: ChannelEnds) {
    this.id = id;
    this.channel = new Channel(ends, (frame) => this.take(frame));
  }

  get inFlight(): number {
    return this.runs.size;
  }

  /** @param placed the supervisor placed this run, and is told of its end by its id */
  run(
    cell: number,
    hostCallNames: readonly string[],
    request: ReplayableRequest,
    response: ResponseSink,
    ports: ExecutionPorts,
    placed: boolean,
    owner: RunOwner,
  ): IsolateRun {
    const carried = new CarriedRun(hostCallNames, response, ports, owner, this.channel);
    if (this.gone) {
      queueMicrotask(() => carried.end({ kind: 'lost', repeatable: true }));
      return carried;
    }
    const id = this.runs.add(carried);
    carried.id = id;
    const body = request.body === null ? undefined : new LeavingBody(this.channel, id);
    carried.requestBody = body;
    const { method, scheme, authority, pathWithQuery, headers } = request;
    this.channel.send(kinds.open, id, (frame) => {
      frame.number(cell).number(flagsOf(ports, body !== undefined, placed));
      frame.texts([ports.id, method, scheme, authority, pathWithQuery]).headers(headers);
      if (ports.overlay) frame.number(ports.overlay.run);
      if (ports.shared) frame.text(encodeAttachments(ports.shared.attachments));
      if (ports.upload) frame.text(ports.upload.container).text(ports.upload.name);
    });
    if (body) this.sendBody(id, request, body, carried);
    return carried;
  }

  private sendBody(id: number, request: ReplayableRequest, body: LeavingBody, carried: CarriedRun): void {
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
        carried.gather(frame.bytes());
        break;
      case kinds.ended:
        this.end(carried, frame);
        break;
      case kinds.answer:
        this.answer(carried, frame);
        break;
      default:
        carried.responseBody?.take(frame);
    }
  }

  private respond(id: number, carried: CarriedRun, frame: FrameReader): void {
    carried.irreversible = true;
    const body = new ArrivingBody(this.channel, id);
    carried.responseBody = body;
    carried.responded = conveyed(body, carried.response.respond(frame.number(), frame.headers()));
  }

  /** The whole of a small response and the end of its run. */
  private answer(carried: CarriedRun, frame: FrameReader): void {
    carried.irreversible = true;
    const sink = carried.response.respond(frame.number(), frame.headers());
    carried.responded = convey(frame.bytes(), sink);
    this.close(carried, readEnd(frame, carried.hostCallNames));
  }

  private end(carried: CarriedRun, frame: FrameReader): void {
    if (frame.number() === 1) this.close(carried, readEnd(frame, carried.hostCallNames));
    else this.over(carried, { kind: 'not-held' });
  }

  /** It has ended in its isolate, and is over when its response has gone where it goes. */
  private close(carried: CarriedRun, end: RunEnd): void {
    if (carried.gathered) carried.ports.overlay?.take(decodeEffects(carried.gathered));
    carried.ended = true;
    if (carried.responded) void carried.responded.then(() => this.over(carried, { kind: 'ended', end }));
    else this.over(carried, { kind: 'ended', end });
  }

  private over(carried: CarriedRun, end: IsolateEnd): void {
    this.runs.delete(carried.id);
    carried.end(end);
  }

  /** The isolate is gone. What it had written before is still read; then its runs end. */
  lost(): void {
    this.channel.drainLast();
    this.gone = true;
    for (const [, carried] of this.runs) {
      if (carried.ended) continue;
      carried.requestBody?.break(new ByteStreamError('connection-terminated', 'the isolate is gone'));
      carried.responseBody?.break(new ByteStreamError('connection-terminated', 'the isolate is gone'));
      this.over(carried, { kind: 'lost', repeatable: !carried.irreversible });
    }
    this.channel.close();
  }
}

/** Passes on a body that arrives; what goes wrong breaks off the response. */
const conveyed = (body: ByteSource, sink: ByteSink): Promise<void> =>
  pump(body, sink).catch((error: unknown) => {
    body.cancel();
    sink.abort(error instanceof Error ? error.message : String(error));
  });

/** Passes on a body that is there; undefined if that is done by now. */
const convey = (body: Uint8Array, sink: ByteSink): Promise<void> | undefined => {
  try {
    if (sink.capacity < body.length) return conveyed(new BytesSource(body), sink);
    if (body.length > 0) sink.write(body);
    sink.finish();
  } catch (error) {
    sink.abort(error instanceof Error ? error.message : String(error));
  }
  return undefined;
};
