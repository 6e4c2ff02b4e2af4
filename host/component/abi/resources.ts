import type { Codec, FlatReader } from './codec.ts';
import { GuestResource } from './guest-resource.ts';
import type { Scope } from './scope.ts';
import { AbiError } from './trap.ts';

function handleCodec(lift: (scope: Scope, handle: number) => unknown, lower: (scope: Scope, value: unknown) => number): Codec {
  return {
    size: 4,
    align: 4,
    flat: ['i32'],
    load: (scope, pointer) => lift(scope, scope.data.getUint32(pointer, true)),
    store: (scope, value, pointer) => scope.data.setUint32(pointer, lower(scope, value), true),
    lift: (scope: Scope, flat: FlatReader) => lift(scope, (flat.values[flat.at++] as number) >>> 0),
    lower: (scope, value, out) => void out.push(lower(scope, value)),
    lowerOne: lower,
  };
}

export function ownCodec(resource: number): Codec {
  return handleCodec(
    (scope, handle) => scope.state.handles.take(handle, resource),
    (scope, value) => scope.state.handles.add(resource, value, true),
  );
}

/** `definer`: the component instance that defines the resource, which sees a borrow of it as the bare rep; -1 for the host. */
export function borrowCodec(resource: number, definer: number): Codec {
  return handleCodec(
    (scope, handle) => {
      const value = scope.state.handles.get(handle, resource);
      if (scope.lent) {
        scope.lent.push(handle);
        scope.state.handles.lend(handle);
      }
      return value;
    },
    (scope, value) => {
      if (scope.state.component === definer) return value as number;
      scope.state.borrowsOpen++;
      return scope.state.handles.add(resource, value, false);
    },
  );
}

function resourceOf(value: unknown): GuestResource {
  if (!(value instanceof GuestResource)) throw new AbiError('the value is not a handle of the resource that the call takes');
  return value;
}

/** `own` of a resource that the component itself defines, in a call from outside of its instance. */
export function exportedOwnCodec(resource: number): Codec {
  return handleCodec(
    (scope, handle) => new GuestResource(scope.state.owner, resource, scope.state.handles.take(handle, resource) as number),
    (scope, value) => scope.state.handles.add(resource, resourceOf(value).repFor(scope.state.owner, resource), true),
  );
}

/** As `exportedOwnCodec`, for `borrow`: the component instance `definer` sees it as the bare rep. */
export function exportedBorrowCodec(resource: number, definer: number): Codec {
  const inside = borrowCodec(resource, definer);
  return {
    ...inside,
    store: (scope, value, pointer) => inside.store(scope, resourceOf(value).repFor(scope.state.owner, resource), pointer),
    lower: (scope, value, out) => inside.lower(scope, resourceOf(value).repFor(scope.state.owner, resource), out),
  };
}
