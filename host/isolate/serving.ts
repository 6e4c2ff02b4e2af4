/**
 * Runs in an isolate on behalf of one gateway thread. Begins with the channel; ends with `close`, which stops what runs.
 */
import type { ErrorCode } from '../base/errors.ts';
import { Slots } from '../base/slots.ts';
import { ByteStreamError } from '../base/stream.ts';
import { decodeAttachments } from '../capability/shared-protocol.ts';
import type { Run, RunEnd } from '../instance/runner.ts';
import type { ExecutionPorts, GuestRequest, ResponseSink } from '../wasi/context.ts';
import { Overlay } from '../wasi/overlay.ts';
import { ArrivingBody } from './body.ts';
import { Channel, type ChannelEnds } from './channel.ts';
import { writeEnd } from './end-frame.ts';
import { type FrameReader, kinds, openFlags } from './frame.ts';
import { encodeEffects } from './gathered.ts';
import { type Asked, type Reach, ServedRun } from './served-run.ts';

/** Starts a run in the holding that a frame names; undefined if it is not here any more. `onEnd` is called when its instance is free or gone. */
export type StartRun = (
  cell: number,
  placed: boolean,
  request: GuestRequest,
  response: ResponseSink,
  ports: ExecutionPorts,
  onEnd: (end: RunEnd) => void,
) => Pick<Run, 'stop'> | undefined;

/** Of most runs. */
const nothingMore: Asked = { overlay: undefined, attachments: undefined, upload: undefined };

export class Serving {
  private readonly channel: Channel;
  private readonly start: StartRun;
  private readonly reach: Reach;
  private readonly runs = new Slots<ServedRun>();

  constructor(ends: ChannelEnds, start: StartRun, reach: Reach) {
    this.start = start;
    this.reach = reach;
    this.channel = new Channel(ends, (frame) => this.take(frame));
  }

  private take(frame: FrameReader): void {
    if (frame.kind === kinds.open) {
      this.open(frame);
      return;
    }
    const served = this.runs.get(frame.run);
    if (!served) return;
    if (frame.kind === kinds.stop) served.stop(frame.text() as ErrorCode, frame.text());
    else if (frame.kind === kinds.credit) served.response?.give(frame.number());
    else served.requestBody?.take(frame);
  }

  private open(frame: FrameReader): void {
    const { run } = frame;
    const cell = frame.number();
    const flags = frame.number();
    const [execution, method, scheme, authority, pathWithQuery] = frame.texts(5) as [string, string, 'http' | 'https', string, string];
    const body = flags & openFlags.body ? new ArrivingBody(this.channel, run) : null;
    const request: GuestRequest = { method, scheme, authority, pathWithQuery, headers: frame.headers(), body };
    const served = new ServedRun(this.channel, run, execution, this.reach, readAsked(frame, flags), body);
    this.runs.put(run, served);
    const begun = this.start(cell, (flags & openFlags.placed) !== 0, request, served, served, (end) => this.end(run, served, end));
    if (begun) served.begun(begun);
    else this.refuse(run);
  }

  private refuse(run: number): void {
    this.runs.delete(run);
    this.channel.send(kinds.ended, run, (frame) => frame.number(0));
  }

  private end(run: number, { response, overlay }: ServedRun, end: RunEnd): void {
    this.runs.delete(run);
    if (overlay && (!end.failure || end.failure.exited))
      for (const part of encodeEffects(overlay.collect())) this.channel.send(kinds.gathered, run, (frame) => frame.bytes(part));
    overlay?.end();
    const finished = end.response === 'finished' ? response : undefined;
    const whole = finished?.whole;
    if (whole === undefined) {
      finished?.release();
      response?.drop();
      this.channel.send(kinds.ended, run, (frame) => writeEnd(frame.number(1), end));
    } else {
      response?.drop();
      this.channel.send(kinds.answer, run, (frame) => {
        frame
          .number(response?.status ?? 0)
          .headers(response?.headers ?? [])
          .bytes(whole);
        writeEnd(frame, end);
      });
    }
  }

  /** All that was sent is in the ring: the other side can read it even when this thread has ended. */
  get flushed(): boolean {
    return this.runs.size === 0 && this.channel.flushed;
  }

  /** The gateway is gone: nobody waits for what runs here. */
  close(): void {
    for (const [, served] of this.runs) served.break(new ByteStreamError('connection-terminated', 'the gateway thread is gone'));
    this.channel.close();
  }
}

const readAsked = (frame: FrameReader, flags: number): Asked => {
  if ((flags & (openFlags.overlay | openFlags.shared | openFlags.upload)) === 0) return nothingMore;
  return {
    overlay: flags & openFlags.overlay ? new Overlay(frame.number()) : undefined,
    attachments: flags & openFlags.shared ? decodeAttachments(frame.text()) : undefined,
    upload: flags & openFlags.upload ? { container: frame.text(), name: frame.text() } : undefined,
  };
};
