/**
 * The supervisor's side of one isolate. Begins with a fresh thread; ends with `drain`, with `terminate`, or when the
 * thread dies or hangs.
 */

import { MessageChannel, Worker } from 'node:worker_threads';
import { moduleExtension } from '../base/module-extension.ts';
import type { ChannelEnds } from './channel.ts';
import type { FromIsolate, Holding, IsolateSettings, ToIsolate } from './protocol.ts';
import { allocateRing } from './ring.ts';

const RING_BYTES = 1 << 20;
/**
 * A thread that leaves so many pings unanswered hangs: metered guests give way every few milliseconds. Counted in pings, not
 * by the clock: while this process was stopped nobody could answer.
 */
const PINGS_MAX = 5;
const PING_MS = 1000;

export type IsolateEvents = {
  onMessage: (message: FromIsolate) => void;
  /** The thread has ended: asked to (`reason` undefined), or not. */
  onExit: (reason: string | undefined) => void;
};

export type IsolateOptions = IsolateSettings & {
  /** Heap of the thread, in MiB; guests' memories are not part of it. */
  heapMib: number;
  /** Path of the program in one file, as program.ts writes it; the modules themselves if it is not given. */
  program?: string | undefined;
};

/** The module that an isolate runs. */
export const threadUrl = new URL(`./thread${moduleExtension}`, import.meta.url);

export class Isolate {
  readonly id: number;
  private readonly worker: Worker;
  private readonly watchdog: NodeJS.Timeout;
  /** A thread that has not told anything yet starts: how long that may take is for the placement core to say. */
  private started = false;
  private unanswered = 0;
  private ending = false;
  private failure: unknown;

  constructor({ heapMib, program, ...settings }: IsolateOptions, events: IsolateEvents) {
    this.id = settings.id;
    this.worker = new Worker(program ?? threadUrl, {
      name: `isolate ${settings.id}`,
      workerData: settings,
      transferList: [settings.keyvalue, settings.objects, settings.shared].flatMap((access) => access?.port ?? []),
      resourceLimits: { maxOldGenerationSizeMb: heapMib },
      // What the process was started with would be loaded into each thread too.
      ...(program === undefined ? {} : { execArgv: [] }),
    });
    this.worker.on('message', (message: FromIsolate) => {
      this.started = true;
      this.unanswered = 0;
      events.onMessage(message);
    });
    this.worker.on('error', (error) => {
      this.failure = error;
    });
    this.worker.on('exit', () => {
      clearInterval(this.watchdog);
      events.onExit(this.ending ? undefined : String(this.failure ?? 'it ended by itself'));
    });
    this.watchdog = setInterval(() => this.watch(), PING_MS).unref();
  }

  private watch(): void {
    if (!this.started) return;
    if (this.unanswered++ < PINGS_MAX) this.post({ kind: 'ping' });
    else {
      this.failure ??= new Error(`no answer to ${PINGS_MAX} pings in ${PINGS_MAX} s`);
      void this.worker.terminate();
    }
  }

  private post(message: ToIsolate, transfer: readonly MessagePort[] = []): void {
    this.worker.postMessage(message, transfer as never);
  }

  assign(tenant: string): void {
    this.post({ kind: 'assign', tenant });
  }

  hold(holding: Holding): void {
    this.post({ kind: 'hold', holding });
  }

  release(cell: number): void {
    this.post({ kind: 'release', cell });
  }

  replaced(cell: number): void {
    this.post({ kind: 'replaced', cell });
  }

  prepare(cell: number, instances: number): void {
    this.post({ kind: 'prepare', cell, instances });
  }

  drop(cell: number): void {
    this.post({ kind: 'drop', cell });
  }

  withhold(on: boolean): void {
    this.post({ kind: 'withhold', on });
  }

  /** Opens a channel to a gateway thread; the returned ends are to be posted there, the port transferred. */
  connect(gateway: number): ChannelEnds {
    const [there, back] = [allocateRing(RING_BYTES), allocateRing(RING_BYTES)];
    const { port1, port2 } = new MessageChannel();
    this.worker.postMessage({ kind: 'connect', gateway, incoming: there, outgoing: back, port: port1 } satisfies ToIsolate, [port1]);
    return { incoming: back, outgoing: there, port: port2 };
  }

  disconnect(gateway: number): void {
    this.post({ kind: 'disconnect', gateway });
  }

  /** Ends when what runs in it has ended. */
  /** @param suspended its tenant is */
  drain(suspended = false): void {
    this.ending = true;
    this.post({ kind: 'drain', suspended });
  }

  /** Ends now, with everything in it. */
  async terminate(): Promise<void> {
    this.ending = true;
    await this.worker.terminate();
  }
}
