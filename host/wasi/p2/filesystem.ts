import { err } from '../../base/result.ts';
import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';
import { datetimeOf } from './clocks.ts';
import {
  Descriptor,
  descriptorFlag,
  directoryFlags,
  FileInputStream,
  FileOutputStream,
  metadataHashOf,
  type NewTimestamp,
  openFlag,
  statOf,
  typeOf,
} from './descriptor.ts';
import type { IoError } from './io-error.ts';
import { type AnyNode, type Datetime, DirectoryNode, FileFailure, FileNode, requireChangeable } from './scratch.ts';
import { find, locate, type Place } from './scratch-path.ts';
import { clampLength } from './stream-error.ts';

type C = WasiContext;

/** The resource `directory-entry-stream`: the entries as they were when it was made. */
class DirectoryEntryStream {
  private readonly entries: [string, AnyNode][];
  private next = 0;

  constructor(directory: DirectoryNode) {
    this.entries = [...directory.entries];
  }

  read(): { type: string; name: string } | undefined {
    const entry = this.entries[this.next++];
    return entry === undefined ? undefined : { type: typeOf(entry[1]), name: entry[0] };
  }
}

/** Offsets beyond this fail as they would on a full disk. */
const offsetMax = BigInt(Number.MAX_SAFE_INTEGER) / 2n;

function offsetOf(offset: bigint): number {
  if (offset > offsetMax) throw new FileFailure('file-too-large');
  return Number(offset);
}

function newTime(current: Datetime, change: NewTimestamp): Datetime {
  if (change.tag === 'no-change') return current;
  if (change.tag === 'now') return datetimeOf(Date.now());
  if (change.val.nanoseconds > 999_999_999) throw new FileFailure('invalid');
  return change.val;
}

function setTimes(node: AnyNode, access: NewTimestamp, modification: NewTimestamp): void {
  requireChangeable(node);
  node.accessed = newTime(node.accessed, access);
  node.modified = newTime(node.modified, modification);
  node.changed = datetimeOf(Date.now());
}

function openExisting(node: AnyNode, open: number, flags: number): Descriptor {
  if ((open & openFlag.create) !== 0 && (open & openFlag.exclusive) !== 0) throw new FileFailure('exist');
  if (node instanceof DirectoryNode) {
    if ((flags & descriptorFlag.write) !== 0 || (open & (openFlag.truncate | openFlag.create)) !== 0) throw new FileFailure('is-directory');
    return new Descriptor(node, directoryFlags);
  }
  if ((open & openFlag.directory) !== 0) throw new FileFailure('not-directory');
  if ((flags & descriptorFlag.write) !== 0) requireChangeable(node);
  if ((open & openFlag.truncate) !== 0) node.resize(0);
  return new Descriptor(node, fileFlags(flags));
}

function fileFlags(flags: number): number {
  const kept = flags & ~descriptorFlag.mutateDirectory;
  return (kept & (descriptorFlag.read | descriptorFlag.write)) === 0 ? kept | descriptorFlag.read : kept;
}

const notWithDirectory = openFlag.create | openFlag.exclusive | openFlag.truncate;

function openAt(context: C, self: Descriptor, _follow: number, path: string, open: number, flags: number): Descriptor {
  const base = self.directory(context);
  if ((open & openFlag.directory) !== 0 && (open & notWithDirectory) !== 0) throw new FileFailure('invalid');
  const { directory, name, node, mustBeDirectory } = locate(base, path);
  if (node !== undefined) return openExisting(node, open, flags);
  if ((open & openFlag.create) === 0) throw new FileFailure('no-entry');
  if (mustBeDirectory) throw new FileFailure('is-directory');
  return new Descriptor(directory.makeFile(name), fileFlags(flags));
}

function createDirectoryAt(context: C, self: Descriptor, path: string): void {
  const { directory, name, node } = locate(self.directory(context), path);
  if (node !== undefined) throw new FileFailure('exist');
  directory.makeDirectory(name);
}

function removeDirectoryAt(context: C, self: Descriptor, path: string): void {
  const { directory, name, node } = locate(self.directory(context), path);
  if (node === undefined) throw new FileFailure('no-entry');
  if (!(node instanceof DirectoryNode)) throw new FileFailure('not-directory');
  if (name === '') throw new FileFailure('invalid');
  if (node.entries.size > 0) throw new FileFailure('not-empty');
  directory.take(name);
  node.unlink();
}

function unlinkFileAt(context: C, self: Descriptor, path: string): void {
  const { directory, name, node } = locate(self.directory(context), path);
  if (node === undefined) throw new FileFailure('no-entry');
  if (node instanceof DirectoryNode) throw new FileFailure('is-directory');
  requireChangeable(node);
  directory.take(name);
  node.unlink();
}

/** Whether `source` may take the place of what stands at `target`. */
function assertReplaceable(source: AnyNode, target: Place): void {
  if (source instanceof DirectoryNode && source.contains(target.directory)) throw new FileFailure('invalid');
  const { node } = target;
  if (node === undefined) {
    if (target.mustBeDirectory && source instanceof FileNode) throw new FileFailure('not-directory');
  } else if (node instanceof DirectoryNode) {
    if (source instanceof FileNode) throw new FileFailure('is-directory');
    if (node.entries.size > 0) throw new FileFailure('not-empty');
  } else if (source instanceof DirectoryNode) throw new FileFailure('not-directory');
}

