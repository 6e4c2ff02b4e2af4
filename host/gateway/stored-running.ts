/** The gateway thread's side of requests that are run without a client: runs them when the supervisor says so, and tells it their ends. */
import { Problem } from '../base/errors.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { Execution } from '../execution/execution.ts';
import type { FunctionExecutor } from '../execution/executor.ts';
import { describeExecution } from '../execution/record.ts';
import type { SentEnd, StoredRequest } from '../execution/stored-run.ts';
import type { StoredRunFromGateway, StoredRunToGateway } from '../fleet/stored-run-protocol.ts';
import { Overlay } from '../wasi/overlay.ts';
import type { Spilling } from './spilling.ts';
import { StoredExchange } from './stored-exchange.ts';

export type StoredRunningOptions = {
  post: (message: StoredRunFromGateway) => void;
  /** `lent`: what it is to be run with where no route table has it. */
  executorOf: (key: string, lent: DeployedVersion | undefined) => { executor: FunctionExecutor; version: DeployedVersion } | undefined;
  /** A request that this thread has, by the id of its execution. */
  held: (execution: string) => StoredRequest | undefined;
  /** Where large bodies of responses go that may be kept in Blobs. */
  spilling: Spilling | undefined;
  /** Has the supervisor told what was logged. */
  flushLogs: () => void;
};

type RunMessage = Extract<StoredRunToGateway, { kind: 'run-stored' }>;

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
    else this.#run(message);
  }

  #run({ run, request: sent, lent, ...rest }: RunMessage): void {
    const found = this.#options.executorOf(rest.key, lent);
    const request = 'held' in sent ? this.#options.held(sent.held) : sent;
    if (!found || !request) {
      const message = found ? 'the request is no longer held' : 'the function was removed or replaced before its time came';
      const problem = { code: found ? ('unavailable' as const) : ('function-not-found' as const), message };
      this.#options.post({ kind: 'stored-ended', run, end: { problem, record: null, response: null, effects: null } });
      return;
    }
    const { executor, version } = found;
    const overlay = rest.overlay ? new Overlay(run) : undefined;
    const spilling = rest.spill ? this.#options.spilling : undefined;
    const exchange = new StoredExchange({ ...rest, request }, spilling, (execution, problem) => {
      const describe = (): string => JSON.stringify(describeExecution(version.tenant, version.function, execution));
      // The record is whole when the executor has let go of the execution.
      setImmediate(() => {
        // Whoever looks at a failure, or judges, looks at its log too.
        if (version.overlay || problem || exchange.status >= 300) this.#options.flushLogs();
        void this.#tell(run, exchange, problem, describe, overlay);
      });
    });
    const { upload, attempt } = rest;
    this.#begun(run, executor.execute(exchange, request.arrivedAt - performance.timeOrigin, { id: request.id, attempt, overlay, upload }));
  }

  async #tell(run: number, exchange: StoredExchange, problem: Problem | undefined, describe: () => string, overlay: Overlay | undefined): Promise<void> {
    const effects = (problem ? undefined : overlay?.collect()) ?? null;
    try {
      if (problem) throw problem;
      const { response, release } = await exchange.result();
      this.#ended(run, { problem: null, record: describe(), response, effects });
      // From now on the bytes have their time of grace, in which whoever commits the response claims them.
      release();
    } catch (error) {
      exchange.drop();
      const { code, message } = error instanceof Problem ? error : new Problem('internal', `cannot keep the response: ${String(error)}`);
      this.#ended(run, { problem: { code, message }, record: describe(), response: null, effects: null });
    }
  }

  #begun(run: number, execution: Execution): void {
    this.#running.set(run, execution);
    this.#beat ??= setInterval(() => this.#options.post({ kind: 'stored-alive', runs: [...this.#running.keys()] }), aliveMs).unref();
  }

  #ended(run: number, end: SentEnd): void {
    this.#running.delete(run);
    if (this.#running.size === 0) {
      clearInterval(this.#beat);
      this.#beat = undefined;
    }
    this.#options.post({ kind: 'stored-ended', run, end });
  }
}
