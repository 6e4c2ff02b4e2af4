import { datetimeOf } from './clocks.ts';

/**
 * The scratch directory: a tree in memory, made when an instance first uses it and emptied after each execution. Nothing
 * in it leads to a file of the host. Files that were unlinked count until the last handle on them is dropped.
 */

export type Datetime = { seconds: bigint | number; nanoseconds: number };

/** Failure of an operation, as a case of wasi:filesystem error-code. */
export class FileFailure extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** Most files and directories in one scratch directory, and what each is counted with beside its content. */
export const nodesMax = 4096;
const nodeBytes = 256;

const now = (): Datetime => datetimeOf(Date.now());

abstract class Node {
  readonly id: number;
  accessed = now();
  modified = now();
  changed = now();
  /** Handles on this node. */
  opens = 0;
  linked = true;
  protected readonly scratch: Scratch;

  constructor(scratch: Scratch) {
    this.scratch = scratch;
    this.id = scratch.add();
  }

  abstract get size(): number;

  touch(): void {
    this.modified = now();
    this.changed = this.modified;
  }

  open(): this {
    this.opens++;
    return this;
  }

  close(): void {
    this.opens--;
    this.discardUnused();
  }

  unlink(): void {
    this.linked = false;
    this.discardUnused();
  }

  private discardUnused(): void {
    if (this.linked || this.opens > 0) return;
    this.scratch.charge(-this.size);
    this.scratch.remove();
  }
}

const emptyData = new Uint8Array(0);

export class FileNode extends Node {
  private data: Uint8Array = emptyData;
  private length = 0;
  /** Its content was given, and stays as it is. */
  readOnly = false;

  get size(): number {
    return this.length;
  }

  /** A copy of at most `max` bytes. */
  read(offset: number, max: number): Uint8Array {
    this.accessed = now();
    return this.data.slice(Math.min(offset, this.length), Math.min(offset + max, this.length));
  }

  /** Takes `bytes` as they are, for reading only. */
  give(bytes: Uint8Array): void {
    this.scratch.charge(bytes.length);
    this.data = bytes;
    this.length = bytes.length;
    this.readOnly = true;
  }

  write(bytes: Uint8Array, offset: number): void {
    if (this.readOnly) throw new FileFailure('read-only');
    if (bytes.length === 0) return;
    if (offset + bytes.length > this.length) this.resize(offset + bytes.length);
    this.data.set(bytes, offset);
    this.touch();
  }

  resize(size: number): void {
    if (this.readOnly) throw new FileFailure('read-only');
    this.scratch.charge(size - this.length);
    if (size > this.data.length) {
      const grown = new Uint8Array(Math.min(Math.max(size, this.data.length * 2), Math.max(size, this.scratch.bytesMax)));
      grown.set(this.data.subarray(0, this.length));
      this.data = grown;
    } else if (size < this.length) this.data.fill(0, size, this.length);
    this.length = size;
    this.touch();
  }
}

/** @throws FileFailure `read-only` for a file that was given */
export function requireChangeable(node: FileNode | DirectoryNode | undefined): void {
  if (node instanceof FileNode && node.readOnly) throw new FileFailure('read-only');
}

export class DirectoryNode extends Node {
  readonly entries = new Map<string, FileNode | DirectoryNode>();

  get size(): number {
    return 0;
  }

  makeFile(name: string): FileNode {
    return this.put(name, new FileNode(this.scratch));
  }

  makeDirectory(name: string): DirectoryNode {
    return this.put(name, new DirectoryNode(this.scratch));
  }

  put<N extends FileNode | DirectoryNode>(name: string, node: N): N {
    if (!this.linked) throw new FileFailure('no-entry');
    this.entries.set(name, node);
    this.touch();
    return node;
  }

  take(name: string): void {
    this.entries.delete(name);
    this.touch();
  }

  clear(): void {
    for (const entry of this.entries.values()) {
      if (entry instanceof DirectoryNode) entry.clear();
      entry.unlink();
    }
    this.entries.clear();
  }

  contains(node: FileNode | DirectoryNode): boolean {
    if (node === this) return true;
    for (const entry of this.entries.values()) if (entry === node || (entry instanceof DirectoryNode && entry.contains(node))) return true;
    return false;
  }
}

export type AnyNode = FileNode | DirectoryNode;

export class Scratch {
  readonly bytesMax: number;
  readonly root: DirectoryNode;
  private bytes = 0;
  private nodes = 0;
  private lastId = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
    this.root = new DirectoryNode(this);
  }

  charge(bytes: number): void {
    if (bytes > 0 && this.bytes + bytes > this.bytesMax) throw new FileFailure('insufficient-space');
    this.bytes += bytes;
  }

  add(): number {
    if (this.nodes === nodesMax) throw new FileFailure('insufficient-space');
    this.charge(nodeBytes);
    this.nodes++;
    return ++this.lastId;
  }

  remove(): void {
    this.bytes -= nodeBytes;
    this.nodes--;
  }
}
