import type { Channel } from './channel.ts';
import type { FrameWriter, Kind } from './frame.ts';

type Frame = { kind: Kind; run: number; fill: ((frame: FrameWriter) => void) | undefined };

/** Those whose frames wait for the end of this turn of the event loop. */
let waiting: HeldFrames[] = [];
const releaseAll = (): void => {
  const all = waiting;
  waiting = [];
  for (const held of all) held.release();
};

/**
 * The frames of a response, held until the guest gives the thread back, or the run has ended: a guest that fails before
 * that has not answered yet. A small response then goes over with its end, and wakes the other side once.
 */
export class HeldFrames implements Pick<Channel, 'send'> {
  private readonly channel: Channel;
  private held: Frame[] | undefined = [];

  constructor(channel: Channel) {
    this.channel = channel;
    if (waiting.push(this) === 1) setImmediate(releaseAll);
  }

  send(kind: Kind, run: number, fill?: (frame: FrameWriter) => void): void {
    if (this.held) this.held.push({ kind, run, fill });
    else this.channel.send(kind, run, fill);
  }

  /** What is held will not be sent: the guest ended without having answered. */
  drop(): void {
    this.held = this.held ? [] : undefined;
  }

  release(): void {
    const held = this.held;
    this.held = undefined;
    for (const { kind, run, fill } of held ?? []) this.channel.send(kind, run, fill);
  }
}
