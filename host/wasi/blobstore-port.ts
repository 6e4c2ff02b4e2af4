/**
 * Port: containers of objects as the host interfaces see them. Reads answer at once, from a snapshot of this thread; what
 * must wait returns a promise. Everything throws or rejects with a `Problem`, whose message a guest may read.
 */
import type { ByteSink, ByteSource } from '../base/stream.ts';
import type { Overlay } from './overlay.ts';

/** `createdAt` in milliseconds since 1970. */
export type ObjectInfo = { name: string; bytes: number; createdAt: number };

/** `container` as grants name it, `tenant/bucket`. */
export type ObjectName = { container: string; name: string };

/** Bytes in Blobs under a name. */
export type SourceObject = { name: string; digest: string; bytes: number };

/** An object that a guest writes: nobody sees it before `commit`. */
export type OutgoingObject = {
  sink: Pick<ByteSink, 'capacity' | 'write' | 'writable' | 'flushed' | 'drained'>;
  /** All bytes have been written: puts them. Resolves when a killed process does not lose the object. */
  commit(container: string, name: string): Promise<void>;
  /** Nothing comes of it. Does nothing after `commit`. */
  abort(): void;
};

/** Containers are named as grants name them, `tenant/bucket`. */
export type Blobstore = {
  /** The same for one execution in an overlay: its changes gather there, and are seen by itself. */
  within(overlay: Overlay): Blobstore;
  /** One container of these objects, whatever its id: it only reads. */
  of(sources: readonly SourceObject[]): Blobstore;
  /** From now on reads see what was committed before this call, by whatever thread. */
  refresh(): void;
  /** When the container was made; undefined if nothing was put into it yet. */
  createdAt(container: string): number | undefined;
  find(container: string, name: string): ObjectInfo | undefined;
  /** At most `limit` names after `after`, in the order of their bytes. */
  list(container: string, after: string | undefined, limit: number): { names: string[]; next: string | undefined };
  /** Bytes from `start` up to and without `end`, which are cut to what is there. @throws Problem `not-found`, and why it cannot be computed */
  read(container: string, name: string, start: number, end: number): Promise<{ source: ByteSource; bytes: number }>;
  write(): OutgoingObject;
  /** What is not there is removed too. */
  remove(container: string, names: readonly string[]): Promise<void>;
  /** @throws Problem `not-found` */
  copy(from: ObjectName, to: ObjectName): Promise<void>;
};
