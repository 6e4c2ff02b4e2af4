/**
 * How threads reach the one writer of objects. A thread gets one end of a channel when it is started, reads through a view
 * of its own, and may end or be terminated at any time: a change that has arrived is made whether its thread still lives or
 * not, and of a put whose bytes have not all come nothing is left.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { Digest, Written } from '../store/blobs.ts';
import type { Claim } from '../store/held-blobs.ts';
import type { OnWritten } from './followed-bytes.ts';
import { ArrivingObject } from './object-arrival.ts';

/** What a thread is started with; the port is to be transferred. `data` is the data directory. */
export type ObjectAccess = { data: string; port: MessagePort };

/** A change that a guest asks for, made as a whole or not at all where it names one object. */
export type GuestObjectChange =
  | { kind: 'remove'; id: string; keys: string[] }
  | { kind: 'copy'; from: { id: string; key: string }; to: { id: string; key: string } };

/** What the writer's side does for threads. */
export type ObjectService = {
  /** Takes bytes of which nobody knows yet what becomes of them. */
  receive(source: AsyncIterable<Uint8Array>): Promise<Claim>;
  put(id: string, key: string, claim: Claim): Promise<void>;
  change(change: GuestObjectChange): Promise<void>;
  /**
   * Has the bytes of an object in Blobs until the returned function is called, and notes that somebody asked for it.
   * `onWritten` is told what can be read before all are there. @throws Problem `conflict` if it has another digest by now
   */
  obtain(id: string, key: string, digest: Digest, onWritten?: OnWritten): Promise<() => void>;
  /** Somebody asked for an object that can be computed, and needs nothing else. */
  requested(id: string, key: string): void;
};

export type ToObjects =
  /** Its bytes are there until `read`; who follows is told what can be read before. */
  | { kind: 'obtain'; request: number; id: string; key: string; digest: Digest; follows: boolean }
  | { kind: 'read'; request: number }
  | { kind: 'change'; request: number; change: GuestObjectChange }
  | { kind: 'requested'; id: string; key: string }
  | { kind: 'chunk'; put: number; bytes: Uint8Array }
  /** All bytes have been sent: they are claimed until `release`, and put by nobody yet. */
  | { kind: 'keep'; put: number; request: number }
  | { kind: 'release'; put: number }
  | { kind: 'finish'; put: number; request: number; id: string; key: string }
  | { kind: 'abort'; put: number };

/** Bytes in Blobs that are claimed. */
export type KeptBytes = { digest: string; bytes: number };

export type FromObjects =
  | { kind: 'done'; request: number; kept?: KeptBytes }
  | { kind: 'failed'; request: number; code: ErrorCode; message: string }
  /** As much can be read of what was asked for. */
  | { kind: 'written'; request: number; written: Written }
  /** Bytes of a put have been taken. */
  | { kind: 'taken'; put: number; bytes: number }
  /** A put cannot go on. */
  | { kind: 'broken'; put: number; code: ErrorCode; message: string };

const problemOf = (error: unknown): { code: ErrorCode; message: string } => {
  const { code, message } = error instanceof Problem ? error : new Problem('internal', `cannot write the object: ${String(error)}`);
  return { code, message };
};

/** The writer's end of one channel. */
class ObjectDoor {
  readonly #port: MessagePort;
  readonly #service: ObjectService;
  readonly #puts = new Map<number, ArrivingObject>();
  readonly #kept = new Map<number, Claim>();
  /** Bytes that somebody reads. */
  readonly #obtained = new Map<number, () => void>();
  #closed = false;

  constructor(port: MessagePort, service: ObjectService) {
    this.#port = port;
    this.#service = service;
    port.on('message', this.#take);
    port.on('close', () => {
      this.#closed = true;
      for (const put of this.#puts.values()) put.abort();
      for (const put of [...this.#kept.keys()]) this.#release(put);
      for (const request of [...this.#obtained.keys()]) this.#read(request);
    });
    port.unref();
  }

  readonly #take = (message: ToObjects): void => {
    switch (message.kind) {
      case 'chunk':
        this.#putOf(message.put).add(message.bytes);
        break;
      case 'abort':
        this.#puts.get(message.put)?.abort();
        this.#puts.delete(message.put);
        break;
      case 'finish':
        this.#answer(message.request, this.#finish(this.#putOf(message.put), message.id, message.key));
        this.#puts.delete(message.put);
        break;
      case 'keep':
        this.#answerKept(message.request, this.#keep(message.put, this.#putOf(message.put)));
        this.#puts.delete(message.put);
        break;
      case 'release':
        this.#release(message.put);
        break;
      case 'requested':
        this.#service.requested(message.id, message.key);
        break;
      case 'obtain':
        this.#answer(message.request, this.#obtain(message));
        break;
      case 'read':
        this.#read(message.request);
        break;
      default:
        this.#answer(message.request, this.#service.change(message.change));
    }
  };

  #post(message: FromObjects): void {
    this.#port.postMessage(message);
  }

  #answer(request: number, work: Promise<unknown>): void {
    this.#answerKept(
      request,
      work.then(() => undefined),
    );
  }

  #answerKept(request: number, work: Promise<KeptBytes | undefined>): void {
    work.then(
      (kept) => this.#post({ kind: 'done', request, ...(kept && { kept }) }),
      (error: unknown) => this.#post({ kind: 'failed', request, ...problemOf(error) }),
    );
  }

  #putOf(number: number): ArrivingObject {
    const known = this.#puts.get(number);
    if (known) return known;
    const put = new ArrivingObject(
      (source) => this.#service.receive(source),
      (bytes) => this.#post({ kind: 'taken', put: number, bytes }),
      (error) => this.#post({ kind: 'broken', put: number, ...problemOf(error) }),
    );
    this.#puts.set(number, put);
    return put;
  }

  async #keep(number: number, put: ArrivingObject): Promise<KeptBytes> {
    const claim = await put.finish();
    if (this.#closed) claim.release();
    else this.#kept.set(number, claim);
    return { digest: claim.digest, bytes: claim.bytes };
  }

  async #obtain({ request, id, key, digest, follows }: Extract<ToObjects, { kind: 'obtain' }>): Promise<void> {
    const onWritten = (written: Written): void => this.#post({ kind: 'written', request, written });
    const release = await this.#service.obtain(id, key, digest, follows ? onWritten : undefined);
    if (this.#closed) release();
    else this.#obtained.set(request, release);
  }

  #read(request: number): void {
    this.#obtained.get(request)?.();
    this.#obtained.delete(request);
  }

  #release(put: number): void {
    this.#kept.get(put)?.release();
    this.#kept.delete(put);
  }

  async #finish(put: ArrivingObject, id: string, key: string): Promise<void> {
    const claim = await put.finish();
    try {
      await this.#service.put(id, key, claim);
    } finally {
      claim.release();
    }
  }
}

/** Opens a channel to `service` for a thread that is about to be started. */
export const openObjectAccess = (data: string, service: ObjectService): ObjectAccess => {
  const { port1, port2 } = new MessageChannel();
  new ObjectDoor(port1, service);
  return { data, port: port2 };
};
