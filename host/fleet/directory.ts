/**
 * A gateway thread's view of isolates: which hold which version, and how to reach them. What it knows comes from the
 * supervisor; how many instances are idle stands in memory that all threads share.
 */
import { IsolateClient } from '../isolate/client.ts';
import { IdleCells } from '../isolate/holdings.ts';
import { ownMs } from '../isolate/moment.ts';
import type { FleetFromGateway, FleetToGateway, Holds } from './protocol.ts';

/** A version in an isolate that this thread can send runs to. */
export type Reachable = { readonly client: IsolateClient; readonly isolate: number; readonly cell: number; readonly hostCallNames: readonly string[] };

export type Placed = Extract<FleetToGateway, { kind: 'placed' }>;
export type NotPlaced = Extract<FleetToGateway, { kind: 'not-placed' }>;

const none: readonly Reachable[] = [];

export class IsolateDirectory {
  readonly #cells: IdleCells;
  readonly #post: (message: FleetFromGateway) => void;
  readonly #clients = new Map<number, IsolateClient>();
  readonly #holding = new Map<string, Reachable[]>();
  readonly #asking = new Map<string, (answer: Placed | NotPlaced) => void>();

  constructor(cells: SharedArrayBuffer, post: (message: FleetFromGateway) => void) {
    this.#cells = new IdleCells(cells);
    this.#post = post;
  }

  /** Takes an idle instance of the version: in an isolate that is reserved, or else in the one that was first to hold it. */
  takeIdle(key: string): Reachable | undefined {
    for (const reachable of this.#holding.get(key) ?? none) if (this.#cells.take(reachable.cell)) return reachable;
    return undefined;
  }

  find(key: string, isolate: number): Reachable | undefined {
    return this.#holding.get(key)?.find((reachable) => reachable.isolate === isolate);
  }

  /** Asks the supervisor for a place. `answer` is called once, unless the question is cancelled. */
  ask(execution: string, key: string, answer: (answer: Placed | NotPlaced) => void): void {
    this.#asking.set(execution, answer);
    this.#post({ kind: 'place', execution, key });
  }

  /** Asks again, since the isolate that was named does not hold the version any more. */
  askAgain(execution: string, answer: (answer: Placed | NotPlaced) => void): void {
    this.#asking.set(execution, answer);
    this.#post({ kind: 'place-refused', execution });
  }

  cancel(execution: string): void {
    if (this.#asking.delete(execution)) this.#post({ kind: 'place-cancelled', execution });
  }

  take(message: FleetToGateway): void {
    switch (message.kind) {
      case 'isolate-connected':
        this.#clients.set(message.isolate, new IsolateClient(message.isolate, message.ends));
        break;
      case 'isolate-holds':
        this.#hold(message);
        break;
      case 'isolate-releases':
        this.#release(message.isolate, message.key);
        break;
      case 'isolate-gone':
        this.#release(message.isolate, undefined);
        this.#clients.get(message.isolate)?.lost();
        this.#clients.delete(message.isolate);
        break;
      case 'placed':
      case 'not-placed':
        for (const decision of message.decisions) decision.atMs = ownMs(decision.atMs);
        this.#answer(message);
        break;
      default:
        message satisfies never;
    }
  }

  #hold({ key, isolate, cell, hostCallNames, reserved }: Holds): void {
    const client = this.#clients.get(isolate);
    if (!client) return;
    const holding = this.#holding.get(key) ?? [];
    const reachable = { client, isolate, cell, hostCallNames };
    if (reserved) holding.unshift(reachable);
    else holding.push(reachable);
    this.#holding.set(key, holding);
  }

  #release(isolate: number, only: string | undefined): void {
    for (const key of only === undefined ? [...this.#holding.keys()] : [only]) {
      const left = (this.#holding.get(key) ?? none).filter((reachable) => reachable.isolate !== isolate);
      if (left.length === 0) this.#holding.delete(key);
      else this.#holding.set(key, left);
    }
  }

  #answer(message: Placed | NotPlaced): void {
    const answer = this.#asking.get(message.execution);
    this.#asking.delete(message.execution);
    answer?.(message);
  }
}
