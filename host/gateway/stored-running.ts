/** The gateway thread's side of requests that are run without a client: runs them when the supervisor says so, and tells it their ends. */
import { Problem } from '../base/errors.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import type { Execution } from '../execution/execution.ts';
import type { FunctionExecutor } from '../execution/executor.ts';
import { gatewayMax } from '../execution/id.ts';
import { describeExecution } from '../execution/record.ts';
import type { SentEnd, StoredRequest, StoredRun } from '../execution/stored-run.ts';
import type { StoredRunFromGateway, StoredRunToGateway } from '../fleet/stored-run-protocol.ts';
import { Overlay } from '../wasi/overlay.ts';
import type { Spilling } from './spilling.ts';
import { StoredExchange } from './stored-exchange.ts';

export type StoredRunningOptions = {
  post: (message: StoredRunFromGateway) => void;
  /** Of the thread. */
  id: number;
  /** Largest body of a response to a request with a key. */
  responseBytesMax: number;
  /** `lent`: what it is to be run with where no route table has it. */
  executorOf: (key: string, lent: DeployedVersion | undefined) => Serving | undefined;
  /** A request that this thread has, by the id of its execution. */
  held: (execution: string) => StoredRequest | undefined;
  /** Where large bodies of responses go that may be kept in Blobs. */
  spilling: Spilling | undefined;
  /** Has the supervisor told what was logged. */
  flushLogs: () => void;
};

type Serving = { executor: FunctionExecutor; version: DeployedVersion };
type How = Omit<StoredRun, 'key'>;
type RunMessage = Extract<StoredRunToGateway, { kind: 'run-stored' }>;

/** How often the supervisor is told that runs are under way: well within the shortest lease. */
const aliveMs = 250;
/** Runs that threads number themselves are told apart by their thread. */
const threadsMax = gatewayMax + 1;

export class StoredRunning {
  readonly #options: StoredRunningOptions;
  readonly #running = new Map<number, Execution>();
  #begun = 0;
  #beat: NodeJS.Timeout | undefined;

  constructor(options: StoredRunningOptions) {
    this.#options = options;
  }

  take(message: StoredRunToGateway): void {
    if (message.kind === 'stop-stored') this.stop(message.run);
    else this.#run(message);
  }

  stop(run: number): void {
    this.#running.get(run)?.stop('unavailable');
  }

  /**
   * Runs a request of this thread's own, whose function shares nothing with others, in an overlay, as the supervisor would have
   * it run. `ended` is told its end. Returns the number of the run; undefined if the thread has nothing to run it with.
   */
  begin(key: string, request: StoredRequest, ended: (end: SentEnd) => void): number | undefined {
    const found = this.#options.executorOf(key, undefined);
    if (!found) return undefined;
    const run = -(++this.#begun * threadsMax + this.#options.id);
    this.#execute(run, found, { request, overlay: true, attempt: 1, spill: true, responseBytesMax: this.#options.responseBytesMax }, ended);
    return run;
  }

  /** Has the supervisor told the end of a run. */
  tell(run: number, end: SentEnd): void {
    this.#options.post({ kind: 'stored-ended', run, end });
  }

  #run({ run, request: sent, lent, ...rest }: RunMessage): void {
    const found = this.#options.executorOf(rest.key, lent);
    const request = 'held' in sent ? this.#options.held(sent.held) : sent;
    if (!found || !request) {
      const message = found ? 'the request is no longer held' : 'the function was removed or replaced before its time came';
      const problem = { code: found ? ('unavailable' as const) : ('function-not-found' as const), message };
      this.tell(run, { problem, record: null, response: null, effects: null });
      return;
    }
    this.#execute(run, found, { ...rest, request }, (end) => this.tell(run, end));
  }

  #execute(run: number, { executor, version }: Serving, how: How, ended: (end: SentEnd) => void): void {
    const { request, upload, attempt } = how;
    // What it shares is known by the number that the supervisor gave.
    const overlay = how.overlay ? new Overlay(Math.max(0, run)) : undefined;
    const spilling = how.spill ? this.#options.spilling : undefined;
    const exchange = new StoredExchange(how, spilling, (execution, problem) => {
      const describe = (): string => JSON.stringify(describeExecution(version.tenant, version.function, execution));
      // The record is whole when the executor has let go of the execution.
      setImmediate(() => {
        // Whoever looks at a failure, or judges, looks at its log too.
        if (version.overlay || problem || exchange.status >= 300) this.#options.flushLogs();
        void this.#end(exchange, problem, describe, overlay, (end) => {
          this.#over(run);
          ended(end);
        });
      });
    });
    this.#isBegun(run, executor.execute(exchange, request.arrivedAt - performance.timeOrigin, { id: request.id, attempt, overlay, upload }));
  }

  async #end(
    exchange: StoredExchange,
    problem: Problem | undefined,
    describe: () => string,
    overlay: Overlay | undefined,
    ended: (end: SentEnd) => void,
  ): Promise<void> {
    const effects = (problem ? undefined : overlay?.collect()) ?? null;
    try {
      if (problem) throw problem;
      const { response, release } = await exchange.result();
      ended({ problem: null, record: describe(), response, effects });
      // From now on the bytes have their time of grace, in which whoever commits the response claims them.
      release();
    } catch (error) {
      exchange.drop();
      const { code, message } = error instanceof Problem ? error : new Problem('internal', `cannot keep the response: ${String(error)}`);
      ended({ problem: { code, message }, record: describe(), response: null, effects: null });
    }
  }

  #isBegun(run: number, execution: Execution): void {
    this.#running.set(run, execution);
    this.#beat ??= setInterval(() => this.#options.post({ kind: 'stored-alive', runs: [...this.#running.keys()] }), aliveMs).unref();
  }

  #over(run: number): void {
    this.#running.delete(run);
    if (this.#running.size > 0) return;
    clearInterval(this.#beat);
    this.#beat = undefined;
  }
}
