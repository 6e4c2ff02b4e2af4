/**
 * A queue of frames in shared memory from one thread to one other. Neither side ever waits: the writer is told when
 * there is no room, the reader when there is nothing, and each says whether the other sleeps and must be woken.
 */

/** Cells at the head of the shared memory, a cache line apart: what each side writes, the other only reads. */
const READ = 0;
const WRITTEN = 16;
const READER_SLEEPS = 32;
const WRITER_WAITS = 48;
const HEADER_BYTES = 256;

/** Length that stands for: the next frame is at the beginning. */
const WRAP = 0xffff_ffff;
const LENGTH_BYTES = 4;

const aligned = (bytes: number): number => (bytes + LENGTH_BYTES + 7) & ~7;

/** Memory for a ring of `bytes`, a power of two. */
export const allocateRing = (bytes: number): SharedArrayBuffer => new SharedArrayBuffer(HEADER_BYTES + bytes);

class RingEnd {
  protected readonly cells: Int32Array;
  /** Memory that frames are in. */
  readonly data: Buffer;
  protected readonly view: DataView;
  protected readonly capacity: number;

  constructor(shared: SharedArrayBuffer) {
    this.cells = new Int32Array(shared, 0, HEADER_BYTES / 4);
    this.capacity = shared.byteLength - HEADER_BYTES;
    this.data = Buffer.from(shared as unknown as ArrayBuffer, HEADER_BYTES, this.capacity);
    this.view = new DataView(shared, HEADER_BYTES, this.capacity);
  }
}

export class RingWriter extends RingEnd {
  /** Writes the first `length` bytes as one frame; false if there is no room, and then the reader wakes this side once there is. */
  write(frame: Buffer, length = frame.length): boolean {
    const bytes = aligned(length);
    const written = Atomics.load(this.cells, WRITTEN);
    const position = (written >>> 0) & (this.capacity - 1);
    const skipped = position + bytes > this.capacity ? this.capacity - position : 0;
    if (!this.hasRoom(written, skipped + bytes)) {
      Atomics.store(this.cells, WRITER_WAITS, 1);
      if (!this.hasRoom(written, skipped + bytes)) return false;
      Atomics.store(this.cells, WRITER_WAITS, 0);
    }
    if (skipped > 0) this.view.setUint32(position, WRAP, true);
    const start = skipped > 0 ? 0 : position;
    this.view.setUint32(start, length, true);
    frame.copy(this.data, start + LENGTH_BYTES, 0, length);
    Atomics.store(this.cells, WRITTEN, (written + skipped + bytes) | 0);
    return true;
  }

  private hasRoom(written: number, bytes: number): boolean {
    const used = (written - Atomics.load(this.cells, READ)) >>> 0;
    return used + bytes <= this.capacity;
  }

  /** True once after the reader went to sleep: it must be woken. */
  mustWake(): boolean {
    return Atomics.exchange(this.cells, READER_SLEEPS, 0) === 1;
  }
}

export class RingReader extends RingEnd {
  /** Hands over the next frame; false if there is none. `visit` is told where in `data` it begins; it must not keep it. */
  next(visit: (start: number) => void): boolean {
    let read = Atomics.load(this.cells, READ);
    if (read === Atomics.load(this.cells, WRITTEN)) return false;
    let position = (read >>> 0) & (this.capacity - 1);
    let length = this.view.getUint32(position, true);
    if (length === WRAP) {
      read = (read + this.capacity - position) | 0;
      position = 0;
      length = this.view.getUint32(0, true);
    }
    visit(position + LENGTH_BYTES);
    Atomics.store(this.cells, READ, (read + aligned(length)) | 0);
    return true;
  }

  /** From now on the writer wakes this side; false, and it does not, if there is a frame already. */
  sleep(): boolean {
    Atomics.store(this.cells, READER_SLEEPS, 1);
    if (Atomics.load(this.cells, WRITTEN) === Atomics.load(this.cells, READ)) return true;
    Atomics.store(this.cells, READER_SLEEPS, 0);
    return false;
  }

  /** True once after the writer found no room: it must be woken. */
  writerWaits(): boolean {
    return Atomics.exchange(this.cells, WRITER_WAITS, 0) === 1;
  }
}
