import { DIRTY_BLOCK_SHIFT } from '../dirty-map.ts';
import type { StringEncoding } from '../plan.ts';
import type { FlatReader } from './codec.ts';
import type { ResourceOwner } from './guest-resource.ts';
import type { HandleTable } from './handles.ts';
import { AbiError } from './trap.ts';

/** A component instance at run time: its handles, and whether it may be called or call out now. */
export type ComponentState = {
  /** Its index in the plan. */
  component: number;
  /** The instance of the whole plan that it is part of. */
  owner: ResourceOwner;
  handles: HandleTable;
  /** False while the host runs its realloc or post-return: imports must not be called then. */
  mayLeave: boolean;
  /** True while one of its exports is running. */
  entered: boolean;
  /** Borrowed handles that its present call was given and has not dropped yet. */
  borrowsOpen: number;
};

/**
 * Most bytes that one call hands over from a guest's memory. Its lists and strings may overlap, so the size of the
 * memory is no bound on what they amount to in the host.
 */
export const LIFTED_BYTES_MAX = 16 * 1024 * 1024;

type Realloc = (oldPointer: number, oldBytes: number, align: number, bytes: number) => number;

/** Tells the meter that guest code is about to run under a JavaScript frame, where it cannot be suspended. */
export type UnsuspendableSection = { enterUnsuspendable(): void; leaveUnsuspendable(): void };

/**
 * Memory, realloc and string encoding of one lift or lower, and the component instance that it belongs to.
 * Views are renewed when the memory has grown, which detaches the old buffer.
 */
export class Scope {
  readonly state: ComponentState;
  readonly encoding: StringEncoding;
  private readonly memory: WebAssembly.Memory | null;
  private readonly realloc: Realloc | null;
  private readonly section: UnsuspendableSection;
  /** A byte for each block of memory, set when the host writes to it. */
  private readonly dirty: Uint8Array | null;
  private view: DataView = new DataView(new ArrayBuffer(0));
  private array: Uint8Array = new Uint8Array(0);
  private lifted = 0;
  private readonly flat: FlatReader = { values: [], at: 0 };
  /** Handles lent by the call that is being lifted, given back when it returns; null when nobody counts. */
  lent: number[] | null = null;

  constructor(
    state: ComponentState,
    encoding: StringEncoding,
    memory: WebAssembly.Memory | null,
    realloc: Realloc | null,
    section: UnsuspendableSection,
    dirty: Uint8Array | null = null,
  ) {
    this.state = state;
    this.encoding = encoding;
    this.memory = memory;
    this.realloc = realloc;
    this.section = section;
    this.dirty = dirty;
  }

  /** To be called before the values of a call are lifted: reads them from the first on. There is one reader, since no two calls are lifted at once. */
  beginLift(values: readonly unknown[]): FlatReader {
    this.lifted = 0;
    this.flat.values = values;
    this.flat.at = 0;
    return this.flat;
  }

  /** Counts bytes that the host is about to keep a copy of. */
  charge(bytes: number): void {
    this.lifted += bytes;
    if (this.lifted > LIFTED_BYTES_MAX) throw new AbiError(`cannot take more than ${LIFTED_BYTES_MAX} bytes in one call`);
  }

  private renew(): void {
    if (!this.memory) throw new AbiError('this function has no memory option');
    this.array = new Uint8Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
  }

  get bytes(): Uint8Array {
    if (this.array.length === 0) this.renew();
    return this.array;
  }

  get data(): DataView {
    if (this.array.length === 0) this.renew();
    return this.view;
  }

  /** Throws unless `[pointer, pointer + bytes)` is within memory and aligned. */
  check(pointer: number, bytes: number, align: number): void {
    if (pointer & (align - 1)) throw new AbiError(`pointer ${pointer} is not aligned to ${align}`);
    if (pointer + bytes > this.bytes.length) throw new AbiError(`pointer ${pointer} + ${bytes} is out of bounds of memory`);
  }

  /** As `check`, for a range that the host is about to write to. */
  checkWrite(pointer: number, bytes: number, align: number): void {
    this.check(pointer, bytes, align);
    const { dirty } = this;
    if (!dirty || bytes === 0) return;
    const last = (pointer + bytes - 1) >>> DIRTY_BLOCK_SHIFT;
    for (let block = pointer >>> DIRTY_BLOCK_SHIFT; block <= last; block++) dirty[block] = 1;
  }

  /** Memory of the guest's own for a value that the host hands over. */
  alloc(align: number, bytes: number): number {
    if (!this.realloc) throw new AbiError('this function has no realloc option');
    this.state.mayLeave = false;
    this.section.enterUnsuspendable();
    const pointer = this.realloc(0, 0, align, bytes) >>> 0;
    this.section.leaveUnsuspendable();
    this.state.mayLeave = true;
    this.checkWrite(pointer, bytes, align);
    return pointer;
  }
}
