import type { NumberedRecord } from '../telemetry/log-ring.ts';
import { logLineJson } from './view.ts';

const bufferedBytes = 65_536;
const waitingMax = 1000;
const encoder = new TextEncoder();

export type LogStreamOptions = {
  /** Lines that are sent first. */
  backlog: readonly NumberedRecord[];
  follow: (follower: (record: NumberedRecord) => void) => () => void;
  /** Asked at every heartbeat; false ends the stream. */
  mayContinue: () => Promise<boolean>;
  heartbeatMs: number;
  /** Called once, however the stream ends. */
  onEnd: () => void;
};

const event = (record: NumberedRecord): string => `id: ${record.sequence}\nevent: line\ndata: ${JSON.stringify(logLineJson(record))}\n\n`;

/**
 * A function's log as server-sent events: `line` with a line, `dropped` with the number of lines that a slow reader missed,
 * comments as heartbeats. At most 64 KiB and 1,000 lines wait for the reader. It begins when it is made, and ends when the
 * reader goes away or may not continue.
 */
export const logStream = ({ backlog, follow, mayContinue, heartbeatMs, onEnd }: LogStreamOptions): ReadableStream<Uint8Array> => {
  const waiting: NumberedRecord[] = [...backlog];
  let dropped = 0;
  let unfollow = (): void => undefined;
  let heartbeat: NodeJS.Timeout | undefined;

  const end = (): void => {
    unfollow();
    clearInterval(heartbeat);
    onEnd();
  };
  const flush = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    while ((controller.desiredSize ?? 0) > 0 && (dropped > 0 || waiting.length > 0)) {
      const text = dropped > 0 ? `event: dropped\ndata: {"lines":${dropped}}\n\n` : event(waiting.shift() as NumberedRecord);
      dropped = 0;
      controller.enqueue(encoder.encode(text));
    }
  };
  const beat = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    if (await mayContinue().catch(() => false)) {
      if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(': \n\n'));
      return;
    }
    end();
    controller.close();
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
      },
      pull: flush,
      cancel: end,
    },
    { highWaterMark: bufferedBytes, size: (chunk) => chunk?.length ?? 0 },
  );
};
