import { Worker } from 'node:worker_threads';
import { Problem } from '../base/errors.ts';
import { gathering } from '../base/gathering.ts';
import { moduleExtension } from '../base/module-extension.ts';
import type { DeployedVersion, RouteTable } from '../deploy/route-table.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import type { DeferralFromGateway } from '../fleet/deferral-protocol.ts';
import type { FailureFromGateway } from '../fleet/failure-protocol.ts';
import type { GuaranteeFromGateway } from '../fleet/guarantee-protocol.ts';
import type { FleetFromGateway, PostToGateway } from '../fleet/protocol.ts';
import type { StoredRunFromGateway } from '../fleet/stored-run-protocol.ts';
import type { LogRecord } from '../telemetry/log-record.ts';
import type { Artifacts } from './artifacts.ts';
import type { DebugFromGateway } from './debugging.ts';
import type { FromGateway, GatewayNumbers, GatewaySettings, ToGateway } from './protocol.ts';

/** A thread answers within this time, or it hangs. Counted in pings, since nobody answers while this process is stopped. */
const answerMs = 20_000;
const pingMs = 2000;

export type GatewayEvents = {
  artifacts: Artifacts;
  /** Links a version with sidecars that a request asks for. Rejects with a `Problem`. */
  debug: (key: string, use: string, token: string) => Promise<DeployedVersion>;
  onLogs: (records: LogRecord[], dropped: number) => void;
  /** What it says of isolates. */
  onFleet: (message: FleetFromGateway | DeferralFromGateway | StoredRunFromGateway | GuaranteeFromGateway | FailureFromGateway) => void;
  /** The thread is gone without having been asked to. */
  onDeath: (reason: string) => void;
};

type Waiting<T> = { resolve: (value: T) => void; reject: (error: Problem) => void };

const later = <T>(): { promise: Promise<T>; waiting: Waiting<T> } => {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  promise.catch(() => undefined);
  return { promise, waiting: { resolve, reject } };
};

/**
 * The supervisor's side of one gateway thread. Begins with a fresh thread; ends with `stop`, or when the thread dies or
 * hangs: then all that is asked of it rejects.
 */
export class Gateway {
  readonly id: number;
  readonly #worker: Worker;
  readonly #events: GatewayEvents;
  readonly #stopped = later<void>();
  readonly #loaded = later<void>();
  readonly #gone = later<never>();
  readonly #records = new Map<number, Waiting<ExecutionRecord | undefined>>();
  readonly #counts = new Map<number, Waiting<GatewayNumbers>>();
  readonly #routings = new Map<number, Waiting<void>>();
  #listening: Waiting<number> | undefined;
  #requests = 0;
  #stopping = false;
  #lastError: unknown;
  #unanswered = 0;
  readonly #pinger: NodeJS.Timeout;

