/**
 * What executions share, in the supervisor: regions, locks and sessions of the whole node, for all threads that run guests. A
 * thread begins with `connect`; when it ends, whatever ended it, all that its executions held is released.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Problem } from '../base/errors.ts';
import type { KeyValueDraft } from '../capability/keyvalue-draft.ts';
import { bucketId, tenantOf } from '../capability/keyvalue-keys.ts';
import { resourceOf } from '../capability/request-resources.ts';
import type { Attached, FromShared, SharedAccess, ToShared } from '../capability/shared-protocol.ts';
import { kindOf, resourceId, resourceName, resourcesOfFunction, sessionsBucket, sessionsRoot } from '../capability/shared-resources.ts';
import type { Draft } from '../store/draft.ts';
import type { AtRevision, Bucket } from '../wasi/keyvalue-port.ts';
import { type LockMode, type ResourceKind, SharedRefusal } from '../wasi/shared-port.ts';
import { Locks } from './locks.ts';
import { executionOf, ownerOf } from './owner.ts';
import { RegionEffects } from './region-effects.ts';
import { type RegionLimits, Regions, type RegionsOptions } from './regions.ts';
import { Sessions } from './sessions.ts';

/** A thread that does not say what it has within this time is left out. */
const answerMs = 2000;
const passedOverMax = 8;
/** What somebody has is looked at again after that. */
const inUseMs = 3_600_000;
/** Values that are removed in one commit. */
const erasedAtOnce = 200;

/** Somebody waits for a verdict. `isBlocked`: who is to give it had to give way, and would have to each time. */
export type Waiting = { isBlocked(): boolean; end(): void };

/** A choice, for the log of decisions. `subject` is an execution, or a resource. */
export type SharedDecision = {
  at: number;
  kind: 'attach' | 'deadlock';
  subject: string;
  tenant: string;
  choice: string;
  inputs: Record<string, string | number>;
  passedOver: { candidate: string; reason: string }[];
};

export type HubOptions = {
  open: (bucket: string) => Bucket;
  /** As `RegionsOptions.store`. */
  store: RegionsOptions['store'];
  /** Whether the record is at the revision. */
  isThere: (record: AtRevision) => Promise<boolean>;
  onError: (error: unknown) => void;
  /** Told who had to give way, and how threads got at regions. */
  onDecision?: ((decision: SharedDecision) => void) | undefined;
  regionLimits?: RegionLimits;
};

/** `isolate` is the number of one, null in a gateway thread. */
type Thread = { readonly number: number; isolate: number | null; port: MessagePort; owners: Set<string>; guests: Set<string> };
type Asked =
  | { kind: 'list'; tenant: string | null }
  | { kind: 'revoke'; id: string; execution: string | null }
  | { kind: 'shed' }
  | { kind: 'forget'; prefix: string };
type Found = Attached & { isolate: number | null };

export type ResourceView = {
  resource: string;
  kind: ResourceKind;
  attachments: { execution: string; function: string; isolate: number | null }[];
  holders: { execution: string; mode: LockMode }[];
  waiters: { execution: string; mode: LockMode }[];
  /** Of a region in memory. `stored`: nothing would be lost if the node were killed. */
  bytes?: number;
  stored?: boolean;
};

const unexpected = (error: unknown): Problem => (error instanceof Problem ? error : new Problem('internal', String(error)));

const deadlockDecision = (victim: string, lock: string, circle: readonly string[]): SharedDecision => ({
  at: Date.now(),
  kind: 'deadlock',
  subject: victim,
  tenant: tenantOf(lock),
  choice: 'gives way',
  inputs: { lock: resourceName(lock), executions: circle.length },
  passedOver: circle
    .filter((one) => one !== victim)
    .slice(0, passedOverMax)
    .map((candidate) => ({ candidate, reason: 'it began to lock earlier' })),
});

