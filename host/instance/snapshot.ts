import type { HandleSnapshot } from '../component/abi/handles.ts';
import type { CoreState, Linked } from '../component/link.ts';

const PAGE_BYTES = 65536;
const BLOCK_BYTES = 4096;
/** An instance whose memories grew by more than this is made anew: zeroing would cost more, and the memory be kept. */
const GROWN_BYTES_MAX = 4 * 1024 * 1024;

/** A part of memory: zeros, or bytes to copy. Parts follow each other without gaps. */
type Part = { start: number; end: number; bytes: Uint8Array | null };
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
    else parts.push({ start, end, bytes: zero ? null : bytes });
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

/** Puts memories and globals back; false if the instance has grown too far to be worth it. */
export function restore(state: CoreState, snapshot: Snapshot): boolean {
  for (let i = 0; i < state.memories.length; i++) {
    const { memory, pages } = state.memories[i] as CoreState['memories'][number];
    const image = snapshot.memories[i] as MemoryImage;
    const bytes = new Uint8Array(memory.buffer);
    if (bytes.length - image.bytes > GROWN_BYTES_MAX) return false;
    for (const part of image.parts) {
      if (part.bytes) bytes.set(part.bytes, part.start);
      else bytes.fill(0, part.start, part.end);
    }
    if (bytes.length > image.bytes) bytes.fill(0, image.bytes);
    if (pages) pages.value = image.pages as number;
  }
  for (let i = 0; i < state.globals.length; i++) (state.globals[i] as WebAssembly.Global).value = snapshot.globals[i];
  return true;
}

/** Memory that an instance has by the counters that its guest sees, in pages of 64 KiB. */
export function logicalPages(state: CoreState): number {
  let total = 0;
  for (const { memory, pages } of state.memories) total += pages ? pages.value : memory.buffer.byteLength / PAGE_BYTES;
  return total;
}
