import type { ErrorCode } from '../base/errors.ts';
import { shorten } from '../base/shorten.ts';
import type { ByteStreamError } from '../base/stream.ts';
import type { ObjectClient } from '../capability/object-client.ts';
import { keyedOutbound } from '../capability/outbound-keyed.ts';
import type { SharedClient } from '../capability/shared-client.ts';
import type { Run } from '../instance/runner.ts';
import { MESSAGE_CHARACTERS_MAX } from '../telemetry/execution-log.ts';
import type { Blobstore, ObjectName } from '../wasi/blobstore-port.ts';
import type { ExecutionLog, ExecutionPorts, HeaderList, LogLevel, OutboundHttp, OutboundRequest, ResponseSink } from '../wasi/context.ts';
import type { KeyValue } from '../wasi/keyvalue-port.ts';
import type { Overlay } from '../wasi/overlay.ts';
import type { Attachments, SharedResources } from '../wasi/shared-port.ts';
import type { ArrivingBody } from './body.ts';
import type { Channel } from './channel.ts';
import { kinds } from './frame.ts';
import { HeldResponse } from './held-response.ts';

/** Of what a guest says of its error. A frame that does not fit the ring would hold up all that come after it. */
const DETAIL_CHARACTERS_MAX = 16 * 1024;

/** What is in reach of this thread, whoever asks. */
export type Reach = {
  readonly outbound: OutboundHttp;
  readonly keyvalue: KeyValue | undefined;
  readonly objects: ObjectClient | undefined;
  readonly shared: SharedClient | undefined;
};

/** What the request of a run came with, beside itself. */
export type Asked = {
  readonly overlay: Overlay | undefined;
  readonly attachments: Attachments | undefined;
  readonly upload: ObjectName | undefined;
};

/**
 * One run on behalf of a gateway thread: what its guest reaches, and where its output and its response go. Made for each
 * request, so what a guest may never ask for is made when it asks.
 */
export class ServedRun implements ExecutionPorts, ExecutionLog, ResponseSink, OutboundHttp {
  /** Of its execution. */
  readonly id: string;
  readonly overlay: Overlay | undefined;
  readonly upload: ObjectName | undefined;
  readonly shared: SharedResources | undefined;
  readonly requestBody: ArrivingBody | null;
  response: HeldResponse | undefined = undefined;
  #run: Pick<Run, 'stop'> | undefined = undefined;
  readonly #channel: Channel;
  readonly #number: number;
  readonly #reach: Reach;
  #keyed: OutboundHttp | undefined = undefined;
  #keyvalue: KeyValue | undefined = undefined;
  #objects: Blobstore | undefined = undefined;

  constructor(channel: Channel, number: number, id: string, reach: Reach, { overlay, attachments, upload }: Asked, body: ArrivingBody | null) {
    this.id = id;
    this.overlay = overlay;
    this.upload = upload;
    this.requestBody = body;
    this.#channel = channel;
    this.#number = number;
    this.#reach = reach;
    this.shared = attachments && reach.shared?.open(id, attachments, { onEffect: () => this.#effect(), overlay });
  }

  begun(run: Pick<Run, 'stop'>): void {
    this.#run = run;
  }

  stop(code: ErrorCode, message: string): void {
    this.#run?.stop(code, message);
  }

  /** The gateway is gone. */
  break(failure: ByteStreamError): void {
    this.stop('client-gone', failure.message);
    this.response?.break(failure);
    this.requestBody?.cancel();
  }

  /** The guest is about to do what cannot be undone. */
  #effect(): void {
    this.#channel.send(kinds.effect, this.#number);
  }

  get log(): ExecutionLog {
    return this;
  }

  write(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    this.#channel.send(kinds.output, this.#number, (frame) => frame.text(stream).bytes(bytes));
  }

  record(level: LogLevel, context: string, message: string): void {
    const text = shorten(context ? `${context}: ${message}` : message, MESSAGE_CHARACTERS_MAX);
    this.#channel.send(kinds.record, this.#number, (frame) => frame.text(level).text('').text(text));
  }

  get outbound(): OutboundHttp {
    return this;
  }

  send(request: OutboundRequest): ReturnType<OutboundHttp['send']> {
    const { outbound } = this.#reach;
    this.#effect();
    if (!this.overlay) return outbound.send(request);
    this.#keyed ??= keyedOutbound(outbound, this.id);
    return this.#keyed.send(request);
  }

  get keyvalue(): KeyValue | undefined {
    const { keyvalue } = this.#reach;
    if (this.#keyvalue === undefined && keyvalue)
      this.#keyvalue = this.overlay ? keyvalue.within(this.overlay) : { ...keyvalue, open: (bucket) => keyvalue.open(bucket, () => this.#effect()) };
    return this.#keyvalue;
  }

  get objects(): Blobstore | undefined {
    const { objects } = this.#reach;
    if (this.#objects === undefined && objects)
      this.#objects = this.overlay ? objects.blobstore().within(this.overlay) : objects.blobstore(() => this.#effect());
    return this.#objects;
  }

  get attach(): (() => Promise<void>) | undefined {
    const { shared } = this;
    return shared && (() => shared.attach());
  }

  respond(status: number, headers: HeaderList): HeldResponse {
    this.response = new HeldResponse(this.#channel, this.#number, status, headers);
    return this.response;
  }

  informational(status: number, headers: HeaderList): void {
    this.#channel.send(kinds.interim, this.#number, (frame) => frame.number(status).headers(headers));
  }

  fail(errorCode: string, detail: string | undefined): void {
    this.#channel.send(kinds.fail, this.#number, (frame) => frame.text(errorCode).text(shorten(detail ?? '', DETAIL_CHARACTERS_MAX)));
  }
}
