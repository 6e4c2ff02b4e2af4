import { Problem } from '../../base/errors.ts';
import { type Err, err } from '../../base/result.ts';
import { makeTrap } from '../../component/abi/trap.ts';
import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';
import { type Lock, type LockMode, type Region, type SharedError, SharedRefusal, type SharedResources } from '../shared-port.ts';
import { BucketHandle } from './bucket.ts';

type C = WasiContext;

const errorOf = (error: unknown): Err<SharedError> => {
  if (error instanceof SharedRefusal) return err(error.error);
  if (error instanceof Problem) return err({ tag: 'other', val: error.message });
  throw error;
};

function answering<T>(act: () => T): T | Err<SharedError> {
  try {
    return act();
  } catch (error) {
    return errorOf(error);
  }
}

async function answeringLater<T>(act: () => Promise<T>): Promise<T | Err<SharedError>> {
  try {
    return await act();
  } catch (error) {
    return errorOf(error);
  }
}

const sharedOf = (context: C): SharedResources => {
  const { shared } = context.execution;
  if (!shared) throw new SharedRefusal({ tag: 'not-attached' });
  return shared;
};

/**
 * A handle of a guest. It may outlive its execution where instances are reused, and then is of use only if the very same
 * resource is attached to the next one.
 */
abstract class Handle<T extends { readonly id: string }> {
  readonly name: string;
  private readonly id: string;
  private shared: SharedResources | undefined;
  private resource: T;

  constructor(context: C, name: string) {
    this.name = name;
    this.shared = sharedOf(context);
    this.resource = this.find(this.shared);
    this.id = this.resource.id;
  }

  /** As it was found last, whether it is still attached or not. */
  get known(): T {
    return this.resource;
  }

  protected abstract find(shared: SharedResources): T;

  in(context: C): T {
    const { shared } = context.execution;
    if (shared === this.shared && shared) return this.resource;
    const found = this.find(sharedOf(context));
    if (found.id !== this.id) throw new SharedRefusal({ tag: 'not-attached' });
    this.shared = shared;
    this.resource = found;
    return found;
  }
}

class RegionHandle extends Handle<Region> {
  protected find(shared: SharedResources): Region {
    return shared.region(this.name);
  }
}

class LockHandle extends Handle<Lock> {
  protected find(shared: SharedResources): Lock {
    return shared.lock(this.name);
  }
}

/** Whose effects can be undone begins again when it has to give way; the guest is not asked. */
async function acquire(context: C, self: LockHandle, mode: LockMode, timeoutMs: number | undefined): Promise<void> {
  try {
    await self.in(context).acquire(mode, timeoutMs);
  } catch (error) {
    const gaveWay = context.execution.overlay !== undefined && error instanceof SharedRefusal && error.error.tag === 'deadlock-victim';
    throw gaveWay ? makeTrap('deadlock-victim', `the execution gave way to another that waited for the lock "${self.name}"`) : error;
  }
}

function nothing(): void {}

const shared: HostInterface<C> = {
  name: 'nacelle:state/shared',
  functions: {
    '[static]region.open': (context: C, name: string) => answering(() => new RegionHandle(context, name)),
    '[method]region.size': (_context: C, self: RegionHandle) => self.known.bytes,
    '[method]region.read': (context: C, self: RegionHandle, offset: bigint, length: number) => answering(() => self.in(context).read(offset, length)),
    '[method]region.write': (context: C, self: RegionHandle, offset: bigint, bytes: Uint8Array) => answering(() => self.in(context).write(offset, bytes)),
    '[method]region.add': (context: C, self: RegionHandle, offset: bigint, delta: bigint) => answering(() => self.in(context).add(offset, delta)),
    '[method]region.compare-and-swap': (context: C, self: RegionHandle, offset: bigint, expected: bigint, replacement: bigint) =>
      answering(() => self.in(context).compareAndSwap(offset, expected, replacement)),
    '[method]region.flush': (context: C, self: RegionHandle) => answeringLater(() => self.in(context).flush()),
    '[static]lock.open': (context: C, name: string) => answering(() => new LockHandle(context, name)),
    '[method]lock.acquire': (context: C, self: LockHandle, mode: LockMode, timeoutMs: number | undefined) =>
      answeringLater(() => acquire(context, self, mode, timeoutMs)),
    '[method]lock.release': (context: C, self: LockHandle) => answering(() => self.in(context).release()),
    'open-bucket': (context: C, name: string) => answering(() => new BucketHandle(sharedOf(context).bucket(name), true)),
  },
  suspending: ['[method]region.flush', '[method]lock.acquire'],
  drop: { region: nothing, lock: nothing },
};

const session: HostInterface<C> = {
  name: 'nacelle:state/session',
  functions: {
    id: (context: C) => context.execution.shared?.session()?.id,
    state: (context: C) =>
      answering(() => {
        const found = sharedOf(context).session();
        if (!found) throw new SharedRefusal({ tag: 'not-attached' });
        return new BucketHandle(found.bucket, true);
      }),
  },
};

/** nacelle:state: what executions share beside the buckets of their manifest. */
export const sharedInterfaces: HostInterface<C>[] = [shared, session];
