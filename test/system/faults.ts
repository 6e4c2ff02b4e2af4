/**
 * Loaded before a node in its own process: what goes wrong around it. Threads end or are refused, clocks jump, when the test
 * says so over the process's channel. Each message is answered once it holds.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { getEnvironmentData, isMainThread, parentPort, setEnvironmentData, type Worker } from 'node:worker_threads';

/**
 * `end`: of an isolate, now. `endAt`: of the next isolate that is sent (`to`) or that sends (`from`) a message of this kind, or
 * that starts. `refuse`: the next so many threads of a kind; those that prepare
 * modules end too, so that the next module needs one. `jump`: both clocks of the main thread, in milliseconds. `stall`: the next
 * gateway thread that is to tell the end of a run stands still before it does.
 */
export type Fault =
  | { kind: 'end'; isolate: number }
  | { kind: 'endAt'; when: 'start' | 'to' | 'from'; message?: string }
  | { kind: 'refuse'; threads: 'isolate' | 'prepare'; count: number }
  | { kind: 'jump'; ms: number }
  | { kind: 'stall'; ms: number };

const workers = createRequire(import.meta.url)('node:worker_threads') as { Worker: typeof Worker };
const isolates = new Map<number, Worker>();
const preparing = new Set<Worker>();
const refusals = { isolate: 0, prepare: 0 };
let ending: Extract<Fault, { kind: 'endAt' }> | undefined;
let jumpedMs = 0;

const endsNow = (when: 'start' | 'to' | 'from', message?: unknown): boolean => {
  if (ending?.when !== when || ending.message !== (message as { kind?: string } | undefined)?.kind) return false;
  ending = undefined;
  return true;
};

type Options = { name?: string; workerData?: { id?: number } };

class FaultyWorker extends workers.Worker {
  readonly #isolate: boolean;

  constructor(file: string | URL, options: Options = {}) {
    const isolate = options.name?.startsWith('isolate ') === true;
    const kind = isolate ? 'isolate' : String(file).includes('prepare-worker') ? 'prepare' : undefined;
    if (kind && refusals[kind] > 0) {
      refusals[kind]--;
      throw Object.assign(new Error('cannot start a thread: EAGAIN'), { code: 'ERR_WORKER_INIT_FAILED' });
    }
    super(file, options as never);
    this.#isolate = isolate;
    if (kind === 'prepare') preparing.add(this);
    if (!isolate) return;
    isolates.set(Number(options.workerData?.id), this);
    if (endsNow('start')) void this.terminate();
  }

  override postMessage(message: unknown, transfer?: never): void {
    super.postMessage(message, transfer as never);
    if (this.#isolate && endsNow('to', message)) void this.terminate();
  }

  override emit(event: string, ...args: unknown[]): boolean {
    if (event === 'message' && this.#isolate && endsNow('from', args[0])) void this.terminate();
    return super.emit(event as 'message', ...(args as [unknown]));
  }
}

const take = async (fault: Fault): Promise<void> => {
  if (fault.kind === 'end') await isolates.get(fault.isolate)?.terminate();
  else if (fault.kind === 'endAt') ending = fault;
  else if (fault.kind === 'refuse') {
    refusals[fault.threads] = fault.count;
    if (fault.threads === 'prepare') await Promise.all([...preparing].map((worker) => worker.terminate()));
  } else if (fault.kind === 'stall') Atomics.store(stalls, 0, fault.ms);
  else jumpedMs += fault.ms;
};

/** All threads see it: how long the next one is to stand still, and a number to wait at. */
const stallsKey = 'nacelle-test-stalls';
const stalls = isMainThread ? new Int32Array(new SharedArrayBuffer(8)) : (getEnvironmentData(stallsKey) as unknown as Int32Array<SharedArrayBuffer>);

type Posted = { kind?: string; messages?: readonly Posted[] };
const tellsEnd = ({ kind, messages = [] }: Posted): boolean => kind === 'stored-ended' || messages.some(tellsEnd);

if (!isMainThread && parentPort && stalls) {
  const port = parentPort;
  const post = port.postMessage.bind(port) as (message: Posted, transfer?: unknown) => void;
  port.postMessage = (message: Posted, transfer?: unknown): void => {
    const stallMs = tellsEnd(message) ? Atomics.exchange(stalls, 0, 0) : 0;
    if (stallMs > 0) Atomics.wait(stalls, 1, 0, stallMs);
    post(message, transfer);
  };
}

if (isMainThread) {
  setEnvironmentData(stallsKey, stalls as never);
  workers.Worker = FaultyWorker as never;
  syncBuiltinESMExports();
  const [wall, steady] = [Date.now, performance.now.bind(performance)];
  Date.now = () => wall() + jumpedMs;
  performance.now = () => steady() + jumpedMs;
  process.on('message', (fault: Fault) => void take(fault).then(() => process.send?.('holds')));
  process.channel?.unref();
}
