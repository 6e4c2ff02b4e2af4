import type { NumberedRecord } from '../telemetry/log-ring.ts';
import { logLineJson } from './view.ts';

const bufferedBytes = 65_536;
const waitingMore = 1000;
const encoder = new TextEncoder();

export type LogStreamOptions = {
  /** Lines that are sent first. */
  backlog: readonly NumberedRecord[];
  follow: (follower: (record: NumberedRecord) => void) => () => void;
  /** Asked at every heartbeat; false ends the stream. */
  mayContinue: () => Promise<boolean>;
  heartbeatMs: number;
  /** The client's end of the connection: the stream ends with it, also when nobody ever reads it. */
  signal: AbortSignal;
  /** Called once, however the stream ends. */
  onEnd: () => void;
};

const event = (record: NumberedRecord): string => `id: ${record.sequence}\nevent: line\ndata: ${JSON.stringify(logLineJson(record))}\n\n`;

/**
 * A function's log as server-sent events: `line` with a line, `dropped` with the number of lines that a slow reader missed,
 * comments as heartbeats. At most 64 KiB, the backlog and 1,000 lines more wait for the reader. It begins when it is made, and ends when the
 * reader goes away or may not continue.
 */
export const logStream = ({ backlog, follow, mayContinue, heartbeatMs, signal, onEnd }: LogStreamOptions): ReadableStream<Uint8Array> => {
  const waiting: NumberedRecord[] = [...backlog];
  const waitingMax = backlog.length + waitingMore;
  let dropped = 0;
  let unfollow = (): void => undefined;
  let heartbeat: NodeJS.Timeout | undefined;
  let ended = false;

  const end = (): void => {
    if (ended) return;
    ended = true;
    unfollow();
    clearInterval(heartbeat);
    waiting.length = 0;
    onEnd();
  };
  const stop = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    if (ended) return;
    end();
    controller.close();
  };
  const flush = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    while ((controller.desiredSize ?? 0) > 0 && (dropped > 0 || waiting.length > 0)) {
      const text = dropped > 0 ? `event: dropped\ndata: {"lines":${dropped}}\n\n` : event(waiting.shift() as NumberedRecord);
      dropped = 0;
      controller.enqueue(encoder.encode(text));
    }
  };
  const beat = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const going = await mayContinue().catch(() => false);
    if (!going) stop(controller);
    else if (!ended && (controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(': \n\n'));
  };

  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        unfollow = follow((record) => {
          waiting.push(record);
          while (waiting.length > waitingMax) {
            waiting.shift();
            dropped += 1;
          }
          flush(controller);
        });
        heartbeat = setInterval(() => void beat(controller).catch(() => undefined), heartbeatMs);
        controller.enqueue(encoder.encode(': \n\n'));
        signal.addEventListener('abort', () => stop(controller), { once: true });
        if (signal.aborted) stop(controller);
      },
      pull: flush,
      cancel: end,
    },
    { highWaterMark: bufferedBytes, size: (chunk) => chunk?.length ?? 0 },
  );
};
