import { type ErrorCode, Problem } from '../base/errors.ts';
import { type FunctionRunner, notRun, type Run, type RunDecision, type RunEnd, type RunPlace } from '../instance/runner.ts';
import type { IsolateEnd, IsolateRun, RunOwner } from '../isolate/client.ts';
import type { ExecutionPorts, GuestRequest, ResponseSink } from '../wasi/context.ts';
import type { IsolateDirectory, NotPlaced, Placed, Reachable } from './directory.ts';
import { asFromStart } from './replayed-body.ts';

/** How often a run is begun before it is given up: isolates may be lost under it, or have let go of its version. */
const attemptsMax = 4;

const failed = (problem: Problem): RunEnd => notRun({ problem, backtrace: undefined, exited: false });

const none: readonly RunDecision[] = [];

/** One run from the search for its place to its end, in as many isolates as it takes. */
class PlacedRun implements Run, RunOwner {
  readonly ended: Promise<RunEnd>;
  place: RunPlace | undefined;
  decisions = none;
  readonly #directory: IsolateDirectory;
  readonly #key: string;
  readonly #response: ResponseSink;
  readonly #ports: ExecutionPorts;
  readonly #resolve: (end: RunEnd) => void;
  #request: GuestRequest;
  #current: IsolateRun | undefined;
  /** The supervisor found the place of the current run. */
  #placed = false;
  #attempts = 0;
  #stopped = false;

  constructor(directory: IsolateDirectory, key: string, request: GuestRequest, response: ResponseSink, ports: ExecutionPorts) {
    const { promise, resolve } = Promise.withResolvers<RunEnd>();
    this.ended = promise;
    this.#resolve = resolve;
    this.#directory = directory;
    this.#key = key;
    this.#request = request;
    this.#response = response;
    this.#ports = ports;
    this.#begin();
  }

  stop(code: ErrorCode, message: string): void {
    this.#stopped = true;
    if (this.#current) this.#current.stop(code, message);
    else {
      this.#directory.cancel(this.#ports.id);
      this.#resolve(failed(new Problem(code, message)));
    }
  }

  #begin(): void {
    this.#attempts++;
    const idle = this.#directory.takeIdle(this.#key);
    if (idle) this.#run(idle, { rung: 1, isolate: idle.isolate, load: 'thread', atMs: performance.now() }, false);
    else this.#directory.ask(this.#ports.id, this.#key, (answer) => this.#answered(answer));
  }

  #answered(answer: Placed | NotPlaced): void {
    this.decisions = [...this.decisions, ...answer.decisions];
    if (answer.kind === 'not-placed') {
      this.#resolve(failed(new Problem(answer.code, answer.message, undefined, answer.retryAfterMs ?? undefined)));
      return;
    }
    const { rung, isolate, load } = answer;
    const found = this.#directory.find(this.#key, isolate);
    if (found) this.#run(found, { rung, isolate, load, atMs: performance.now() }, true);
    else this.#again(false);
  }

  #run(reachable: Reachable, place: RunPlace, placed: boolean): void {
    this.place = place;
    const { client, cell, hostCallNames } = reachable;
    this.#placed = placed;
    this.#current = client.run(cell, hostCallNames, this.#request, this.#response, this.#ports, placed, this);
  }

  runEnded(end: IsolateEnd): void {
    if (end.kind === 'ended') {
      this.#resolve(end.end);
      return;
    }
    this.#current = undefined;
    const repeatable = end.kind === 'not-held' || end.repeatable;
    if (end.kind === 'lost') this.#noteLost(repeatable);
    if (repeatable) this.#request = asFromStart(this.#request);
    if (!repeatable || this.#stopped) this.#giveUp(end);
    else this.#again(end.kind === 'not-held' && this.#placed);
  }

  #noteLost(repeatable: boolean): void {
    const isolate = this.place?.isolate ?? 0;
    const again = repeatable && !this.#stopped && this.#attempts < attemptsMax;
    const decision = {
      atMs: performance.now(),
      kind: 'place',
      choice: again ? 'again' : 'isolate-lost',
      inputs: { isolate, repeatable, attempt: this.#attempts, attemptsMax },
      passedOver: [{ candidate: `isolate-${isolate}`, reason: 'was lost' }],
    };
    this.decisions = [...this.decisions, decision];
  }

  #again(refused: boolean): void {
    if (this.#attempts >= attemptsMax) this.#giveUp({ kind: 'not-held' });
    else if (!refused) this.#begin();
    else {
      this.#attempts++;
      this.#directory.askAgain(this.#ports.id, (answer) => this.#answered(answer));
    }
  }

  #giveUp(end: Exclude<IsolateEnd, { kind: 'ended' }>): void {
    const why =
      end.kind === 'lost' && !end.repeatable
        ? 'it had begun to answer, made a request, or its body is no longer held'
        : `it was begun ${attemptsMax} times, and each isolate went away`;
    this.#resolve(failed(new Problem('isolate-lost', `cannot run the execution again after its isolate was lost: ${why}`)));
  }
}

/** Runs one version of a function in isolates: where an instance is idle, or else where the supervisor finds a place. */
export class IsolateRunner implements FunctionRunner {
  /** Instances of isolates are counted there. */
  readonly instances = 0;
  readonly hostCallNames = [];
  readonly #directory: IsolateDirectory;
  readonly #key: string;

  /** @param key `DeployedVersion.key` */
  constructor(directory: IsolateDirectory, key: string) {
    this.#directory = directory;
    this.#key = key;
  }

  run(request: GuestRequest, response: ResponseSink, ports: ExecutionPorts): Run {
    return new PlacedRun(this.#directory, this.#key, request, response, ports);
  }

  /** The supervisor drops instances of isolates. */
  sweep(): void {}

  /** Runs under way end by themselves. */
  close(): void {}
}
