/** A thread's end of the channel to objects: its own view of the store, and messages for what only the writer can do. */
import type { MessagePort } from 'node:worker_threads';
import { Problem } from '../base/errors.ts';
import type { Digest } from '../store/blobs.ts';
import type { StoreReader } from '../store/store.ts';
import type { Blobstore } from '../wasi/blobstore-port.ts';
import { createBlobstore } from './blobstore.ts';
import type { OnWritten } from './followed-bytes.ts';
import type { FromObjects, GuestObjectChange, KeptBytes, ObjectAccess, ToObjects } from './object-channel.ts';
import { LeavingObject } from './object-departure.ts';
import { ObjectReader } from './object-reader.ts';

type Waiting = { resolve: (kept: KeptBytes | undefined) => void; reject: (problem: Problem) => void; onWritten: OnWritten | undefined };

/** Begins with the thread; ends with `close`. The store is opened at the first use. */
export class ObjectClient {
  readonly #port: MessagePort;
  readonly #open: () => StoreReader;
  readonly #waiting = new Map<number, Waiting>();
  readonly #puts = new Map<number, LeavingObject>();
  #count = 0;
  #store: StoreReader | undefined;
  #reader: ObjectReader | undefined;

  constructor({ data, port }: ObjectAccess, openReader: (data: string) => StoreReader) {
    this.#port = port;
    this.#open = () => openReader(data);
    port.on('message', this.#take);
    port.unref();
  }

  get reader(): ObjectReader {
    this.#store ??= this.#open();
    this.#reader ??= new ObjectReader(this.#store);
    return this.#reader;
  }

  /** For guests; `onChange` is called with each change that is asked for. */
  blobstore(onChange?: () => void): Blobstore {
    return createBlobstore(this, onChange);
  }

  /** As `ObjectService.obtain`. */
  async obtain(id: string, key: string, digest: Digest, onWritten?: OnWritten): Promise<() => void> {
    let asked = 0;
    await this.#ask((request) => {
      asked = request;
      return { kind: 'obtain', request, id, key, digest, follows: onWritten !== undefined };
    }, onWritten);
    return () => this.#post({ kind: 'read', request: asked });
  }

  requested(id: string, key: string): void {
    this.#post({ kind: 'requested', id, key });
  }

  change(change: GuestObjectChange): Promise<void> {
    return this.#done((request) => ({ kind: 'change', request, change }));
  }

  put(): LeavingObject {
    const put = ++this.#count;
    const leaving = new LeavingObject({
      send: (bytes) => this.#post({ kind: 'chunk', put, bytes }),
      commit: (id, key) => this.#done((request) => ({ kind: 'finish', put, request, id, key })).finally(() => this.#puts.delete(put)),
      keep: async () => {
        const asked = this.#ask((request) => ({ kind: 'keep', put, request })).finally(() => this.#puts.delete(put));
        const kept = (await asked) as KeptBytes;
        return { ...kept, release: () => this.#post({ kind: 'release', put }) };
      },
      abort: () => {
        this.#puts.delete(put);
        this.#post({ kind: 'abort', put });
      },
    });
    this.#puts.set(put, leaving);
    return leaving;
  }

  async close(): Promise<void> {
    this.#port.close();
    await this.#store?.close();
  }

  #post(message: ToObjects): void {
    this.#port.postMessage(message);
  }

  async #done(message: (request: number) => ToObjects): Promise<void> {
    await this.#ask(message);
  }

  #ask(message: (request: number) => ToObjects, onWritten?: OnWritten): Promise<KeptBytes | undefined> {
    return new Promise((resolve, reject) => {
      const request = ++this.#count;
      this.#waiting.set(request, { resolve, reject, onWritten });
      this.#post(message(request));
    });
  }

  readonly #take = (answer: FromObjects): void => {
    if (answer.kind === 'taken') this.#puts.get(answer.put)?.give(answer.bytes);
    else if (answer.kind === 'broken') this.#puts.get(answer.put)?.break(new Problem(answer.code, answer.message));
    else if (answer.kind === 'written') this.#waiting.get(answer.request)?.onWritten?.(answer.written);
    else {
      const waiter = this.#waiting.get(answer.request);
      this.#waiting.delete(answer.request);
      if (answer.kind === 'done') waiter?.resolve(answer.kept);
      else waiter?.reject(new Problem(answer.code, answer.message));
    }
  };
}

export const connectObjects = (access: ObjectAccess, openReader: (data: string) => StoreReader): ObjectClient => new ObjectClient(access, openReader);
