import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bytesCodec, listCodec, tupleCodec } from '../../host/component/abi/compound.ts';
import { HandleTable } from '../../host/component/abi/handles.ts';
import { primitiveCodecs } from '../../host/component/abi/primitives.ts';
import { LIFTED_BYTES_MAX, Scope } from '../../host/component/abi/scope.ts';

/** A megabyte of memory; at 0 `count` pairs of pointer and length, all of the same `length` zeros. */
function scopeWithOverlaps(count: number, length: number): Scope {
  const memory = new WebAssembly.Memory({ initial: 16 });
  const words = new Uint32Array(memory.buffer);
  for (let i = 0; i < count * 2; i += 2) {
    words[i] = 500_000;
    words[i + 1] = length;
  }
  const state = {
    component: 0,
    owner: { generation: 0, destroy: () => undefined },
    handles: new HandleTable(),
    mayLeave: true,
    entered: false,
    borrowsOpen: 0,
  };
  return new Scope(state, 'utf8', memory, null, { enterUnsuspendable() {}, leaveUnsuspendable() {} });
}

const flat = (pointer: number, length: number) => ({ values: [pointer, length], at: 0 });

test('charge: lists that overlap in memory cannot amount to more than the limit', () => {
  const scope = scopeWithOverlaps(50_000, 500_000);
  assert.throws(() => listCodec(bytesCodec).lift(scope, flat(0, 50_000)), /16777216 bytes/);
  scope.beginLift([]);
  assert.throws(() => listCodec(primitiveCodecs.string).lift(scope, flat(0, 50_000)), /16777216 bytes/);
  scope.beginLift([]);
  assert.throws(() => listCodec(tupleCodec([])).lift(scope, flat(0, 0xffff_ffff)), /16777216 bytes/);
});

test('charge: counts each call anew', () => {
  const scope = scopeWithOverlaps(1, 900_000);
  for (let i = 0; i < 100; i++) {
    scope.beginLift([]);
    assert.is((bytesCodec.lift(scope, flat(0, 900_000)) as Uint8Array).length, 900_000);
  }
  assert.is(LIFTED_BYTES_MAX, 16 * 1024 * 1024);
});

test.run();
