import { Problem } from '../../base/errors.ts';
import { type Err, err } from '../../base/result.ts';
import type { HostInterface } from '../../component/host.ts';
import type { ObjectInfo } from '../blobstore-port.ts';
import type { WasiContext } from '../context.ts';
import { IncomingValue, OutgoingValue, objectsIn, textOf } from './blobstore-values.ts';

type C = WasiContext;
type ObjectId = { container: string; object: string };
type Result<T> = T | Err<string>;

/** Names that one call lists, and removes. */
const namesMax = 1000;

/** The resource `container`. It names a bucket and holds nothing of it. */
export class ContainerHandle {
  readonly name: string;
  readonly id: string;
  /** Only this object of it is granted, to be read. */
  readonly only: string | undefined;

  constructor(name: string, { id, only }: Granted) {
    this.name = name;
    this.id = id;
    this.only = only;
  }

  /** Its id, to read an object. @throws Problem if that is not granted */
  reads(object: string): string {
    return readable(this, object);
  }

  /** Its id, to change it. @throws Problem if that is not granted */
  changes(): string {
    return changeable(this);
  }
}

/** The resource `stream-object-names`: where it stands. */
class NameStream {
  readonly container: ContainerHandle;
  after: string | undefined;
  ended = false;

  constructor(container: ContainerHandle) {
    this.container = container;
  }
}

/** The answer of what is done at once, or its error. */
function answering<T>(read: () => T): Result<T> {
  try {
    return read();
  } catch (error) {
    return err(textOf(error));
  }
}

/** The same for what waits. */
async function answeringLater<T>(change: () => Promise<T>): Promise<Result<T>> {
  try {
    return await change();
  } catch (error) {
    return err(textOf(error));
  }
}

/** A bucket, or with `only` one object of it to be read. */
type Granted = { id: string; only: string | undefined };

const refuse = (what: string): Problem => new Problem('forbidden', `${what} is not granted`);
const quoted = (name: string): string => JSON.stringify(name.slice(0, 80));

/** @throws Problem if nothing of the bucket is granted */
function granted({ grant, execution: { upload } }: C, name: string): Granted {
  const id = grant.objects?.get(name);
  if (id !== undefined) return { id, only: undefined };
  if (upload && upload.container.slice(upload.container.indexOf('/') + 1) === name) return { id: upload.container, only: upload.name };
  throw refuse(`the container ${quoted(name)}`);
}

function readable({ id, only }: Granted, object: string): string {
  if (only !== undefined && only !== object) throw refuse(`the object ${quoted(object)}`);
  return id;
}

function changeable({ id, only }: Granted): string {
  if (only !== undefined) throw refuse('changing the container');
  return id;
}

const open = (context: C, name: string): Result<ContainerHandle> => answering(() => new ContainerHandle(name, granted(context, name)));

const secondsOf = (ms: number): bigint => BigInt(Math.floor(ms / 1000));
const countOf = (count: bigint): number => (count > namesMax ? namesMax : Number(count));

function requireObject(context: C, self: ContainerHandle, name: string): ObjectInfo {
  const found = objectsIn(context).find(self.reads(name), name);
  if (!found) throw new Problem('not-found', `there is no object ${JSON.stringify(name.slice(0, 200))}`);
  return found;
}

function getData(context: C, self: ContainerHandle, name: string, start: bigint, end: bigint): Promise<Result<IncomingValue>> {
  return answeringLater(async () => {
    const last = end >= Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER - 1 : Number(end);
    const first = start > last ? last + 1 : Number(start);
    const { source, bytes } = await objectsIn(context).read(self.reads(name), name, first, last + 1);
    return new IncomingValue(source, bytes);
  });
}

function next(context: C, stream: NameStream, count: bigint): { names: string[]; ended: boolean } {
  if (stream.ended || count === 0n) return { names: [], ended: stream.ended };
  const { id, only } = stream.container;
  if (only !== undefined) {
    stream.ended = true;
    return { names: objectsIn(context).find(id, only) ? [only] : [], ended: true };
  }
  const { names, next: more } = objectsIn(context).list(id, stream.after, countOf(count));
  stream.after = names.at(-1) ?? stream.after;
  stream.ended = more === undefined;
  return { names, ended: stream.ended };
}

async function clear(context: C, id: string): Promise<undefined> {
  const objects = objectsIn(context);
  for (;;) {
    const { names } = objects.list(id, undefined, namesMax);
    if (names.length === 0) return undefined;
    await objects.remove(id, names);
  }
}

