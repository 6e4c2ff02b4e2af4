/**
 * Runs in an isolate on behalf of one gateway thread. Begins with the channel; ends with `close`, which stops what runs.
 */
import { Slots } from '../base/slots.ts';
import { ByteStreamError } from '../base/stream.ts';
import type { ObjectClient } from '../capability/object-client.ts';
import { keyedOutbound } from '../capability/outbound-keyed.ts';
import type { SharedClient } from '../capability/shared-client.ts';
import { decodeAttachments } from '../capability/shared-protocol.ts';
import type { Run, RunEnd, RunSteps, SidecarRun } from '../instance/runner.ts';
import type { ExecutionPorts, GuestRequest, OutboundHttp, ResponseSink } from '../wasi/context.ts';
import type { KeyValue } from '../wasi/keyvalue-port.ts';
import { Overlay } from '../wasi/overlay.ts';
import type { Attachments, SharedResources } from '../wasi/shared-port.ts';
import { ArrivingBody, LeavingBody } from './body.ts';
import { Channel, type ChannelEnds } from './channel.ts';
import { type FrameReader, kinds, openFlags } from './frame.ts';
import { encodeEffects } from './gathered.ts';
import { HeldFrames } from './held-frames.ts';
import { sharedMs, stepsBy, withMoments } from './moment.ts';

/** Starts a run in the holding that a frame names; undefined if it is not here any more. */
export type StartRun = (cell: number, placed: boolean, request: GuestRequest, response: ResponseSink, ports: ExecutionPorts) => Run | undefined;

type Served = {
  overlay: Overlay | undefined;
  run: Run | undefined;
  request: ArrivingBody | null;
  response: LeavingBody | undefined;
  frames: HeldFrames | undefined;
};

export class Serving {
  private readonly channel: Channel;
  private readonly start: StartRun;
  private readonly outbound: OutboundHttp;
  private readonly keyvalue: KeyValue | undefined;
  private readonly runs = new Slots<Served>();
  private readonly shared: SharedClient | undefined;
  private readonly objects: ObjectClient | undefined;

  constructor(ends: ChannelEnds, start: StartRun, outbound: OutboundHttp, keyvalue?: KeyValue, objects?: ObjectClient, shared?: SharedClient) {
    this.start = start;
    this.outbound = outbound;
    this.keyvalue = keyvalue;
    this.objects = objects;
    this.shared = shared;
    this.channel = new Channel(ends, (frame) => this.take(frame));
  }

  private take(frame: FrameReader): void {
    const served = this.runs.get(frame.run);
    if (frame.kind === kinds.open) this.open(frame);
    else if (!served) return;
    else if (frame.kind === kinds.stop) served.run?.stop(frame.text() as never, frame.text());
    else if (frame.kind === kinds.credit) served.response?.give(frame.number());
    else served.request?.take(frame);
  }

  private open(frame: FrameReader): void {
    const id = frame.run;
    const cell = frame.number();
    const execution = frame.text();
    const flags = frame.number();
    const body = flags & openFlags.body ? new ArrivingBody(this.channel, id) : null;
    const [method, scheme, authority, pathWithQuery] = [frame.text(), frame.text(), frame.text(), frame.text()];
    const request: GuestRequest = { method, scheme: scheme as 'http' | 'https', authority, pathWithQuery, headers: frame.headers(), body };
    const overlay = flags & openFlags.overlay ? new Overlay(frame.number()) : undefined;
    const attachments = flags & openFlags.shared ? decodeAttachments(frame.text()) : undefined;
    const upload = flags & openFlags.upload ? { container: frame.text(), name: frame.text() } : undefined;
    const served: Served = { overlay, run: undefined, request: body, response: undefined, frames: undefined };
    this.runs.put(id, served);
    served.run = this.start(
      cell,
      (flags & openFlags.placed) !== 0,
      request,
      this.responseOf(id, served),
      this.portsOf(id, execution, { overlay, upload }, attachments),
    );
    if (served.run) served.run.ended.then((end) => this.end(id, end));
    else this.end(id, undefined);
  }

