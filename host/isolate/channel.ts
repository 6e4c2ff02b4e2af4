import type { MessagePort } from 'node:worker_threads';
import { FrameReader, FrameWriter, type Kind } from './frame.ts';
import { RingReader, RingWriter } from './ring.ts';

/** One side's ends of a connection: two rings, and a port whose messages say only: look. */
export type ChannelEnds = { incoming: SharedArrayBuffer; outgoing: SharedArrayBuffer; port: MessagePort };

/**
 * Frames between two threads, in order, both ways. A writer that finds the ring full keeps its frames until the reader
 * has made room: how many those can be is bounded by the credit of the bodies under way.
 */
export class Channel {
  private readonly reader: RingReader;
  private readonly writer: RingWriter;
  private readonly port: MessagePort;
  private readonly receive: (frame: FrameReader) => void;
  private readonly held: Uint8Array[] = [];
  private readonly frames = new FrameWriter();
  private readonly current = new FrameReader();
  private waking = false;

  /** `receive` is called with each frame; it must read it before it returns. */
  constructor(ends: ChannelEnds, receive: (frame: FrameReader) => void) {
    this.reader = new RingReader(ends.incoming);
    this.writer = new RingWriter(ends.outgoing);
    this.port = ends.port;
    this.receive = receive;
    this.port.on('message', this.look);
    this.look();
  }

  private readonly look = (): void => {
    this.flush();
    const wake = this.reader.drain((data, start) => this.receive(this.current.begin(data, start)));
    if (wake) this.port.postMessage(0);
  };

  /** Hands over what has arrived without waiting for the doorbell: the other side is gone and will not ring. */
  drainLast(): void {
    this.reader.drain((data, start) => this.receive(this.current.begin(data, start)));
  }

  send(kind: Kind, run: number, fill?: (frame: FrameWriter) => void): void {
    const frame = this.frames.begin(kind, run);
    fill?.(frame);
    const bytes = frame.take();
    if (this.held.length > 0 || !this.writer.write(bytes)) this.held.push(Uint8Array.from(bytes));
    if (this.waking) return;
    this.waking = true;
    queueMicrotask(this.wake);
  }

  /** Once for all frames that were sent in one go: to be woken costs the other side more than to read a frame. */
  private readonly wake = (): void => {
    this.waking = false;
    if (this.writer.mustWake()) this.port.postMessage(0);
  };

  private flush(): void {
    let sent = 0;
    while (sent < this.held.length && this.writer.write(this.held[sent] as Uint8Array)) sent++;
    if (sent === 0) return;
    this.held.splice(0, sent);
    if (this.writer.mustWake()) this.port.postMessage(0);
  }

  /** No frame waits for room. */
  get flushed(): boolean {
    return this.held.length === 0;
  }

  close(): void {
    this.port.off('message', this.look);
    this.port.close();
  }
}
