import { randomBytes } from 'node:crypto';
import type { Deployments } from '../deploy/deployments.ts';
import { FunctionGenerators, type Ran } from '../deploy/generators.ts';
import type { ExtraRoutes } from '../deploy/snapshot.ts';
import type { ExecutionRecord } from '../execution/record.ts';
import { ComputedObjects, type ComputedOptions } from '../object/computed/computed-objects.ts';
import { describeDecision } from '../object/computed/describe-decision.ts';
import { Knowledge } from '../object/computed/knowledge.ts';
import { ObjectMaker } from '../object/computed/maker.ts';
import type { ObjectStore } from '../object/object-store.ts';
import type { PlacementDecision } from '../placement/model.ts';
import type { HeldBlobs } from '../store/held-blobs.ts';
import type { Store } from '../store/store.ts';

export type ComputingOptions = Pick<ComputedOptions, 'rates' | 'runtime' | 'alarm' | 'onError'> &
  Pick<Store, 'table' | 'blobs'> & {
    objects: ObjectStore;
    held: HeldBlobs;
    isRelaxed: (digest: string) => Promise<boolean>;
    /** Sends a request to a host name through a gateway. */
    send: (host: string, request: Request) => Promise<Response>;
    /** The record of an execution, as far as it has got. */
    find: (execution: string) => Promise<ExecutionRecord | undefined>;
    /** Told of each object that is to be kept or let go from now on. */
    onDecision: (decision: PlacementDecision) => void;
    bodyMib: number;
    reviewMs: number;
  };

/** An execution has ended soon after its response has. */
const settled = { everyMs: 20, attempts: 50 };

/** Computed objects of a node. Begins with `start`, when deployments are there; ends with `close`. */
export class Computing {
  readonly #options: ComputingOptions;
  #generators: FunctionGenerators | undefined;
  #knowledge: Knowledge | undefined;
  #timer: NodeJS.Timeout | undefined;
  #review: Promise<void> = Promise.resolve();

  constructor(options: ComputingOptions) {
    this.#options = options;
  }

  /** Routes to generators, for the route table. */
  readonly routes: ExtraRoutes = () => this.#generators?.routes() ?? { versions: [], routes: [] };

  start({ functions, publish }: Pick<Deployments, 'functions' | 'publish'>): ComputedObjects {
    const { objects, held, table, blobs, isRelaxed, send, bodyMib, reviewMs, onDecision, onError } = this.#options;
    const knowledge = new Knowledge(table, Date.now, (id, key, decision, input) => onDecision(describeDecision(id, key, decision, input)));
    const generators = new FunctionGenerators({
      reader: functions.read,
      isRelaxed,
      bytesOf: (digest) => blobs.stream(digest),
      hostSuffix: `${randomBytes(16).toString('hex')}.generator.invalid`,
      send,
      meterOf: (execution) => this.#meterOf(execution),
      bodyMib,
      publish,
    });
    const common = { held, generators, knowledge, find: (id: string, key: string) => objects.find(id, key), objectBytesMax: objects.objectBytesMax, onError };
    const maker = new ObjectMaker({ ...common, exists: (digest) => blobs.exists(digest) });
    const computed = new ComputedObjects({ ...this.#options, maker, knowledge, generators });
    [this.#generators, this.#knowledge, objects.computer] = [generators, knowledge, computed];
    this.#timer = setInterval(() => {
      this.#review = computed.reviewAll().catch(onError);
    }, reviewMs);
    return computed;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#review;
    await this.#knowledge?.flush();
  }

  async #meterOf(execution: string): Promise<Ran | undefined> {
    for (let attempt = 0; attempt < settled.attempts; attempt++) {
      const record = await this.#options.find(execution);
      if (record && record.state !== 'running') return record.meter;
      await new Promise((resolve) => setTimeout(resolve, settled.everyMs));
    }
    return undefined;
  }
}
