/** What is attached to one execution in the thread that runs it. Begins with `attach`; ends with `release`. */
import {
  type Attachment,
  type Attachments,
  type Lock,
  type LockMode,
  type Region,
  type SessionAttachment,
  SharedRefusal,
  type SharedResources,
} from '../wasi/shared-port.ts';
import { tenantOf } from './keyvalue-keys.ts';
import type { RegionMemory } from './region-memory.ts';
import type { SharedClient } from './shared-client.ts';
import type { Attached } from './shared-protocol.ts';

type Use = { id: string; revoked: boolean; region: Region | undefined; lock: Lock | undefined };

const refuseRevoked = (use: Use): void => {
  if (use.revoked) throw new SharedRefusal({ tag: 'revoked' });
};

export class ExecutionResources implements SharedResources {
  readonly execution: string;
  readonly attachments: Attachments;
  readonly #client: SharedClient;
  readonly #uses = new Map<string, Use>();
  readonly #buckets = new Map<string, Use>();
  readonly #onEffect: (() => void) | undefined;
  #effected = false;
  #locked = false;
  #state: 'new' | 'attached' | 'over' = 'new';

  constructor(client: SharedClient, execution: string, attachments: Attachments, onEffect: (() => void) | undefined) {
    this.#client = client;
    this.execution = execution;
    this.attachments = attachments;
    this.#onEffect = onEffect;
  }

  async attach(): Promise<void> {
    this.#state = 'attached';
    this.#client.attached(this);
    const waiting: Promise<void>[] = [];
    for (const attachment of this.attachments.resources) {
      const use: Use = { id: attachment.id, revoked: false, region: undefined, lock: undefined };
      this.#uses.set(`${attachment.kind}/${attachment.name}`, use);
      if (attachment.kind === 'lock') use.lock = new AttachedLock(this.#client, this, use);
      else if (attachment.kind === 'bucket') this.#buckets.set(attachment.id, use);
      else {
        const memory = this.#client.takeRegion(attachment);
        if (memory instanceof Promise) waiting.push(memory.then((ready) => this.#ready(attachment, use, ready)));
        else this.#ready(attachment, use, memory);
      }
    }
    await Promise.all(waiting);
  }

  #ready({ id }: Attachment, use: Use, memory: RegionMemory): void {
    if (this.#state === 'over') this.#client.giveRegion(id);
    else use.region = new AttachedRegion(this.#client, this, use, memory);
  }

  release(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#client.detached(this);
    for (const use of this.#uses.values()) {
      if (use.region) this.#client.giveRegion(use.id);
      use.revoked = true;
    }
    if (this.#locked) this.#client.post({ kind: 'release-all', execution: this.execution });
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
      if (use.lock && this.#locked) this.#client.post({ kind: 'release', execution: this.execution, id });
    }
    return had ? { execution: this.execution, function: this.attachments.function, resources: [id] } : undefined;
  }
}

class AttachedRegion implements Region {
  readonly id: string;
  readonly bytes: number;
  readonly #client: SharedClient;
  readonly #owner: ExecutionResources;
  readonly #use: Use;
  readonly #memory: RegionMemory;

  constructor(client: SharedClient, owner: ExecutionResources, use: Use, memory: RegionMemory) {
    this.#client = client;
    this.#owner = owner;
    this.#use = use;
    this.#memory = memory;
    this.id = use.id;
    this.bytes = memory.bytes;
  }

  read(offset: bigint, length: number): Uint8Array {
    refuseRevoked(this.#use);
    return this.#memory.read(offset, length);
  }

  write(offset: bigint, bytes: Uint8Array): void {
    this.#change();
    this.#memory.write(offset, bytes);
  }

  add(offset: bigint, delta: bigint): bigint {
    this.#change();
    return this.#memory.add(offset, delta);
  }

  compareAndSwap(offset: bigint, expected: bigint, replacement: bigint): bigint {
    this.#change();
    return this.#memory.compareAndSwap(offset, expected, replacement);
  }

  async flush(): Promise<void> {
    refuseRevoked(this.#use);
    await this.#client.ask({ kind: 'flush', id: this.id });
  }

  #change(): void {
    refuseRevoked(this.#use);
    this.#owner.effect();
  }
}

class AttachedLock implements Lock {
  readonly id: string;
  readonly #client: SharedClient;
  readonly #owner: ExecutionResources;
  readonly #use: Use;
  #held = false;

  constructor(client: SharedClient, owner: ExecutionResources, use: Use) {
    this.#client = client;
    this.#owner = owner;
    this.#use = use;
    this.id = use.id;
  }

  async acquire(mode: LockMode, timeoutMs: number | undefined): Promise<void> {
    refuseRevoked(this.#use);
    if (this.#held) throw new SharedRefusal({ tag: 'not-possible' });
    this.#owner.locks();
    await this.#client.ask({ kind: 'acquire', execution: this.#owner.execution, id: this.id, mode, timeoutMs: timeoutMs ?? null });
    refuseRevoked(this.#use);
    this.#held = true;
  }

  release(): void {
    refuseRevoked(this.#use);
    if (!this.#held) throw new SharedRefusal({ tag: 'not-possible' });
    this.#held = false;
    this.#client.post({ kind: 'release', execution: this.#owner.execution, id: this.id });
  }
}