  private end(id: number, end: RunEnd | undefined): void {
    const { frames, overlay } = this.runs.get(id) ?? {};
    if (end?.response === 'finished') frames?.release();
    else frames?.drop();
    this.runs.delete(id);
    if (overlay && end && (!end.failure || end.failure.exited))
      for (const part of encodeEffects(overlay.collect())) this.channel.send(kinds.gathered, id, (frame) => frame.bytes(part));
    overlay?.end();
    this.channel.send(kinds.ended, id, (frame) => frame.text(end ? JSON.stringify(describe(end)) : ''));
  }

  private responseOf(id: number, served: Served): ResponseSink {
    const { channel } = this;
    return {
      respond: (status, headers) => {
        const frames = new HeldFrames(channel);
        frames.send(kinds.head, id, (frame) => frame.number(status).headers(headers));
        served.frames = frames;
        served.response = new LeavingBody(frames, id);
        return served.response;
      },
      informational: (status, headers) => channel.send(kinds.interim, id, (frame) => frame.number(status).headers(headers)),
      fail: (errorCode, detail) => channel.send(kinds.fail, id, (frame) => frame.text(errorCode).text(detail ?? '')),
    };
  }

  private portsOf(
    id: number,
    execution: string,
    { overlay, upload }: Pick<ExecutionPorts, 'overlay' | 'upload'>,
    attachments: Attachments | undefined,
  ): ExecutionPorts {
    const { channel, outbound, keyvalue, objects, shared } = this;
    const effect = (): void => channel.send(kinds.effect, id);
    const sending = overlay ? keyedOutbound(outbound, execution) : outbound;
    return {
      id: execution,
      log: {
        write: (stream, bytes) => channel.send(kinds.output, id, (frame) => frame.text(stream).bytes(bytes)),
        record: (level, context, message) => channel.send(kinds.record, id, (frame) => frame.text(level).text(context).text(message)),
      },
      outbound: {
        send: (request) => {
          effect();
          return sending.send(request);
        },
      },
      objects: overlay ? objects?.blobstore().within(overlay) : objects?.blobstore(effect),
      keyvalue: keyvalue && (overlay ? keyvalue.within(overlay) : { ...keyvalue, open: (bucket) => keyvalue.open(bucket, effect) }),
      overlay,
      upload,
      ...(attachments && shared ? attachedPorts(shared.open(execution, attachments, { onEffect: effect, overlay })) : {}),
    };
  }

  /** All that was sent is in the ring: the other side can read it even when this thread has ended. */
  get flushed(): boolean {
    return this.runs.size === 0 && this.channel.flushed;
  }

  /** The gateway is gone: nobody waits for what runs here. */
  close(): void {
    for (const [, { run, response, request }] of this.runs) {
      run?.stop('client-gone', 'the gateway thread is gone');
      response?.break(new ByteStreamError('connection-terminated', 'the gateway thread is gone'));
      request?.cancel();
    }
    this.channel.close();
  }
}

const attachedPorts = (shared: SharedResources): Pick<ExecutionPorts, 'shared' | 'attach'> => ({ shared, attach: () => shared.attach() });

/** The end of a run without what the other side knows: `counts` are named by the holding. */
export type DescribedEnd = {
  failure: { code: string; message: string; backtrace: string | undefined; exited: boolean } | undefined;
  response: RunEnd['response'];
  kept: boolean;
  /** When the guest began, by the clock that threads share. */
  startedAt: number | undefined;
  meter: Omit<RunEnd['meter'], 'hostCalls'> & { counts: readonly number[] };
  /** Their moments by the clock that threads share. */
  sidecars?: readonly SidecarRun[];
  steps?: RunSteps;
};

function describe({ failure, response, kept, startedMs, sidecars, steps, meter: { hostCalls, ...meter } }: RunEnd): DescribedEnd {
  const { counts } = hostCalls;
  return {
    failure: failure && { code: failure.problem.code, message: failure.problem.message, backtrace: failure.backtrace, exited: failure.exited },
    response,
    kept,
    startedAt: startedMs === undefined ? undefined : sharedMs(startedMs),
    meter: { ...meter, counts },
    ...(sidecars ? { sidecars: sidecars.map((run) => withMoments(run, sharedMs)) } : {}),
    ...(steps ? { steps: stepsBy(steps, sharedMs) } : {}),
  };
}