  constructor(settings: GatewaySettings, events: GatewayEvents) {
    this.id = settings.id;
    this.#events = events;
    this.#worker = new Worker(new URL(`./thread${moduleExtension}`, import.meta.url), {
      name: `gateway ${settings.id}`,
      workerData: settings,
      transferList: [settings.keyvalue, settings.objects, settings.shared].flatMap((access) => access?.port ?? []),
    });
    this.#worker.on('message', this.#take);
    this.#worker.on('error', (error) => {
      this.#lastError = error;
    });
    this.#worker.on('exit', () => this.#end());
    this.#pinger = setInterval(() => this.#ping(), pingMs).unref();
  }

  /** Resolves when the thread routes by this table. */
  route(table: RouteTable): Promise<void> {
    const { promise, waiting } = later<void>();
    this.#routings.set(table.version, waiting);
    this.#post({ kind: 'routes', table });
    return this.#answer(promise);
  }

  /** Resolves when the modules of the first table are in the thread. */
  loaded(): Promise<void> {
    return this.#answer(this.#loaded.promise);
  }

  /** @returns the port @throws Problem `address-in-use` */
  listen(port: number): Promise<number> {
    const { promise, waiting } = later<number>();
    this.#listening = waiting;
    this.#post({ kind: 'listen', port });
    return this.#answer(promise);
  }

  find(execution: string): Promise<ExecutionRecord | undefined> {
    const { promise, waiting } = later<ExecutionRecord | undefined>();
    const request = ++this.#requests;
    this.#records.set(request, waiting);
    this.#post({ kind: 'find', request, execution });
    return this.#answer(promise);
  }

  count(): Promise<GatewayNumbers> {
    const { promise, waiting } = later<GatewayNumbers>();
    const request = ++this.#requests;
    this.#counts.set(request, waiting);
    this.#post({ kind: 'count', request });
    return this.#answer(promise);
  }

  /** Requests under way finish for at most `graceMs`; resolves when the thread has ended. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#post({ kind: 'stop', graceMs });
    const force = setTimeout(() => void this.#worker.terminate(), graceMs + answerMs);
    await Promise.race([this.#stopped.promise, this.#gone.promise]).catch(() => undefined);
    clearTimeout(force);
    await this.#worker.terminate();
  }

  /** What the thread was asked, or a problem if it dies or does not answer. */
  async #answer<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#gone.promise]);
  }

  readonly postFleet: PostToGateway = (message, transfer) => {
    // Of these there may be many in one turn, and none has a port.
    if (message.kind === 'guarded' || message.kind === 'run-stored') this.#postSoon(message);
    else this.#worker.postMessage(message, transfer);
  };
  readonly #postSoon = gathering<ToGateway>((messages) => this.#post(messages.length === 1 ? (messages[0] as ToGateway) : { kind: 'several', messages }));

  #post(message: ToGateway): void {
    this.#worker.postMessage(message);
  }

  /** A thread that answers nothing for long hangs: it is ended, and its requests with it. */
  #ping(): void {
    if (this.#unanswered++ * pingMs < answerMs) this.#post({ kind: 'ping' });
    else {
      this.#lastError ??= new Error(`no answer for ${answerMs} ms`);
      void this.#worker.terminate();
    }
  }

  #end(): void {
    clearInterval(this.#pinger);
    const reason = this.#lastError instanceof Error ? (this.#lastError.stack ?? this.#lastError.message) : String(this.#lastError ?? 'it ended by itself');
    this.#gone.waiting.reject(new Problem('unavailable', `gateway thread ${this.id} is gone`));
    if (!this.#stopping) this.#events.onDeath(reason);
  }

  readonly #take = (message: FromGateway): void => {
    this.#unanswered = 0;
    switch (message.kind) {
      case 'several':
        for (const one of message.messages) this.#take(one);
        break;
      case 'routing':
        this.#routings.get(message.version)?.resolve();
        this.#routings.delete(message.version);
        break;
      case 'loaded':
        this.#loaded.waiting.resolve();
        break;
      case 'listening':
        this.#listening?.resolve(message.port);
        break;
      case 'not-listening':
        this.#listening?.reject(new Problem(message.code, message.message));
        break;
      case 'artifact-wanted':
        void this.#sendArtifact(message.request, message.digest);
        break;
      case 'debug-wanted':
        void this.#sendDebug(message);
        break;
      case 'found':
        this.#records.get(message.request)?.resolve(message.record ?? undefined);
        this.#records.delete(message.request);
        break;
      case 'numbers':
        this.#counts.get(message.request)?.resolve(message.numbers);
        this.#counts.delete(message.request);
        break;
      case 'pong':
        break;
      case 'logs':
        this.#post({ kind: 'logs-taken' });
        this.#events.onLogs(message.records, message.dropped);
        break;
      case 'stopped':
        this.#stopped.waiting.resolve();
        break;
      default:
        this.#events.onFleet(message);
    }
  };

  async #sendArtifact(request: number, digest: string): Promise<void> {
    try {
      this.#post({ kind: 'artifact', request, ...(await this.#events.artifacts.compile(digest)) });
    } catch (error) {
      const { code, message } = error instanceof Problem ? error : new Problem('internal', `cannot load module ${digest}: ${String(error)}`);
      this.#post({ kind: 'artifact-refused', request, code, message });
    }
  }

  async #sendDebug({ request, key, use, token }: DebugFromGateway): Promise<void> {
    try {
      this.#post({ kind: 'debug-linked', request, version: await this.#events.debug(key, use, token) });
    } catch (error) {
      const { code, message } = error instanceof Problem ? error : new Problem('internal', `cannot link the sidecar: ${String(error)}`);
      this.#post({ kind: 'debug-refused', request, code, message });
    }
  }
}
