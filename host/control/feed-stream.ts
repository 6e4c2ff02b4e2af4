import type { Feed, FeedEvent } from '../edge/feed.ts';
import type { Hello } from '../edge/message.ts';

/** Bytes that wait for an edge which does not read; beyond, its connection ends and it comes back for the whole state. */
const waitingBytesMax = 16 * 1024 * 1024;
const bufferedBytes = 65_536;
const encoder = new TextEncoder();
const heartbeat = encoder.encode(': \n\n');

export type FeedStreamOptions = {
  feed: Feed;
  after: number | undefined;
  /** Spoken by both. */
  protocol: number;
  draining: boolean;
  heartbeatMs: number;
  /** Asked at every heartbeat; false ends the stream. */
  mayContinue: () => Promise<boolean>;
  /** The client's end of the connection. */
  signal: AbortSignal;
  /** Gives what ends the stream and what tells it to drain; returns what is called when it has ended. */
  onOpen: (end: () => void, drain: (draining: boolean) => void) => () => void;
};

type Controller = ReadableStreamDefaultController<Uint8Array>;

/** One edge's stream. It begins when it is read from, and ends when either side wants it to. */
class FeedStream {
  private readonly options: FeedStreamOptions;
  private readonly waiting: FeedEvent[] = [];
  private waitingBytes = 0;
  private ended = false;
  private unfollow = (): void => undefined;
  private closed = (): void => undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: FeedStreamOptions) {
    this.options = options;
  }

  async start(controller: Controller): Promise<void> {
    const { feed, after, protocol, draining, heartbeatMs, signal, onOpen } = this.options;
    const stop = (): void => this.stop(controller);
    const send = (event: FeedEvent): void => this.send(controller, event);
    this.closed = onOpen(stop, (wanted) => send(encoder.encode(`event: drain\ndata: ${wanted}\n\n`)));
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const hello: Hello = { format: protocol, key: feed.publicKey, heartbeatMs, draining };
    send(encoder.encode(`event: hello\ndata: ${JSON.stringify(hello)}\n\n`));
    if (!this.ended) this.timer = setInterval(() => void this.beat(controller), heartbeatMs);
    const unfollow = await feed.follow(after, send);
    if (this.ended) unfollow();
    else this.unfollow = unfollow;
  }

  flush(controller: Controller): void {
    while (!this.ended && (controller.desiredSize ?? 0) > 0 && this.waiting.length > 0) {
      const event = this.waiting.shift() as FeedEvent;
      this.waitingBytes -= event.length;
      controller.enqueue(event);
    }
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.unfollow();
    clearInterval(this.timer);
    this.waiting.length = 0;
    this.closed();
  }

  private stop(controller: Controller): void {
    if (this.ended) return;
    this.end();
    controller.close();
  }

  /** One event, however large, may wait: the whole state of the deployments is one. */
  private send(controller: Controller, event: FeedEvent): void {
    if (this.ended) return;
    this.waiting.push(event);
    this.waitingBytes += event.length;
    if (this.waitingBytes - (this.waiting[0]?.length ?? 0) > waitingBytesMax) this.stop(controller);
    else this.flush(controller);
  }

  private async beat(controller: Controller): Promise<void> {
    const going = await this.options.mayContinue().catch(() => false);
    if (!going) this.stop(controller);
    else if (!this.ended && this.waiting.length === 0) controller.enqueue(heartbeat);
  }
}

/** The feed of one edge as server-sent events: `hello`, then `state` by state, `drain`, comments as heartbeats. */
export function feedStream(options: FeedStreamOptions): ReadableStream<Uint8Array> {
  const stream = new FeedStream(options);
  const start = (controller: Controller): void => {
    stream.start(controller).catch((error: unknown) => {
      stream.end();
      controller.error(error);
    });
  };
  return new ReadableStream<Uint8Array>(
    { start, pull: (controller) => stream.flush(controller), cancel: () => stream.end() },
    { highWaterMark: bufferedBytes, size: (chunk) => chunk?.length ?? 0 },
  );
}
