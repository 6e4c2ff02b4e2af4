/**
 * How threads reach the one writer of buckets. A thread gets one end of a channel when it is started, reads through a view of
 * its own, and may end or be terminated at any time: a change that has arrived is made whether its thread still lives or not.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { type ErrorCode, Problem } from '../base/errors.ts';
import type { StoreReader } from '../store/store.ts';
import type { Change, KeyValue } from '../wasi/keyvalue-port.ts';
import { type CommitChange, createKeyValue } from './keyvalue.ts';

/** What a thread is started with; the port is to be transferred. `data` is the data directory. */
export type KeyValueAccess = { data: string; port: MessagePort };

type ToWriter = { request: number; bucket: string; change: Change };
type FromWriter = { request: number; sum: bigint | undefined } | { request: number; code: ErrorCode; message: string };

/** Opens a channel to `commit` for a thread that is about to be started. */
export const openKeyValueAccess = (data: string, commit: CommitChange): KeyValueAccess => {
  const { port1, port2 } = new MessageChannel();
  const answer = (message: FromWriter): void => port1.postMessage(message);
  port1.on('message', ({ request, bucket, change }: ToWriter) => {
    commit(bucket, change).then(
      (sum) => answer({ request, sum }),
      (error: unknown) => {
        const { code, message } = error instanceof Problem ? error : new Problem('internal', `cannot write: ${String(error)}`);
        answer({ request, code, message });
      },
    );
  });
  port1.unref();
  return { data, port: port2 };
};

type Waiting = { resolve: (sum: bigint | undefined) => void; reject: (problem: Problem) => void };

/** Hands changes over the channel, and their answers to whoever waits. */
const committingBy = (port: MessagePort): CommitChange => {
  const waiting = new Map<number, Waiting>();
  let requests = 0;
  port.on('message', (answer: FromWriter) => {
    const { resolve, reject } = waiting.get(answer.request) as Waiting;
    waiting.delete(answer.request);
    if ('code' in answer) reject(new Problem(answer.code, answer.message));
    else resolve(answer.sum);
  });
  port.unref();
  return (bucket, change) =>
    new Promise((resolve, reject) => {
      const request = ++requests;
      waiting.set(request, { resolve, reject });
      port.postMessage({ request, bucket, change } satisfies ToWriter);
    });
};

/** Key-value that is made at the first use, since it opens the store. */
const lazily = (make: () => KeyValue): KeyValue => {
  let made: KeyValue | undefined;
  const get = (): KeyValue => {
    made ??= make();
    return made;
  };
  return {
    open: (bucket, onChange) => get().open(bucket, onChange),
    within: (overlay) => lazily(() => get().within(overlay)),
    refresh: () => get().refresh(),
  };
};

/** The thread's end: the store is opened at the first use. */
export const connectKeyValue = (
  { data, port }: KeyValueAccess,
  openReader: (data: string) => StoreReader,
): KeyValue & { store(): StoreReader; close(): Promise<void> } => {
  const commit = committingBy(port);
  let reader: StoreReader | undefined;
  const store = (): StoreReader => {
    reader ??= openReader(data);
    return reader;
  };
  return {
    ...lazily(() => createKeyValue(store().table, commit)),
    store,
    close: async () => {
      port.close();
      await reader?.close();
    },
  };
};
