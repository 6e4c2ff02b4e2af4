/** What is attached to one execution in the thread that runs it. Begins with `attach`; ends with `release`. */
import type { AtRevision } from '../wasi/keyvalue-port.ts';
import type { Overlay } from '../wasi/overlay.ts';
import { type Attachments, type Lock, type LockMode, type Region, type SessionAttachment, SharedRefusal, type SharedResources } from '../wasi/shared-port.ts';
import { tenantOf } from './keyvalue-keys.ts';
import { OverlaidRegion } from './overlaid-region.ts';
import type { RegionMemory } from './region-memory.ts';
import type { RegionUse, SharedClient } from './shared-client.ts';
import type { Attached } from './shared-protocol.ts';
import { isOfOneFunction } from './shared-resources.ts';

type Use = { id: string; revoked: boolean; taken: RegionUse | undefined; region: Region | undefined; lock: Lock | undefined };

const refuseRevoked = (use: Use): void => {
  if (use.revoked) throw new SharedRefusal({ tag: 'revoked' });
};

/**
 * How an execution shares what is attached to it: `onEffect` is called before the first use that others may see; in an overlay
 * regions are seen by others when it is committed, and locks are released then.
 */
export type Circumstances = { onEffect?: (() => void) | undefined; overlay?: Overlay | undefined };

export class ExecutionResources implements SharedResources {
  /** Names it among all that its thread has opened. */
  readonly owner: string;
  readonly execution: string;
  readonly attachments: Attachments;
  readonly #client: SharedClient;
  readonly #uses = new Map<string, Use>();
  readonly #buckets = new Map<string, Use>();
  readonly #onEffect: (() => void) | undefined;
  readonly #overlay: Overlay | undefined;
  #effected = false;
  #locked = false;
  #state: 'new' | 'attached' | 'over' = 'new';

  constructor(client: SharedClient, owner: string, execution: string, attachments: Attachments, { onEffect, overlay }: Circumstances) {
    this.#client = client;
    this.owner = owner;
    this.execution = execution;
    this.attachments = attachments;
    this.#onEffect = onEffect;
    this.#overlay = overlay;
  }

