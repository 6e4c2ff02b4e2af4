import type { Codec, FlatReader } from './codec.ts';
import type { Scope } from './scope.ts';

function handleCodec(lift: (scope: Scope, handle: number) => unknown, lower: (scope: Scope, value: unknown) => number): Codec {
  return {
    size: 4,
    align: 4,
    flat: ['i32'],
    load: (scope, pointer) => lift(scope, scope.data.getUint32(pointer, true)),
    store: (scope, value, pointer) => scope.data.setUint32(pointer, lower(scope, value), true),
    lift: (scope: Scope, flat: FlatReader) => lift(scope, (flat.values[flat.at++] as number) >>> 0),
    lower: (scope, value, out) => void out.push(lower(scope, value)),
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
