/**
 * Port: durable, delayed, leased delivery of JSON messages to one consumer process. Adapter: table-queue.ts, on any Table.
 * What is promised here is proved by test/contract/queue.ts.
 *
 * A message that was enqueued is there until it is acknowledged or removed, over any kill of the process. A lease lives in
 * the memory of the process: when that ends, what it had leased can be claimed at once by the next. Messages come when
 * they are due, the earliest first; those with the same ordering key come one at a time and in the order of being due, and
 * one that was put off holds up those behind it.
 */
import type { Json, Write } from './table.ts';

export type NewMessage<T> = {
  /** Unique in the queue, at most 64 characters. Ids that sort by time keep writes together. */
  id: string;
  /** At most 1 MiB as JSON, with what the queue adds. */
  body: T;
  /** Default 0. */
  delayMs?: number;
  /** A message whose dedupe id was used within `dedupeMs` is not taken, and answered with the id of the first. */
  dedupeId?: string;
  orderingKey?: string;
};

/** `attempt` counts claims of the message that were given back by `nack`, and this one: 1 at first. Times: milliseconds since 1970. */
export type Lease<T> = {
  readonly id: string;
  readonly body: T;
  readonly attempt: number;
  readonly enqueuedAt: number;
  readonly orderingKey: string | undefined;
};

export type Enqueued = { id: string; duplicate: boolean };
export type Queued<T> = {
  id: string;
  body: T;
  attempt: number;
  enqueuedAt: number;
  dueAt: number;
  state: 'leased' | 'waiting';
  orderingKey: string | undefined;
};

/**
 * `messages` counts all that are there, leased ones too; it is a lower bound until `exact`, which comes some time after a start.
 * `oldestDueAt`: when the first of those that are not leased was or will be due.
 */
export type QueueDepth = { messages: number; leased: number; exact: boolean; oldestDueAt: number | undefined };

export interface Queue<T extends Json> {
  /** All of them or none, together with `also`: at most 100. @throws Problem `request-invalid`, `store-full`, `unavailable` (too many wait) */
  enqueue(messages: readonly NewMessage<T>[], also?: readonly Write[]): Promise<Enqueued[]>;

  /**
   * The writes that enqueue, for a commit of the caller's own; `done` is to be called when it has been made, `undo` when it
   * could not be. Messages with a dedupe id cannot be enqueued so.
   */
  entry(messages: readonly Omit<NewMessage<T>, 'dedupeId'>[]): { writes: Write[]; done: () => void; undo: () => void };

  /** At most `max` messages that are due. A lease ends after `leaseMs`: then the message can be claimed again. */
  claim(max: number, leaseMs: number): Promise<Lease<T>[]>;

  /** Removes the message. @throws Problem `lease-lost` if the lease has ended; then nothing of `also` is written either */
  ack(lease: Lease<T>, also?: readonly Write[]): Promise<void>;

  /**
   * The writes that acknowledge, for a commit of the caller's own, which fails with `conflict` if the lease was lost meanwhile.
   * `done` is to be called when it has been made. @throws Problem `lease-lost`
   */
  acknowledgement(lease: Lease<T>): { writes: Write[]; done: () => void };

  /** After a conflict: whether it was one of others. @throws Problem `lease-lost`, and the lease ends, if the message is not there any more as it was claimed */
  confirm(lease: Lease<T>): Promise<void>;

  /** Gives the message back, to be due after `delayMs`, with another body if one is given. @throws Problem `lease-lost` */
  nack(lease: Lease<T>, delayMs: number, body?: T): Promise<void>;

  /** Gives back what could not be begun: due at once, and the attempt does not count. */
  release(lease: Lease<T>): void;

  /** The lease ends after `leaseMs` from now. False if it has ended. */
  extend(lease: Lease<T>, leaseMs: number): boolean;

  /** No message with this ordering key is claimed until what is returned is called. Undefined while one is leased. */
  occupy(orderingKey: string): (() => void) | undefined;

  get(id: string): Promise<Queued<T> | undefined>;

  /** By id, the oldest first. */
  list(page: { limit: number; cursor?: string }): Promise<{ items: Queued<T>[]; next?: string }>;

  /** Removes a message that is not leased, and from now on is not. @throws Problem `not-found`, `conflict` if it is leased */
  remove(id: string, also?: readonly Write[]): Promise<void>;

  depth(): Promise<QueueDepth>;

  /** When the next message that nothing holds up is due; 0 if there is one now, undefined if there is none. May be earlier than true. */
  nextDueAt(): Promise<number | undefined>;

  /** Ends its timers; what waits to be written is written. */
  close(): Promise<void>;
}
