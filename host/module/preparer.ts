/**
 * Prepares modules in disposable worker threads. A worker begins with the first module or `warm`, takes one module at a
 * time, and ends after `idleMs` without work, after any failure (another one takes its place), and with `close`.
 */
import { Worker } from 'node:worker_threads';
import { Problem } from '../base/errors.ts';
import { moduleExtension } from '../base/module-extension.ts';
import type { Implemented } from './check-imports.ts';
import type { PrepareReply, PrepareRequest, PrepareWorkerData } from './prepare-protocol.ts';

export type PreparerOptions = {
  implemented: Implemented;
  /** Modules prepared at once. Default 2. */
  workersMax?: number;
  /** One module may take so long. Default 30,000. */
  timeMs?: number;
  /** A worker without work is kept so long. Default 60,000. */
  idleMs?: number;
  /** JavaScript heap of one worker. Default 1,024. */
  heapMib?: number;
};

/** Makes the bytes of a component available; they belong to the caller of it afterwards. */
type LoadBytes = () => Uint8Array | Promise<Uint8Array>;

const defaults = { workersMax: 2, timeMs: 30_000, idleMs: 60_000, heapMib: 1_024 };

/** One worker thread, working on at most one module. */
class PrepareWorker {
  private readonly worker: Worker;
  private settle: ((reply: PrepareReply | Problem) => void) | undefined;
  private readonly heapMib: number;

  constructor(data: PrepareWorkerData, heapMib: number, onEnd: () => void) {
    this.heapMib = heapMib;
    this.worker = new Worker(new URL(`./prepare-worker${moduleExtension}`, import.meta.url), {
      name: 'prepare',
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: heapMib },
    });
    this.worker.unref();
    this.worker.on('message', (reply: PrepareReply) => {
      if (reply.kind !== 'ready') this.settle?.(reply);
    });
    this.worker.on('error', (error) => this.settle?.(this.problemOf(error)));
    this.worker.on('exit', () => {
      this.settle?.(new Problem('unavailable', 'cannot prepare the module: the worker ended'));
      onEnd();
    });
  }

  private problemOf(error: unknown): Problem {
    if ((error as { code?: string }).code === 'ERR_WORKER_OUT_OF_MEMORY') {
      return new Problem('module-invalid', `cannot prepare the module: it takes more than ${this.heapMib} MiB of memory`);
    }
    return new Problem('internal', `cannot prepare the module: ${error instanceof Error ? error.message : String(error)}`);
  }

  /** Resolves with the worker's reply, or the problem that ended it. */
  async run(bytes: Uint8Array<ArrayBuffer>, timeMs: number): Promise<PrepareReply | Problem> {
    const request: PrepareRequest = { bytes };
    let timer: NodeJS.Timeout | undefined;
    this.worker.ref();
    try {
      return await new Promise((resolve) => {
        this.settle = resolve;
        timer = setTimeout(() => resolve(new Problem('module-invalid', `cannot prepare the module: it takes longer than ${timeMs} ms`)), timeMs);
        this.worker.postMessage(request, [bytes.buffer]);
      });
    } finally {
      this.settle = undefined;
      clearTimeout(timer);
      this.worker.unref();
    }
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }
}

export class Preparer {
  private readonly options: Required<PreparerOptions>;
  private readonly idle: { worker: PrepareWorker; timer: NodeJS.Timeout }[] = [];
  private readonly workers = new Set<PrepareWorker>();
  private readonly underWay = new Map<string, Promise<Uint8Array<ArrayBuffer>>>();
  private readonly waiting: (() => void)[] = [];
  private running = 0;
  private closed = false;

  constructor(options: PreparerOptions) {
    this.options = { ...defaults, ...options };
  }

  /** Starts a worker, so that the next module need not wait for one; if the system gives no thread, the next module asks again. */
  warm(): void {
    if (this.idle.length > 0 || this.closed) return;
    try {
      this.rest(this.start());
    } catch {}
  }

  /**
   * Prepares the module `digest`, once however many ask at the same time.
   *
   * @param load called at most once, when a worker is free
   * @returns the encoded artifact
   * @throws Problem `module-invalid`, `import-unknown`, `unavailable` after `close`, or without a thread; what `load` throws
   */
  prepare(digest: string, load: LoadBytes): Promise<Uint8Array<ArrayBuffer>> {
    const known = this.underWay.get(digest);
    if (known) return known;
    const artifact = this.prepareOnce(load).finally(() => this.underWay.delete(digest));
    this.underWay.set(digest, artifact);
    return artifact;
  }

  /** Ends all workers; modules under way are refused. */
  async close(): Promise<void> {
    this.closed = true;
    for (const { timer } of this.idle) clearTimeout(timer);
    await Promise.all([...this.workers].map((worker) => worker.end()));
  }

  private async prepareOnce(load: LoadBytes): Promise<Uint8Array<ArrayBuffer>> {
    await this.turn();
    try {
      return await this.prepareNow(await load());
    } finally {
      this.running--;
      this.waiting.shift()?.();
    }
  }

  private async turn(): Promise<void> {
    while (this.running >= this.options.workersMax) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.running++;
  }

  private async prepareNow(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    if (this.closed) throw new Problem('unavailable', 'cannot prepare the module: the node is closing');
    const worker = this.take();
    const reply = await worker.run(whole(bytes), this.options.timeMs);
    if (!(reply instanceof Problem) && reply.kind === 'prepared') {
      this.rest(worker);
      return reply.artifact;
    }
    worker.end().catch(() => undefined);
    this.warm();
    if (reply instanceof Problem) throw reply;
    if (reply.kind === 'refused') throw new Problem(reply.code, reply.message, reply.problems);
    throw new Problem('internal', 'cannot prepare the module: the worker gave no answer');
  }

  private take(): PrepareWorker {
    const rested = this.idle.pop();
    if (!rested) return this.start();
    clearTimeout(rested.timer);
    return rested.worker;
  }

  private start(): PrepareWorker {
    try {
      const worker: PrepareWorker = new PrepareWorker({ implemented: this.options.implemented }, this.options.heapMib, () => this.forget(worker));
      this.workers.add(worker);
      return worker;
    } catch (error) {
      throw new Problem('unavailable', `cannot prepare the module: the system gives no thread: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private rest(worker: PrepareWorker): void {
    const timer = setTimeout(() => void worker.end(), this.options.idleMs);
    timer.unref();
    this.idle.push({ worker, timer });
  }

  private forget(worker: PrepareWorker): void {
    this.workers.delete(worker);
    const at = this.idle.findIndex((item) => item.worker === worker);
    if (at >= 0) clearTimeout(this.idle.splice(at, 1)[0]?.timer);
  }
}

/** The bytes in a buffer of their own, which can be handed over. */
function whole(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const owned = bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength;
  return owned ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
}
