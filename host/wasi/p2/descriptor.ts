import { createHmac, randomBytes } from 'node:crypto';
import { type ByteSource, ByteStreamError } from '../../base/stream.ts';
import type { WasiContext } from '../context.ts';
import { InputStream } from './input-stream.ts';
import { filePrefix } from './io-error.ts';
import { OutputStream, type OutputTarget } from './output-stream.ts';
import { type AnyNode, type Datetime, DirectoryNode, FileFailure, FileNode, Scratch } from './scratch.ts';
import { transferBytesMax } from './stream-error.ts';

/** Bits of `descriptor-flags` and `open-flags`. */
export const descriptorFlag = { read: 1, write: 2, mutateDirectory: 32 } as const;
/** Every directory may be changed, whether it was opened with mutate-directory or not: toolchains do not ask for it (the same as in wasmtime). */
export const directoryFlags = descriptorFlag.read | descriptorFlag.mutateDirectory;

export const openFlag = { create: 1, directory: 2, exclusive: 4, truncate: 8 } as const;

const scratches = new WeakMap<WasiContext, Scratch>();

function scratchOf(context: WasiContext): Scratch {
  let scratch = scratches.get(context);
  if (scratch === undefined) {
    scratch = new Scratch(context.grant.scratchBytesMax);
    scratches.set(context, scratch);
  }
  const { root } = scratch;
  // Given files cannot be removed: where there is nothing, they have not been put there since the last wipe.
  if (context.grant.files && root.entries.size === 0) for (const [name, bytes] of context.grant.files) root.makeFile(name).give(bytes);
  return scratch;
}

/** Empties the scratch directory of an instance. What is still open counts until it is dropped. */
export function wipeScratch(context: WasiContext): void {
  scratches.get(context)?.root.clear();
}

/**
 * The resource `wasi:filesystem/types.descriptor`. The preopened root stands for the scratch directory of whichever
 * execution runs, so that it may be taken before a snapshot.
 */
export class Descriptor {
  readonly flags: number;
  private readonly opened: AnyNode | null;

  constructor(opened: AnyNode | null, flags: number) {
    this.opened = opened?.open() ?? null;
    this.flags = flags;
  }

  static root(): Descriptor {
    return new Descriptor(null, directoryFlags);
  }

  get isRoot(): boolean {
    return this.opened === null;
  }

  node(context: WasiContext): AnyNode {
    return this.opened ?? scratchOf(context).root;
  }

  directory(context: WasiContext): DirectoryNode {
    const node = this.node(context);
    if (!(node instanceof DirectoryNode)) throw new FileFailure('not-directory');
    return node;
  }

  /** The file, opened for reading or writing as `flag` says. */
  file(context: WasiContext, flag: number): FileNode {
    const node = this.node(context);
    if (!(node instanceof FileNode) || (this.flags & flag) === 0) throw new FileFailure('bad-descriptor');
    return node;
  }

  drop(): void {
    this.opened?.close();
  }
}

class FileSource implements ByteSource {
  readonly ready = true;
  private readonly node: FileNode;
  private offset: number;

  constructor(node: FileNode, offset: number) {
    this.node = node;
    this.offset = offset;
  }

  read(max: number): Uint8Array | null {
    const chunk = this.node.read(this.offset, max);
    this.offset += chunk.length;
    return chunk.length === 0 ? null : chunk;
  }

  async readable(): Promise<void> {}

  trailers(): undefined {}

  cancel(): void {}
}

/** Writes from an offset on, or at the end of the file. */
class FileTarget implements OutputTarget {
  readonly capacity = transferBytesMax;
  readonly drained = true;
  private readonly node: FileNode;
  private offset: number | null;

  constructor(node: FileNode, offset: number | null) {
    this.node = node;
    this.offset = offset;
  }

  write(chunk: Uint8Array): void {
    try {
      this.node.write(chunk, this.offset ?? this.node.size);
    } catch (error) {
      if (!(error instanceof FileFailure)) throw error;
      throw new ByteStreamError(`${filePrefix}${error.code}`, `cannot write to a file of the scratch directory: ${error.code}`);
    }
    if (this.offset !== null) this.offset += chunk.length;
  }

  async writable(): Promise<void> {}

  async flushed(): Promise<void> {}
}

export class FileInputStream extends InputStream {
  private readonly node: FileNode;

  constructor(node: FileNode, offset: number) {
    super(new FileSource(node, offset), null);
    this.node = node.open();
  }

  override drop(): void {
    super.drop();
    this.node.close();
  }
}

export class FileOutputStream extends OutputStream {
  private readonly node: FileNode;

  constructor(node: FileNode, offset: number | null) {
    super(new FileTarget(node, offset), null);
    this.node = node.open();
  }

  override drop(): void {
    super.drop();
    this.node.close();
  }
}

export function statOf(node: AnyNode) {
  return {
    type: typeOf(node),
    linkCount: node.linked ? 1 : 0,
    size: node.size,
    dataAccessTimestamp: node.accessed,
    dataModificationTimestamp: node.modified,
    statusChangeTimestamp: node.changed,
  };
}

export const typeOf = (node: AnyNode): 'directory' | 'regular-file' => (node instanceof DirectoryNode ? 'directory' : 'regular-file');

const hashKey = randomBytes(16);

export function metadataHashOf(node: AnyNode): { lower: bigint; upper: bigint } {
  const { modified } = node;
  const digest = createHmac('sha256', hashKey).update(`${node.id} ${node.size} ${modified.seconds} ${modified.nanoseconds}`).digest();
  return { lower: digest.readBigUInt64LE(0), upper: digest.readBigUInt64LE(8) };
}

export type NewTimestamp = { tag: 'no-change' } | { tag: 'now' } | { tag: 'timestamp'; val: Datetime };
