import type { MessagePort } from 'node:worker_threads';
import { FrameReader, FrameWriter, type Kind, kinds } from './frame.ts';
import { RingReader, RingWriter } from './ring.ts';

/** One side's ends of a connection: two rings, and a port whose messages say only: look. */
export type ChannelEnds = { incoming: SharedArrayBuffer; outgoing: SharedArrayBuffer; port: MessagePort };

/** Runs that begin before timers, sockets and other channels of the thread have their turn. */
const OPENED_AT_ONCE = 16;
/** How long answers wait for those of other runs, so that the other side is woken once for all. */
const UNRUNG_MS_MAX = 0.1;

/**
 * Frames between two threads, in order, both ways. A writer that finds the ring full keeps its frames until the reader
 * has made room: how many those can be is bounded by the credit of the bodies under way.
 */
export class Channel {
  private readonly reader: RingReader;
  private readonly writer: RingWriter;
  private readonly port: MessagePort;
  private readonly receive: (frame: FrameReader) => void;
  private readonly held: Buffer[] = [];
  private readonly frames = new FrameWriter();
  private readonly current: FrameReader;
  /** Frames were sent, and the other side has not been woken for them. */
  private waking = false;
  private unrungMs = 0;
  private reading = false;
  private opened = false;
  private openedAtOnce = 0;
  private closed = false;

  /** `receive` is called with each frame; it must read it before it returns. */
  constructor(ends: ChannelEnds, receive: (frame: FrameReader) => void) {
    this.reader = new RingReader(ends.incoming);
    this.current = new FrameReader(this.reader.data);
    this.writer = new RingWriter(ends.outgoing);
    this.port = ends.port;
    this.receive = receive;
    this.port.on('message', this.look);
    this.look();
  }

  private readonly look = (): void => {
    this.flush();
    if (!this.reading) this.read();
  };

  /**
   * Hands over what has arrived. After each run that is opened the microtasks go first: by then most runs have ended,
   * and the next one gets the stack that they had. A stack of its own for each of several runs costs more than they do.
   */
  private readonly read = (): void => {
    if (this.closed) return;
    this.reading = true;
    if (this.waking && performance.now() - this.unrungMs > UNRUNG_MS_MAX) this.ring();
    do {
      while (this.reader.next(this.visit)) {
        if (!this.opened) continue;
        this.opened = false;
        if (++this.openedAtOnce % OPENED_AT_ONCE === 0) setImmediate(this.read);
        else queueMicrotask(this.readNext);
        return;
      }
    } while (!this.reader.sleep());
    this.reading = false;
    if (this.reader.writerWaits()) this.port.postMessage(0);
    if (this.waking) this.ring();
  };

  private readonly readNext = (): void => process.nextTick(this.read);

  private readonly visit = (start: number): void => {
    const frame = this.current.begin(start);
    this.opened = frame.kind === kinds.open;
    this.receive(frame);
  };

  /** Hands over what has arrived without waiting for the doorbell: the other side is gone and will not ring. */
  drainLast(): void {
    while (this.reader.next(this.visit));
  }

  send(kind: Kind, run: number, fill?: (frame: FrameWriter) => void): void {
    const frame = this.frames.begin(kind, run);
    fill?.(frame);
    if (this.held.length > 0 || !this.writer.write(frame.buffer, frame.length)) this.held.push(Buffer.from(frame.buffer.subarray(0, frame.length)));
    if (this.waking) return;
    this.waking = true;
    if (this.reading) this.unrungMs = performance.now();
    else queueMicrotask(this.ringIfDone);
  }

  private readonly ringIfDone = (): void => {
    if (this.waking && !this.reading) this.ring();
  };

  /** Once for all frames that were sent in one go: to be woken costs the other side more than to read a frame. */
  private ring(): void {
    this.waking = false;
    if (this.writer.mustWake()) this.port.postMessage(0);
  }

  private flush(): void {
    let sent = 0;
    while (sent < this.held.length && this.writer.write(this.held[sent] as Buffer)) sent++;
    if (sent === 0) return;
    this.held.splice(0, sent);
    if (this.writer.mustWake()) this.port.postMessage(0);
  }

  /** No frame waits for room. */
  get flushed(): boolean {
    return this.held.length === 0;
  }

  close(): void {
    this.closed = true;
    this.port.off('message', this.look);
    this.port.close();
  }
}