export class StateHub {
  readonly #regions: Regions;
  readonly #locks: Locks;
  readonly sessions: Sessions;
  readonly #threads = new Set<Thread>();
  /** Runs in an overlay whose commit is not settled, with what is to be released then. */
  readonly #committing = new Map<number, (() => void)[]>();
  /** Executions that judge: whom, and whether they wait for what that holds until it is judged. */
  readonly #judges = new Map<string, { judged: string; isBlocked: boolean }>();
  readonly #asked = new Map<number, { thread: Thread; resolve: (items: Attached[]) => void }>();
  readonly #open: HubOptions['open'];
  readonly #isThere: HubOptions['isThere'];
  readonly #onDecision: (decision: SharedDecision) => void;
  #requests = 0;
  #numbers = 0;

  constructor({ open, store, isThere, onError, onDecision = () => undefined, regionLimits }: HubOptions) {
    this.#open = open;
    this.#isThere = isThere;
    const shed = async (): Promise<void> => void (await this.#askAll({ kind: 'shed' }));
    this.#regions = new Regions({ open, store, onError, shed, ...(regionLimits && { limits: regionLimits }) });
    this.#onDecision = onDecision;
    this.#locks = new Locks((owner, lock, circle) => this.#deadlock(executionOf(owner), lock, circle.map(executionOf)));
    this.sessions = new Sessions({ open, onError });
  }

  /** A way to shared resources for one more thread. */
  connect(isolate: number | null): SharedAccess {
    const { port1, port2 } = new MessageChannel();
    const thread: Thread = { number: ++this.#numbers, isolate, port: port1, owners: new Set(), guests: new Set() };
    this.#threads.add(thread);
    port1.on('message', (message: ToShared) => this.#take(thread, message));
    port1.on('close', () => this.#lost(thread));
    port1.unref();
    return { port: port2 };
  }

  /** A run in an overlay begins: what its execution holds when it has ended well it holds until `settle`. */
  hold(run: number): void {
    this.#committing.set(run, []);
  }

  /** The effects of a run are committed, or never will be. */
  settle(run: number): void {
    const releases = this.#committing.get(run);
    this.#committing.delete(run);
    for (const release of releases ?? []) release();
  }

  /** An execution that has ended, and keeps what it holds, waits for another one that judges it. To be called before that begins. */
  judge(judged: string, judge: string): Waiting {
    const entry = { judged, isBlocked: false };
    this.#judges.set(judge, entry);
    this.#locks.waitFor(judged, judge);
    const end = (): void => {
      this.#judges.delete(judge);
      this.#locks.waitNoMore(judged);
    };
    return { isBlocked: () => entry.isBlocked, end };
  }

  #deadlock(victim: string, lock: string, circle: readonly string[]): void {
    const judge = this.#judges.get(victim);
    if (judge && circle.includes(judge.judged)) judge.isBlocked = true;
    this.#onDecision(deadlockDecision(victim, lock, circle));
  }

  /** At once, or when the run is settled. */
  #after(run: number | null, release: () => void): void {
    const releases = run === null ? undefined : this.#committing.get(run);
    if (releases) releases.push(release);
    else release();
  }

  /** All resources of a tenant that are attached, held or in memory. */
  async resources(tenant: string): Promise<ResourceView[]> {
    const views = new Map<string, ResourceView>();
    const viewOf = (id: string): ResourceView => {
      const known = views.get(id);
      if (known) return known;
      const view: ResourceView = { resource: resourceName(id), kind: kindOf(id), attachments: [], holders: [], waiters: [] };
      views.set(id, view);
      return view;
    };
    for (const { execution, function: name, isolate, resources } of await this.#askAll({ kind: 'list', tenant }))
      for (const id of resources) viewOf(id).attachments.push({ execution, function: name, isolate });
    for (const { lock, holders, waiters } of this.#locks.views()) {
      if (tenantOf(lock) !== tenant) continue;
      const named = (those: typeof holders) => those.map(({ owner, mode }) => ({ execution: executionOf(owner), mode }));
      Object.assign(viewOf(lock), { holders: named(holders), waiters: named(waiters) });
    }
    for (const { id, bytes, stored } of this.#regions.views()) if (tenantOf(id) === tenant) Object.assign(viewOf(id), { bytes, stored });
    return [...views.values()].sort((a, b) => (a.resource < b.resource ? -1 : 1));
  }

  /** A view of the node, with what is attached in each of its isolates. */
  async withAttached<I extends { id: number }, V extends { isolates: readonly I[] }>(
    view: V,
  ): Promise<V & { isolates: (V['isolates'][number] & { attached: string[] })[] }> {
    const attached = new Map<number, Set<string>>();
    for (const { isolate, resources } of await this.#askAll({ kind: 'list', tenant: null })) {
      if (isolate === null) continue;
      const names = attached.get(isolate) ?? new Set();
      for (const id of resources) names.add(resourceName(id));
      attached.set(isolate, names);
    }
    const isolates = view.isolates.map((isolate) => ({ ...isolate, attached: [...(attached.get(isolate.id) ?? [])].sort() }));
    return { ...view, isolates };
  }

  /**
   * Takes a resource away from an execution, or from all that have it now. Its data stays.
   * @returns the executions that had it
   * @throws Problem `request-invalid` if no resource can have this name
   */
  async revoke(tenant: string, resource: string, execution: string | undefined): Promise<string[]> {
    const id = resourceId(tenant, resource);
    if (id === undefined) throw new Problem('request-invalid', `cannot revoke ${JSON.stringify(resource)}: it must be a name that "nacelle resources" lists`);
    const found = await this.#askAll({ kind: 'revoke', id, execution: execution ?? null });
    return found.map((one) => one.execution).sort();
  }

  /** What a commit of effects does with regions. */
  regionEffects(draft: Draft, buckets: KeyValueDraft): RegionEffects {
    return new RegionEffects(draft, buckets, this.#regions);
  }

  /** The tenant is gone, or a function of it: what only its executions shared goes with it. */
  async forget(tenant: string, name: string | null): Promise<void> {
    if (name === null) {
      this.sessions.forget(bucketId(tenant, sessionsRoot));
      await this.#forgetRegions(`${tenant}/`);
      return;
    }
    this.sessions.forget(sessionsBucket({ tenant, function: name }, undefined));
    for (const prefix of resourcesOfFunction(tenant, name)) {
      await this.#forgetRegions(`${prefix}/`);
      await this.#erase(prefix);
    }
  }

  /**
   * To be called before values are removed because their time is over. With the note of a resource that requests name goes all
   * that it has, unless somebody has its memory: then it is kept for another while.
   */
  async expire(bucket: string, keys: readonly string[]): Promise<void> {
    await this.sessions.expire(bucket, keys);
    for (const key of keys) {
      const id = resourceOf({ bucket, key });
      if (id === undefined) continue;
      if (this.#regions.use(id).threads === 0) await this.#erase(id);
      else await this.#open(bucket).change({ kind: 'put', entries: [[key, new Uint8Array()]], until: Date.now() + inUseMs });
    }
  }

  /** Threads first: one of them would hand in again what it has. */
  async #forgetRegions(prefix: string): Promise<void> {
    await this.#askAll({ kind: 'forget', prefix });
    await this.#regions.forget(prefix);
  }

  /** A few values at a time. */
  async #erase(part: string): Promise<void> {
    const bucket = this.#open(part);
    for (;;) {
      const { keys } = bucket.list(undefined, '', erasedAtOnce);
      if (keys.length === 0) return;
      await bucket.change({ kind: 'put', entries: keys.map((key) => [key, undefined]) });
    }
  }

  async close(): Promise<void> {
    await this.#regions.close();
    for (const { port } of this.#threads) port.close();
  }

  #lost(thread: Thread): void {
    if (!this.#threads.delete(thread)) return;
    this.#regions.lost(thread);
    for (const owner of thread.owners) this.#locks.releaseAll(ownerOf(thread, owner));
    for (const guest of thread.guests) this.sessions.leave(ownerOf(thread, guest));
    for (const [request, asked] of this.#asked) {
      if (asked.thread !== thread) continue;
      this.#asked.delete(request);
      asked.resolve([]);
    }
  }

  /** What all threads answer. */
  async #askAll(question: Asked): Promise<Found[]> {
    const answers = await Promise.all(
      [...this.#threads].map(async (thread): Promise<Found[]> => {
        const { promise, resolve } = Promise.withResolvers<Attached[]>();
        const request = ++this.#requests;
        this.#asked.set(request, { thread, resolve });
        const timer = setTimeout(() => resolve([]), answerMs);
        thread.port.postMessage({ ...question, request } satisfies FromShared);
        const items = await promise;
        clearTimeout(timer);
        this.#asked.delete(request);
        return items.map((item) => ({ ...item, isolate: thread.isolate }));
      }),
    );
    return answers.flat();
  }

  #take(thread: Thread, message: ToShared): void {
    switch (message.kind) {
      case 'region':
        this.#answer(thread, message.request, () => this.#enterRegion(thread, message));
        break;
      case 'leave-region':
        this.#regions.leave(thread, message.id, message.grants);
        break;
      case 'flush':
        this.#answer(thread, message.request, () => this.#regions.flush(message.id).then(() => ({ kind: 'done', request: message.request })));
        break;
      case 'acquire':
      case 'release':
      case 'release-all':
        this.#takeLock(thread, message);
        break;
      case 'enter':
      case 'leave':
        this.#takeSession(thread, message);
        break;
      case 'attached':
        this.#asked.get(message.request)?.resolve(message.items);
        break;
      default:
        message satisfies never;
    }
  }

  #takeLock(thread: Thread, message: Extract<ToShared, { kind: 'acquire' | 'release' | 'release-all' }>): void {
    const owner = ownerOf(thread, message.owner);
    if (message.kind === 'release') this.#locks.release(owner, message.id);
    else if (message.kind === 'release-all') {
      thread.owners.delete(message.owner);
      this.#after(message.run, () => this.#locks.releaseAll(owner));
    } else {
      const { request, id, mode, timeoutMs } = message;
      thread.owners.add(message.owner);
      this.#answer(thread, request, () => this.#locks.acquire(owner, id, mode, timeoutMs).then(() => ({ kind: 'done', request })));
    }
  }

  #takeSession(thread: Thread, message: Extract<ToShared, { kind: 'enter' | 'leave' }>): void {
    const guest = ownerOf(thread, message.owner);
    if (message.kind === 'leave') {
      thread.guests.delete(message.owner);
      this.#after(message.run, () => this.sessions.leave(guest));
    } else {
      const { request, wanted } = message;
      thread.guests.add(message.owner);
      this.#answer(thread, request, () => this.sessions.enter(guest, wanted).then((bucket) => ({ kind: 'session', request, bucket })));
    }
  }

