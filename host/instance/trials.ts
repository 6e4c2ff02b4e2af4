/**
 * Trials of sidecars in a thread of their own. It begins with the first trial, and ends after `idleMs` without any, with
 * `close`, or when one gives no answer.
 */
import { Worker } from 'node:worker_threads';
import { moduleExtension } from '../base/module-extension.ts';
import type { CompiledSidecar } from './parts.ts';

/** To the thread, which answers each by a `TrialReply`. */
export type TrialRequest = { trial: number; sidecar: CompiledSidecar; timeMs: number };
export type TrialReply = { trial: number; refusal: string | undefined };

export type TrialsOptions = {
  /** What `configure` may take. Default 500. */
  timeMs?: number;
  /** Whoever waits for longer than this for the trials of others goes without. Default 1,500. */
  patienceMs?: number;
  /** A thread without trials is kept so long. Default 60,000. */
  idleMs?: number;
};

const defaults = { timeMs: 500, patienceMs: 1500, idleMs: 60_000 };
/** A thread that does not answer so long after the time of its trial hangs. On a busy machine it takes seconds to start one. */
const hangsMs = 10_000;
const heapMib = 64;

export class Trials {
  private readonly options: Required<TrialsOptions>;
  private worker: Worker | undefined;
  private idle: NodeJS.Timeout | undefined;
  /** Resolves when the trials that were asked for before have ended: one at a time is made. */
  private before: Promise<unknown> = Promise.resolve();
  private answered: ((refusal: string | undefined) => void) | undefined;
  private made = 0;
  private closed = false;

  constructor(options: TrialsOptions = {}) {
    this.options = { ...defaults, ...options };
  }

  /** Why the sidecar does not take its settings; undefined if it does, or if a trial cannot tell. Never rejects. */
  run(sidecar: CompiledSidecar): Promise<string | undefined> {
    const latestMs = performance.now() + this.options.patienceMs;
    const trial = this.before.then(() => (this.closed || performance.now() > latestMs ? undefined : this.ask(sidecar)));
    this.before = trial;
    return trial;
  }

  private async ask(sidecar: CompiledSidecar): Promise<string | undefined> {
    const { timeMs } = this.options;
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const trial = ++this.made;
    this.answered = resolve;
    let hanging: NodeJS.Timeout | undefined;
    try {
      const worker = this.start();
      worker.postMessage({ trial, sidecar, timeMs } satisfies TrialRequest);
      hanging = setTimeout(() => void this.end(), timeMs + hangsMs);
      return await promise;
    } catch {
      return undefined;
    } finally {
      clearTimeout(hanging);
      this.answered = undefined;
      this.rest();
    }
  }

  private start(): Worker {
    clearTimeout(this.idle);
    if (this.worker) return this.worker;
    const worker = new Worker(new URL(`./trial-thread${moduleExtension}`, import.meta.url), {
      name: 'trials',
      resourceLimits: { maxOldGenerationSizeMb: heapMib },
    });
    worker.unref();
    worker.on('message', ({ trial, refusal }: TrialReply) => {
      if (trial === this.made) this.answered?.(refusal);
    });
    worker.on('error', () => undefined);
    worker.on('exit', () => {
      if (this.worker === worker) this.forget();
    });
    this.worker = worker;
    return worker;
  }

  private rest(): void {
    clearTimeout(this.idle);
    if (this.closed) return;
    this.idle = setTimeout(() => void this.end(), this.options.idleMs).unref();
  }

  /** Whoever waits for an answer gets none. */
  private forget(): void {
    this.worker = undefined;
    this.answered?.(undefined);
  }

  private async end(): Promise<void> {
    const { worker } = this;
    this.forget();
    await worker?.terminate();
  }

  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.idle);
    await this.end();
  }
}