function remove(context: C, self: ContainerHandle, names: string[]): Promise<Result<undefined>> {
  return answeringLater(async () => {
    if (names.length > namesMax) throw new Problem('request-invalid', `cannot delete ${names.length} objects at once: at most ${namesMax}`);
    await objectsIn(context).remove(self.changes(), names);
    return undefined;
  });
}

function copy(context: C, source: ObjectId, target: ObjectId, moves: boolean): Promise<Result<undefined>> {
  return answeringLater(async () => {
    const taken = granted(context, source.container);
    const from = { container: moves ? changeable(taken) : readable(taken, source.object), name: source.object };
    const to = { container: changeable(granted(context, target.container)), name: target.object };
    const objects = objectsIn(context);
    await objects.copy(from, to);
    if (moves && (from.container !== to.container || from.name !== to.name)) await objects.remove(from.container, [from.name]);
    return undefined;
  });
}

const types: HostInterface<C> = {
  name: 'wasi:blobstore/types',
  functions: {
    '[static]outgoing-value.new-outgoing-value': () => new OutgoingValue(),
    '[method]outgoing-value.outgoing-value-write-body': (context: C, self: OutgoingValue) => self.body(context),
    '[static]outgoing-value.finish': (context: C, self: OutgoingValue) => self.finish(context),
    '[static]incoming-value.incoming-value-consume-sync': (_: C, self: IncomingValue) => self.whole(),
    '[static]incoming-value.incoming-value-consume-async': (_: C, self: IncomingValue) => self.stream(),
    '[method]incoming-value.size': (_: C, { bytes }: IncomingValue) => BigInt(bytes),
  },
  suspending: ['[static]outgoing-value.finish', '[static]incoming-value.incoming-value-consume-sync'],
  drop: {
    'outgoing-value': (context: C, value: OutgoingValue) => value.drop(context),
    'incoming-value': (_: C, value: IncomingValue) => value.drop(),
  },
};

const container: HostInterface<C> = {
  name: 'wasi:blobstore/container',
  functions: {
    '[method]container.name': (_: C, { name }: ContainerHandle) => name,
    '[method]container.info': (context: C, { id, name }: ContainerHandle) =>
      answering(() => ({ name, createdAt: secondsOf(objectsIn(context).createdAt(id) ?? 0) })),
    '[method]container.get-data': getData,
    '[method]container.write-data': (_: C, self: ContainerHandle, name: string, value: OutgoingValue) => answering(() => value.writeTo(self.changes(), name)),
    '[method]container.list-objects': (_: C, self: ContainerHandle) => new NameStream(self),
    '[method]container.delete-object': (context: C, self: ContainerHandle, name: string) => remove(context, self, [name]),
    '[method]container.delete-objects': remove,
    '[method]container.has-object': (context: C, self: ContainerHandle, name: string) =>
      answering(() => objectsIn(context).find(self.reads(name), name) !== undefined),
    '[method]container.object-info': (context: C, self: ContainerHandle, name: string) =>
      answering(() => {
        const { bytes, createdAt } = requireObject(context, self, name);
        return { name, container: self.name, createdAt: secondsOf(createdAt), size: BigInt(bytes) };
      }),
    '[method]container.clear': (context: C, self: ContainerHandle) => answeringLater(() => clear(context, self.changes())),
    '[method]stream-object-names.read-stream-object-names': (context: C, self: NameStream, count: bigint) =>
      answering(() => {
        const { names, ended } = next(context, self, count);
        return [names, ended];
      }),
    '[method]stream-object-names.skip-stream-object-names': (context: C, self: NameStream, count: bigint) =>
      answering(() => {
        const { names, ended } = next(context, self, count);
        return [BigInt(names.length), ended];
      }),
  },
  suspending: ['[method]container.get-data', '[method]container.delete-object', '[method]container.delete-objects', '[method]container.clear'],
  drop: { 'container': () => undefined, 'stream-object-names': () => undefined },
};

const blobstore: HostInterface<C> = {
  name: 'wasi:blobstore/blobstore',
  functions: {
    'create-container': open,
    'get-container': open,
    'delete-container': (context: C, name: string) => answeringLater(() => clear(context, changeable(granted(context, name)))),
    'container-exists': (context: C, name: string) => answering(() => objectsIn(context).createdAt(granted(context, name).id) !== undefined),
    'copy-object': (context: C, from: ObjectId, to: ObjectId) => copy(context, from, to, false),
    'move-object': (context: C, from: ObjectId, to: ObjectId) => copy(context, from, to, true),
  },
  suspending: ['delete-container', 'copy-object', 'move-object'],
};

/** wasi:blobstore in the draft that toolchains have. */
export const blobstoreInterfaces: HostInterface<C>[] = [types, container, blobstore];
