import type { HandleSnapshot } from '../component/abi/handles.ts';
import { DIRTY_BLOCK_SHIFT } from '../component/dirty-map.ts';
import type { CoreState, Linked, MemoryState } from '../component/link.ts';

const PAGE_BYTES = 65536;
const BLOCK_BYTES = 1 << DIRTY_BLOCK_SHIFT;
/** An instance whose memories grew by more than this is made anew: zeroing would cost more, and the memory be kept. */
const GROWN_BYTES_MAX = 4 * 1024 * 1024;

/**
 * A part of memory: zeros, or bytes to copy. Parts follow each other without gaps. `blocks` are views of the bytes, made when
 * a block is first restored: most executions write to the same few.
 */
type Part = { start: number; end: number; bytes: Uint8Array | null; blocks: (Uint8Array | undefined)[] };
type MemoryImage = { bytes: number; parts: Part[]; pages: number | null };

/** The state of an instance right after its initialisation, which every execution starts from. */
export type Snapshot = { memories: MemoryImage[]; globals: unknown[]; handles: HandleSnapshot[] };

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}

function imageOf(memory: WebAssembly.Memory, pages: number | null): MemoryImage {
  const bytes = new Uint8Array(memory.buffer);
  const parts: Part[] = [];
  for (let start = 0; start < bytes.length; start += BLOCK_BYTES) {
    const end = Math.min(start + BLOCK_BYTES, bytes.length);
    const zero = isZero(bytes, start, end);
    const last = parts.at(-1);
    if (last && (last.bytes === null) === zero) last.end = end;
    else parts.push({ start, end, bytes: zero ? null : bytes, blocks: [] });
  }
  for (const part of parts) if (part.bytes) part.bytes = bytes.slice(part.start, part.end);
  return { bytes: bytes.length, parts, pages };
}

export function takeSnapshot({ state, components }: Pick<Linked, 'state' | 'components'>): Snapshot {
  return {
    memories: state.memories.map(({ memory, pages }) => imageOf(memory, pages ? pages.value : null)),
    globals: state.globals.map((global) => global.value),
    handles: components.map((component) => component.handles.snapshot()),
  };
}

/** Begins to watch for writes. `same` says whether the memories are now as in the snapshot; if not, the first reset is one in full. */
export function watchWrites(state: CoreState, same: boolean): void {
  for (const { memory, dirty } of state.memories) if (dirty) dirty.fill(same ? 0 : 1, 0, memory.buffer.byteLength / BLOCK_BYTES + 1);
}

/** What `part` has for `[start, end)`, which is within it. */
function viewOf(part: Part, bytes: Uint8Array, start: number, end: number): Uint8Array {
  const first = start - part.start;
  if (end - start !== BLOCK_BYTES) return bytes.subarray(first, end - part.start);
  const block = first / BLOCK_BYTES;
  while (part.blocks.length <= block) part.blocks.push(undefined);
  part.blocks[block] ??= bytes.subarray(first, end - part.start);
  return part.blocks[block] as Uint8Array;
}

/** Copies the snapshot to `[start, end)`; looks for the first part from `from` on, and returns the last one that was used. */
function restoreRange(bytes: Uint8Array, parts: readonly Part[], from: number, start: number, end: number): number {
  let index = from;
  for (; index < parts.length; index++) {
    const part = parts[index] as Part;
    if (part.end <= start) continue;
    if (part.start >= end) return index - 1;
    const first = Math.max(start, part.start);
    const last = Math.min(end, part.end);
    if (part.bytes) bytes.set(viewOf(part, part.bytes, first, last), first);
    else bytes.fill(0, first, last);
    if (part.end >= end) return index;
  }
  bytes.fill(0, Math.max(start, parts.at(-1)?.end ?? 0), end);
  return parts.length - 1;
}

/** Restores the blocks that are marked and, since a write may have gone on there, the one after each. */
function restoreDirty(bytes: Uint8Array, parts: readonly Part[], dirty: Uint8Array, words: Int32Array): void {
  const blocks = bytes.length / BLOCK_BYTES;
  let part = 0;
  for (let word = 0; word * 4 < blocks; word++) {
    if (words[word] === 0) continue;
    let start = word * 4;
    while (dirty[start] === 0) start++;
    let end = start + 1;
    while (end < blocks && dirty[end - 1] !== 0) end++;
    part = Math.max(0, restoreRange(bytes, parts, part, start * BLOCK_BYTES, end * BLOCK_BYTES));
    for (let block = start; block < end; block++) dirty[block] = 0;
    word = (end >> 2) - 1;
  }
}

const noWords = new Int32Array(0);

function viewsOf(state: MemoryState): NonNullable<MemoryState['views']> {
  if (!state.views || state.views.bytes.length === 0)
    state.views = { bytes: new Uint8Array(state.memory.buffer), dirtyWords: state.dirty ? new Int32Array(state.dirty.buffer) : noWords };
  return state.views;
}

/** Puts memories and globals back; false if the instance has grown too far to be worth it. */
export function restore(state: CoreState, snapshot: Snapshot): boolean {
  for (let i = 0; i < state.memories.length; i++) {
    const memory = state.memories[i] as MemoryState;
    const image = snapshot.memories[i] as MemoryImage;
    const { bytes, dirtyWords } = viewsOf(memory);
    if (bytes.length - image.bytes > GROWN_BYTES_MAX) return false;
    if (memory.dirty) restoreDirty(bytes, image.parts, memory.dirty, dirtyWords);
    else restoreRange(bytes, image.parts, 0, 0, bytes.length);
    if (memory.pages) memory.pages.value = image.pages as number;
  }
  for (let i = 0; i < state.globals.length; i++) (state.globals[i] as WebAssembly.Global).value = snapshot.globals[i];
  return true;
}

/** Memory that a restored instance has by the counters that its guest sees, in pages of 64 KiB. */
export function logicalPages(state: CoreState, snapshot: Snapshot): number {
  let total = 0;
  for (let i = 0; i < state.memories.length; i++)
    total += snapshot.memories[i]?.pages ?? (state.memories[i] as MemoryState).memory.buffer.byteLength / PAGE_BYTES;
  return total;
}
