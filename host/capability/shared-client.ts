/**
 * A thread's end of shared resources: the regions that it has in reach, and what is attached to each of its executions.
 * Begins with the thread; ends with `close`, or with the thread: what its executions held is then released.
 */
import type { MessagePort } from 'node:worker_threads';
import { Problem } from '../base/errors.ts';
import type { AtRevision } from '../wasi/keyvalue-port.ts';
import { type Attachment, type Attachments, SharedRefusal } from '../wasi/shared-port.ts';
import { type Circumstances, ExecutionResources } from './execution-resources.ts';
import { bytesOfRegion, RegionMemory } from './region-memory.ts';
import type { Attached, FromShared, SessionWanted, SharedAccess, ToShared } from './shared-protocol.ts';

/** Regions that no execution uses and that are kept for the next one. */
const idleRegionsMax = 256;
const idleRegionMs = 5000;

type Waiting = { resolve: (message: FromShared) => void; reject: (error: unknown) => void };
type Unsent<T> = T extends unknown ? Omit<T, 'request'> : never;
type Question = Unsent<Extract<ToShared, { kind: 'region' | 'flush' | 'acquire' | 'enter' }>>;

/** A region that this thread has in reach: `grants` times, since answers may cross. `views` are by size. */
export type HeldRegion = {
  readonly id: string;
  buffer: SharedArrayBuffer;
  grants: number;
  views: Map<number, RegionMemory>;
  users: number;
  idleSinceMs: number;
};

/** One user of a region; to be given back. */
export type RegionUse = { held: HeldRegion; memory: RegionMemory };

export class SharedClient {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  readonly #regions = new Map<string, HeldRegion>();
  /** Regions without users, the longest first. */
  readonly #idle = new Set<string>();
  readonly #executions = new Set<ExecutionResources>();
  readonly #sweeper: NodeJS.Timeout;
  #requests = 0;
  #opened = 0;

  constructor({ port }: SharedAccess) {
    this.#port = port;
    port.on('message', this.#take);
    port.unref();
    this.#sweeper = setInterval(() => this.#dropIdle(performance.now() - idleRegionMs), idleRegionMs / 2).unref();
  }

  /** What an execution is to have; `attach` makes it ready. */
  open(execution: string, attachments: Attachments, circumstances: Circumstances): ExecutionResources {
    return new ExecutionResources(this, `${++this.#opened}:${execution}`, execution, attachments, circumstances);
  }

  /** Waits for the turn of an execution in its session. Resolves with the bucket of the session. @throws Problem */
  async enter(owner: string, wanted: SessionWanted): Promise<string> {
    const answer = await this.ask({ kind: 'enter', owner, wanted });
    if (answer.kind !== 'session') throw new TypeError(`"${answer.kind}" answers no "enter"`);
    return answer.bucket;
  }

  leave(owner: string, run: number | null): void {
    this.post({ kind: 'leave', owner, run });
  }

  post(message: ToShared): void {
    this.#port.postMessage(message);
  }

  ask(question: Question): Promise<FromShared> {
    return new Promise((resolve, reject) => {
      const request = ++this.#requests;
      this.#waiting.set(request, { resolve, reject });
      this.post({ ...question, request } as ToShared);
    });
  }

  /** The memory of a region for one more user, at once if this thread has it. @throws Problem */
  takeRegion({ id, bytes }: Attachment, incarnation: AtRevision | undefined): RegionUse | Promise<RegionUse> {
    const held = this.#regions.get(id);
    if (!held || bytesOfRegion(held.buffer) < bytes) return this.#fetch(id, bytes, incarnation);
    return this.#use(held, bytes);
  }

  giveRegion({ held }: RegionUse): void {
    if (--held.users > 0 || this.#regions.get(held.id) !== held) return;
    held.idleSinceMs = performance.now();
    this.#idle.add(held.id);
    if (this.#idle.size > idleRegionsMax) this.#drop(this.#idle.values().next().value as string);
  }

  async #fetch(id: string, bytes: number, incarnation: AtRevision | undefined): Promise<RegionUse> {
    const answer = await this.ask({ kind: 'region', id, bytes, incarnation });
    if (answer.kind !== 'region') throw new TypeError(`"${answer.kind}" answers no "region"`);
    const held = this.#regions.get(id) ?? { id, buffer: answer.buffer, grants: 0, views: new Map(), users: 0, idleSinceMs: 0 };
    held.grants++;
    this.#regions.set(id, held);
    return this.#use(held, bytes);
  }

  #use(held: HeldRegion, bytes: number): RegionUse {
    held.users++;
    this.#idle.delete(held.id);
    let memory = held.views.get(bytes);
    if (!memory) {
      memory = new RegionMemory(held.buffer, bytes);
      held.views.set(bytes, memory);
    }
    return { held, memory };
  }

  #drop(id: string): void {
    const { grants } = this.#regions.get(id) as HeldRegion;
    this.#idle.delete(id);
    this.#regions.delete(id);
    this.post({ kind: 'leave-region', id, grants });
  }

  #dropIdle(beforeMs: number): void {
    for (const id of this.#idle) {
      if ((this.#regions.get(id) as HeldRegion).idleSinceMs > beforeMs) return;
      this.#drop(id);
    }
  }

  /** Whoever these regions belonged to is gone: those who have them keep them, and nobody else gets them. */
  #forget(prefix: string): void {
    for (const id of this.#regions.keys()) if (id.startsWith(prefix)) this.#drop(id);
  }

  attached(resources: ExecutionResources): void {
    this.#executions.add(resources);
  }

  detached(resources: ExecutionResources): void {
    this.#executions.delete(resources);
  }

  readonly #take = (message: FromShared): void => {
    switch (message.kind) {
      case 'list':
        this.#answer(message.request, (resources) => resources.describe(message.tenant));
        break;
      case 'revoke':
        this.#answer(message.request, (resources) =>
          message.execution === null || message.execution === resources.execution ? resources.revoke(message.id) : undefined,
        );
        break;
      case 'shed':
        this.#dropIdle(Number.POSITIVE_INFINITY);
        this.#answer(message.request, () => undefined);
        break;
      case 'forget':
        this.#forget(message.prefix);
        this.#answer(message.request, () => undefined);
        break;
      default:
        this.#settle(message);
    }
  };

  #answer(request: number, describe: (resources: ExecutionResources) => Attached | undefined): void {
    const items = [...this.#executions].flatMap((resources) => describe(resources) ?? []);
    this.post({ kind: 'attached', request, items });
  }

  #settle(message: Exclude<FromShared, { kind: 'list' | 'revoke' | 'shed' | 'forget' }>): void {
    const waiting = this.#waiting.get(message.request);
    this.#waiting.delete(message.request);
    if (message.kind === 'refused') waiting?.reject(new SharedRefusal(message.error));
    else if (message.kind === 'failed') waiting?.reject(new Problem(message.code, message.message));
    else waiting?.resolve(message);
  }

  close(): void {
    clearInterval(this.#sweeper);
    this.#port.close();
  }
}