function renameAt(context: C, self: Descriptor, oldPath: string, newBase: Descriptor, newPath: string): void {
  const source = locate(self.directory(context), oldPath);
  const target = locate(newBase.directory(context), newPath);
  if (source.node === undefined) throw new FileFailure('no-entry');
  if (source.name === '' || target.name === '') throw new FileFailure('busy');
  if (source.node === target.node) return;
  requireChangeable(source.node);
  requireChangeable(target.node);
  assertReplaceable(source.node, target);
  target.directory.put(target.name, source.node);
  target.node?.unlink();
  source.directory.take(source.name);
}

function readlinkAt(context: C, self: Descriptor, path: string): never {
  find(self.directory(context), path);
  throw new FileFailure('invalid');
}

function refuseLink(): never {
  throw new FileFailure('unsupported');
}

function readAt(context: C, self: Descriptor, length: bigint, offset: bigint): [Uint8Array, boolean] {
  const file = self.file(context, descriptorFlag.read);
  const bytes = file.read(offsetOf(offset), clampLength(length));
  return [bytes, offsetOf(offset) + bytes.length >= file.size];
}

function writeAt(context: C, self: Descriptor, bytes: Uint8Array, offset: bigint): number {
  self.file(context, descriptorFlag.write).write(bytes, offsetOf(offset));
  return bytes.length;
}

function nothing(): void {}

const operations = {
  'read-via-stream': (context: C, self: Descriptor, offset: bigint) => new FileInputStream(self.file(context, descriptorFlag.read), offsetOf(offset)),
  'write-via-stream': (context: C, self: Descriptor, offset: bigint) => new FileOutputStream(self.file(context, descriptorFlag.write), offsetOf(offset)),
  'append-via-stream': (context: C, self: Descriptor) => new FileOutputStream(self.file(context, descriptorFlag.write), null),
  advise: (context: C, self: Descriptor) => void self.file(context, descriptorFlag.read | descriptorFlag.write),
  'sync-data': nothing,
  'get-flags': (_: C, self: Descriptor) => self.flags,
  'get-type': (context: C, self: Descriptor) => typeOf(self.node(context)),
  'set-size': (context: C, self: Descriptor, size: bigint) => self.file(context, descriptorFlag.write).resize(offsetOf(size)),
  'set-times': (context: C, self: Descriptor, access: NewTimestamp, modification: NewTimestamp) => setTimes(self.node(context), access, modification),
  read: readAt,
  write: writeAt,
  'read-directory': (context: C, self: Descriptor) => new DirectoryEntryStream(self.directory(context)),
  sync: nothing,
  'create-directory-at': createDirectoryAt,
  stat: (context: C, self: Descriptor) => statOf(self.node(context)),
  'stat-at': (context: C, self: Descriptor, _follow: number, path: string) => statOf(find(self.directory(context), path)),
  'set-times-at': (context: C, self: Descriptor, _follow: number, path: string, access: NewTimestamp, modification: NewTimestamp) =>
    setTimes(find(self.directory(context), path), access, modification),
  'link-at': refuseLink,
  'open-at': openAt,
  'readlink-at': readlinkAt,
  'remove-directory-at': removeDirectoryAt,
  'rename-at': renameAt,
  'symlink-at': refuseLink,
  'unlink-file-at': unlinkFileAt,
  'metadata-hash': (context: C, self: Descriptor) => metadataHashOf(self.node(context)),
  'metadata-hash-at': (context: C, self: Descriptor, _follow: number, path: string) => metadataHashOf(find(self.directory(context), path)),
};

/** Answers a failure of the scratch directory with its error-code. */
function answering(operation: (context: C, ...parameters: never[]) => unknown) {
  return (context: C, ...parameters: never[]): unknown => {
    try {
      return operation(context, ...parameters);
    } catch (error) {
      if (error instanceof FileFailure) return err(error.code);
      throw error;
    }
  };
}

export const filesystemTypes: HostInterface<C> = {
  name: 'wasi:filesystem/types',
  functions: {
    ...Object.fromEntries(Object.entries(operations).map(([name, operation]) => [`[method]descriptor.${name}`, answering(operation)])),
    '[method]descriptor.is-same-object': (context: C, self: Descriptor, other: Descriptor) => self.node(context) === other.node(context),
    '[method]directory-entry-stream.read-directory-entry': (_: C, self: DirectoryEntryStream) => self.read(),
    'filesystem-error-code': (_: C, error: IoError) => error.fileCode,
  },
  drop: {
    descriptor: (_: C, self: Descriptor) => self.drop(),
    'directory-entry-stream': nothing,
  },
};

export const preopens: HostInterface<C> = {
  name: 'wasi:filesystem/preopens',
  functions: { 'get-directories': (context: C) => (context.grant.scratch ? [[Descriptor.root(), '/']] : []) },
};
