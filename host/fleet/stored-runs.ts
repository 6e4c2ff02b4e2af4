/**
 * Has gateway threads run requests without a client. Begins with the supervisor; a run ends when its thread says so or
 * is gone, or when its lease ends because the thread has not said for too long that it is alive.
 */
import type { ErrorCode } from '../base/errors.ts';
import { ownBytes } from '../base/own-bytes.ts';
import { PassingMap } from '../base/passing-map.ts';
import type { DeployedVersion } from '../deploy/route-table.ts';
import { ReceivedEnd, type SentEnd, type StoredEnd, type StoredRequest, type StoredRun, type StoredRunOptions } from '../execution/stored-run.ts';
import type { StoredRunFromGateway, StoredRunToGateway } from './stored-run-protocol.ts';

export type GatewayLink = { id: number; post: (message: StoredRunToGateway) => void };

export type StoredRunsOptions = {
  /** A gateway thread to run it: the wanted one if it is there, or any, but rather none to avoid; undefined if there is none. */
  gateway: (wanted?: number, avoid?: number) => GatewayLink | undefined;
  /** A version that is lent to gateway threads, by its key. */
  lent?: (key: string) => DeployedVersion | undefined;
  /** What executions in an overlay hold until their commit is settled; default: nothing. */
  holds?: { hold(run: number): void; settle(run: number): void } | undefined;
  /** Keeps bytes in Blobs until the returned function is called. */
  claim?: ((digest: string) => () => void) | undefined;
  /** Monotonic milliseconds; default `performance.now`. */
  now?: () => number;
};

type Running = { gateway: GatewayLink; overlay: boolean; leaseMs: number | undefined; heardMs: number; end: (end: StoredEnd) => void };

const checkMs = 50;

export const failedEnd = (code: ErrorCode, message: string): StoredEnd => ({ problem: { code, message }, record: null, response: null, effects: null });

const withOwnBody = (request: StoredRequest): StoredRequest => ({ ...request, body: request.body && ownBytes(request.body) });

const threadGone = (): StoredEnd => failedEnd('isolate-lost', 'its gateway thread is gone');

export class StoredRuns {
  readonly #options: StoredRunsOptions;
  readonly #now: () => number;
  readonly #running = new PassingMap<number, Running>();
  /** Begun by their threads, and not taken up yet. */
  readonly #begun = new PassingMap<number, { gateway: GatewayLink | undefined; end: StoredEnd | undefined }>();
  #runs = 0;
  #checker: NodeJS.Timeout | undefined;
  #checkedMs = 0;

  constructor(options: StoredRunsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Runs a request once. Never rejects; what its thread says after the end of its lease is not heard. */
  run(run: StoredRun, options: StoredRunOptions = {}): Promise<StoredEnd> {
    const { gateway: wanted, avoid, held, begun, leaseMs } = options;
    if (begun && 'end' in begun) return Promise.resolve(new ReceivedEnd(begun.end, undefined) as StoredEnd);
    const gateway = this.#options.gateway(wanted, avoid);
    if (!gateway) return Promise.resolve(failedEnd('unavailable', 'no gateway thread is there'));
    if (begun) return this.#takeUp(begun.run, run.overlay, leaseMs);
    const id = ++this.#runs;
    if (run.overlay) this.#options.holds?.hold(id);
    const ended = this.#wait(id, run.overlay, gateway, leaseMs);
    const request = held !== undefined && gateway.id === wanted ? { held } : withOwnBody(run.request);
    const { key, overlay, upload, attempt, responseBytesMax, spill } = run;
    const lent = this.#options.lent?.(key);
    const how = { overlay, upload, attempt, responseBytesMax, ...(spill && { spill }) };
    gateway.post({ kind: 'run-stored', run: id, key, ...how, request, ...(lent && { lent }) });
    return ended;
  }

  #wait(id: number, overlay: boolean, gateway: GatewayLink, leaseMs: number | undefined): Promise<StoredEnd> {
    return new Promise((resolve) => {
      const end = (result: StoredEnd): void => {
        this.#running.delete(id);
        if (overlay && result.problem) this.#options.holds?.settle(id);
        if (this.#running.size === 0) this.#stopChecking();
        resolve(result);
      };
      this.#running.set(id, { gateway, overlay, leaseMs, heardMs: this.#now(), end });
      if (leaseMs !== undefined) this.#startChecking();
    });
  }

  /**
   * A thread has begun a run that it tells of now: its end may come before anybody takes it up by `run`, and is kept until then,
   * or until `drop`.
   */
  expect(run: number | undefined, gateway: number | undefined): void {
    if (run === undefined) return;
    const link = this.#options.gateway(gateway);
    this.#begun.set(run, { gateway: link, end: link?.id === gateway ? undefined : threadGone() });
  }

  /** Nobody takes it up any more. */
  drop(run: number | undefined): void {
    const begun = run === undefined ? undefined : this.#begun.get(run);
    if (!begun || run === undefined) return;
    this.#begun.delete(run);
    if (!begun.end) begun.gateway?.post({ kind: 'stop-stored', run });
    else if (!begun.end.problem) begun.end.settled?.();
  }

  #takeUp(run: number, overlay: boolean, leaseMs: number | undefined): Promise<StoredEnd> {
    const begun = this.#begun.get(run);
    this.#begun.delete(run);
    return begun?.gateway && !begun.end ? this.#wait(run, overlay, begun.gateway, leaseMs) : Promise.resolve(begun?.end ?? threadGone());
  }

  take(message: StoredRunFromGateway): void {
    if (message.kind === 'stored-ended') this.#ended(message.run, message.end);
    else for (const id of message.runs) this.#heard(id);
  }

  #ended(run: number, end: SentEnd): void {
    const running = this.#running.get(run);
    const begun = this.#begun.get(run);
    if (!running && !begun) return;
    const release = end.response?.spilled && this.#options.claim?.(end.response.spilled.digest);
    const settled = (): void => {
      release?.();
      this.#options.holds?.settle(run);
    };
    const ended = new ReceivedEnd(end, running?.overlay === false ? undefined : settled) as StoredEnd;
    if (running) running.end(ended);
    else if (begun) begun.end ??= ended;
  }

  /** A gateway thread is gone, and what it ran with it. */
  leave(gateway: number): void {
    for (const running of [...this.#running.values()]) if (running.gateway.id === gateway) running.end(threadGone());
    for (const begun of this.#begun.values()) if (begun.gateway?.id === gateway) begun.end ??= threadGone();
  }

  close(): void {
    this.#stopChecking();
  }

  #heard(id: number): void {
    const running = this.#running.get(id);
    if (running) running.heardMs = this.#now();
  }

  #startChecking(): void {
    this.#checkedMs = this.#now();
    this.#checker ??= setInterval(() => this.check(), checkMs).unref();
  }

  #stopChecking(): void {
    clearInterval(this.#checker);
    this.#checker = undefined;
  }

  /**
   * Ends runs whose lease is over. After a stop of this thread itself (or of the machine) others get the time to be heard
   * first.
   */
  check(): void {
    const now = this.#now();
    const stoppedMs = Math.max(0, now - this.#checkedMs - 2 * checkMs);
    this.#checkedMs = now;
    for (const [id, running] of this.#running) {
      running.heardMs += stoppedMs;
      if (running.leaseMs === undefined || now - running.heardMs <= running.leaseMs) continue;
      running.gateway.post({ kind: 'stop-stored', run: id });
      running.end(failedEnd('lease-lost', `its thread was not heard of for ${running.leaseMs} ms`));
    }
  }
}
