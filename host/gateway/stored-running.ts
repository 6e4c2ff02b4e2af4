/** The gateway thread's side of requests that are run without a client: runs them when the supervisor says so, and tells it their ends. */
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { Execution } from '../execution/execution.ts';
import type { FunctionExecutor } from '../execution/executor.ts';
import { describeExecution } from '../execution/record.ts';
import type { StoredEnd, StoredRun } from '../execution/stored-run.ts';
import type { StoredRunFromGateway, StoredRunToGateway } from '../fleet/stored-run-protocol.ts';
import { Overlay } from '../wasi/overlay.ts';
import { StoredExchange } from './stored-exchange.ts';

export type StoredRunningOptions = {
  post: (message: StoredRunFromGateway) => void;
  executorOf: (key: string) => { executor: FunctionExecutor; version: DeployedVersion } | undefined;
};

/** How often the supervisor is told that runs are under way: well within the shortest lease. */
const aliveMs = 250;

export class StoredRunning {
  readonly #options: StoredRunningOptions;
  readonly #running = new Map<number, Execution>();
  #beat: NodeJS.Timeout | undefined;

  constructor(options: StoredRunningOptions) {
    this.#options = options;
  }

  take(message: StoredRunToGateway): void {
    if (message.kind === 'stop-stored') this.#running.get(message.run)?.stop('unavailable');
    else this.#run(message.run, message);
  }

  #run(run: number, stored: StoredRun): void {
    const { key, request } = stored;
    const found = this.#options.executorOf(key);
    if (!found) {
      const problem = { code: 'function-not-found' as const, message: 'the function was removed or replaced before its time came' };
      this.#options.post({ kind: 'stored-ended', run, end: { problem, record: null, response: null, effects: null } });
      return;
    }
    const { executor, version } = found;
    const overlay = stored.overlay ? new Overlay() : undefined;
    const exchange = new StoredExchange(stored, (execution, problem) => {
      // The record is whole when the executor has let go of the execution.
      setImmediate(() => {
        const record = describeExecution(version.tenant, version.function, execution);
        const end: StoredEnd = problem
          ? { problem: { code: problem.code, message: problem.message }, record, response: null, effects: null }
          : { problem: null, record, response: exchange.result(), effects: overlay?.collect() ?? null };
        this.#ended(run, end);
      });
    });
    this.#begun(run, executor.execute(exchange, request.arrivedAt - performance.timeOrigin, { id: request.id, overlay }));
  }

  #begun(run: number, execution: Execution): void {
    this.#running.set(run, execution);
    this.#beat ??= setInterval(() => this.#options.post({ kind: 'stored-alive', runs: [...this.#running.keys()] }), aliveMs).unref();
  }

  #ended(run: number, end: StoredEnd): void {
    this.#running.delete(run);
    if (this.#running.size === 0) {
      clearInterval(this.#beat);
      this.#beat = undefined;
    }
    this.#options.post({ kind: 'stored-ended', run, end });
  }
}