  async #enterRegion(thread: Thread, { request, id, bytes, incarnation }: Extract<ToShared, { kind: 'region' }>): Promise<FromShared> {
    const inputs = { bytes, thread: thread.isolate === null ? `gateway-${thread.number}` : `isolate-${thread.isolate}`, ...this.#regions.use(id) };
    const decide = (choice: string): void =>
      this.#onDecision({ at: Date.now(), kind: 'attach', subject: resourceName(id), tenant: tenantOf(id), choice, inputs, passedOver: [] });
    const buffer = await this.#regions.enter(thread, id, bytes).catch((error: unknown) => {
      decide('refused');
      throw error;
    });
    // Asked when it is loaded: the threads are told to let go of it after the record is gone.
    if (incarnation && !(await this.#isThere(incarnation))) {
      this.#regions.leave(thread, id, 1);
      decide('refused');
      throw new Problem('function-not-found', 'cannot attach a region: its function was removed');
    }
    decide(inputs.threads === 0 ? 'loaded' : 'shared');
    if (!this.#threads.has(thread)) this.#regions.leave(thread, id, 1);
    return { kind: 'region', request, buffer };
  }

  #answer(thread: Thread, request: number, act: () => Promise<FromShared>): void {
    act().then(
      (answer) => thread.port.postMessage(answer),
      (error: unknown) => {
        if (error instanceof SharedRefusal) thread.port.postMessage({ kind: 'refused', request, error: error.error } satisfies FromShared);
        else {
          const { code, message } = unexpected(error);
          thread.port.postMessage({ kind: 'failed', request, code, message } satisfies FromShared);
        }
      },
    );
  }
}