  async attach(): Promise<void> {
    this.#state = 'attached';
    this.#client.attached(this);
    const { incarnation, resources, session } = this.attachments;
    const ids = [...resources.map(({ id }) => id), ...(session ? [session.bucket] : [])];
    if (incarnation && ids.some(isOfOneFunction)) this.#overlay?.read(...incarnation);
    const waiting: Promise<void>[] = [];
    for (const attachment of resources) {
      const use: Use = { id: attachment.id, revoked: false, taken: undefined, region: undefined, lock: undefined };
      this.#uses.set(`${attachment.kind}/${attachment.name}`, use);
      if (attachment.kind === 'lock') use.lock = new AttachedLock(this.#client, this, use, this.#overlay !== undefined);
      else if (attachment.kind === 'bucket') this.#buckets.set(attachment.id, use);
      else {
        const taken = this.#client.takeRegion(attachment, this.incarnationOf(attachment.id));
        if (taken instanceof Promise) waiting.push(taken.then((ready) => this.#ready(use, ready)));
        else this.#ready(use, taken);
      }
    }
    await Promise.all(waiting);
  }

  #ready(use: Use, taken: RegionUse): void {
    if (this.#state === 'over') {
      this.#client.giveRegion(taken);
      return;
    }
    const { id } = use;
    const { memory } = taken;
    use.taken = taken;
    use.region = new AttachedRegion(use, this.#overlay ? new OverlaidRegion(id, memory, this.#overlay) : new SharedRegion(this.#client, this, id, memory));
  }

  /** The run whose commit is awaited before what the execution held is released; null: it is released at once. */
  runAfter(endedWell: boolean): number | null {
    return endedWell ? (this.#overlay?.run ?? null) : null;
  }

  release(endedWell: boolean): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#client.detached(this);
    for (const use of this.#uses.values()) {
      if (use.taken) this.#client.giveRegion(use.taken);
      use.revoked = true;
    }
    if (this.#locked) this.#client.post({ kind: 'release-all', owner: this.owner, run: this.runAfter(endedWell) });
  }

  region(name: string): Region {
    const region = this.#uses.get(`region/${name}`)?.region;
    if (!region) throw new SharedRefusal({ tag: 'not-attached' });
    return region;
  }

  lock(name: string): Lock {
    const lock = this.#uses.get(`lock/${name}`)?.lock;
    if (!lock) throw new SharedRefusal({ tag: 'not-attached' });
    return lock;
  }

  bucket(name: string): string {
    const use = this.#uses.get(`bucket/${name}`);
    if (!use) throw new SharedRefusal({ tag: 'not-attached' });
    refuseRevoked(use);
    return use.id;
  }

  session(): SessionAttachment | undefined {
    return this.attachments.session ?? undefined;
  }

  hasBucket(id: string): boolean {
    const use = this.#buckets.get(id);
    return use ? !use.revoked : this.#state === 'attached' && this.attachments.session?.bucket === id;
  }

  incarnationOf(id: string): AtRevision | undefined {
    return isOfOneFunction(id) ? this.attachments.incarnation : undefined;
  }

  /** Something happens that others may see. */
  effect(): void {
    if (this.#effected) return;
    this.#effected = true;
    this.#onEffect?.();
  }

  locks(): void {
    this.#locked = true;
    this.effect();
  }

  describe(tenant: string | null): Attached | undefined {
    const { function: name, resources } = this.attachments;
    const mine = resources.filter(({ id }) => tenant === null || tenantOf(id) === tenant);
    return mine.length === 0 ? undefined : { execution: this.execution, function: name, resources: mine.map(({ id }) => id) };
  }

  /** From now on every use of the resource is an error. Its lock is released. */
  revoke(id: string): Attached | undefined {
    let had = false;
    for (const use of this.#uses.values()) {
      if (use.id !== id || use.revoked) continue;
      use.revoked = true;
      had = true;
      if (use.lock && this.#locked) this.#client.post({ kind: 'release', owner: this.owner, id });
    }
    return had ? { execution: this.execution, function: this.attachments.function, resources: [id] } : undefined;
  }
}

/** A region as long as it is not revoked. */
class AttachedRegion implements Region {
  readonly id: string;
  readonly bytes: number;
  readonly #use: Use;
  readonly #region: Region;

  constructor(use: Use, region: Region) {
    this.#use = use;
    this.#region = region;
    this.id = region.id;
    this.bytes = region.bytes;
  }

  read(offset: bigint, length: number): Uint8Array {
    refuseRevoked(this.#use);
    return this.#region.read(offset, length);
  }

  write(offset: bigint, bytes: Uint8Array): void {
    refuseRevoked(this.#use);
    this.#region.write(offset, bytes);
  }

  add(offset: bigint, delta: bigint): bigint {
    refuseRevoked(this.#use);
    return this.#region.add(offset, delta);
  }

  compareAndSwap(offset: bigint, expected: bigint, replacement: bigint): bigint {
    refuseRevoked(this.#use);
    return this.#region.compareAndSwap(offset, expected, replacement);
  }

  async flush(): Promise<void> {
    refuseRevoked(this.#use);
    await this.#region.flush();
  }
}

/** A region whose changes all see at once. */
class SharedRegion implements Region {
  readonly id: string;
  readonly bytes: number;
  readonly #client: SharedClient;
  readonly #owner: ExecutionResources;
  readonly #memory: RegionMemory;

  constructor(client: SharedClient, owner: ExecutionResources, id: string, memory: RegionMemory) {
    this.#client = client;
    this.#owner = owner;
    this.#memory = memory;
    this.id = id;
    this.bytes = memory.bytes;
  }

  read(offset: bigint, length: number): Uint8Array {
    return this.#memory.read(offset, length);
  }

  write(offset: bigint, bytes: Uint8Array): void {
    this.#owner.effect();
    this.#memory.write(offset, bytes);
  }

  add(offset: bigint, delta: bigint): bigint {
    this.#owner.effect();
    return this.#memory.add(offset, delta);
  }

  compareAndSwap(offset: bigint, expected: bigint, replacement: bigint): bigint {
    this.#owner.effect();
    return this.#memory.compareAndSwap(offset, expected, replacement);
  }

  async flush(): Promise<void> {
    await this.#client.ask({ kind: 'flush', id: this.id });
  }
}

/** In an overlay what the guest gives back is held until the commit, for its effects are not to be seen before. */
class AttachedLock implements Lock {
  readonly id: string;
  readonly #client: SharedClient;
  readonly #owner: ExecutionResources;
  readonly #use: Use;
  readonly #keeps: boolean;
  #held: LockMode | undefined;
  #kept: LockMode | undefined;

  constructor(client: SharedClient, owner: ExecutionResources, use: Use, keeps: boolean) {
    this.#client = client;
    this.#owner = owner;
    this.#use = use;
    this.#keeps = keeps;
    this.id = use.id;
  }

  async acquire(mode: LockMode, timeoutMs: number | undefined): Promise<void> {
    refuseRevoked(this.#use);
    if (this.#held) throw new SharedRefusal({ tag: 'not-possible' });
    if (this.#kept === undefined || (this.#kept === 'shared' && mode === 'exclusive')) {
      if (this.#kept) this.#giveBack();
      this.#owner.locks();
      await this.#client.ask({ kind: 'acquire', owner: this.#owner.owner, id: this.id, mode, timeoutMs: timeoutMs ?? null });
      this.#kept = mode;
    }
    refuseRevoked(this.#use);
    this.#held = mode;
  }

  release(): void {
    refuseRevoked(this.#use);
    if (!this.#held) throw new SharedRefusal({ tag: 'not-possible' });
    this.#held = undefined;
    if (!this.#keeps) this.#giveBack();
  }

  #giveBack(): void {
    this.#kept = undefined;
    this.#client.post({ kind: 'release', owner: this.#owner.owner, id: this.id });
  }
}
