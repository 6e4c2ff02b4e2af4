import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { EffectWriter } from '../../host/capability/effect-writer.ts';
import type { ExecutionResources } from '../../host/capability/execution-resources.ts';
import { createKeyValue } from '../../host/capability/keyvalue.ts';
import { SharedClient } from '../../host/capability/shared-client.ts';
import { openState } from '../../host/state/open.ts';
import { MemoryTable } from '../../host/store/memory/table.ts';
import type { WasiContext } from '../../host/wasi/context.ts';
import { Overlay } from '../../host/wasi/overlay.ts';
import { bytes, call, errorOf, makeContext, text } from '../wasi/guest.ts';

const owner = '~node/tenant/acme';
const cart = { name: 'cart', kind: 'bucket', id: 'acme/~bucket/function/shop/cart', bytes: 0 } as const;
const store = 'wasi:keyvalue/store';

const open = async () => {
  const table = new MemoryTable();
  await table.commit([{ key: owner, put: true }]);
  const writer = new EffectWriter({ table, keyvalue: { findOwner: async () => table.get(owner), bucketBytesMax: 1 << 20 } });
  const { state } = openState({ table, writer, onDecision: () => undefined, log: { error: () => undefined } });
  const client = new SharedClient(state.connect(null));
  const keyvalue = createKeyValue(table, (bucket, change) => writer.change(bucket, change));
  /** An execution that has the cart attached and open. */
  const begin = async (execution: string, overlay?: Overlay) => {
    const resources: ExecutionResources = client.open(execution, { function: 'shop', resources: [cart], session: null }, { overlay });
    await resources.attach();
    const { execution: ports, ...rest } = makeContext();
    const context: WasiContext = {
      ...rest,
      execution: { ...ports, shared: resources, keyvalue: overlay ? keyvalue.within(overlay) : keyvalue, ...(overlay && { overlay }) },
    };
    const bucket = call(context, 'nacelle:state/shared', 'open-bucket', 'cart');
    const get = (key: string) => call(context, store, '[method]bucket.get', bucket, key);
    const set = (key: string, value: string) => call(context, store, '[method]bucket.set', bucket, key, bytes(value));
    return { context, get, set, resources };
  };
  const close = async (): Promise<void> => {
    client.close();
    await state.close();
  };
  return { state, writer, begin, close };
};

test('revoke: handles of a bucket are of no use any more, its values are those that were there', async () => {
  const { state, begin, close } = await open();
  const [one, other] = [await begin('one'), await begin('other')];
  await one.set('items', 'three');
  assert.equal(await state.revoke('acme', 'bucket/shop/cart', 'one'), ['one']);
  assert.is(errorOf(one.get('items')).tag, 'access-denied');
  assert.is(errorOf(await one.set('items', 'none')).tag, 'access-denied');
  assert.is(errorOf(call(one.context, 'nacelle:state/shared', 'open-bucket', 'cart')).tag, 'revoked');
  assert.is(text(other.get('items')), 'three', 'it was taken from one alone');
  assert.equal(await state.revoke('acme', 'bucket/shop/cart', undefined), ['other']);
  assert.is(errorOf(other.get('items')).tag, 'access-denied');
  assert.is(text((await begin('later')).get('items')), 'three');
  await close();
});

test('revoke: of an execution in an overlay what it did before stays part of its commit, and nothing after it', async () => {
  const { state, writer, begin, close } = await open();
  const overlay = new Overlay(1);
  const guarded = await begin('guarded', overlay);
  await guarded.set('before', 'kept');
  assert.equal(await state.revoke('acme', 'bucket/shop/cart', undefined), ['guarded']);
  assert.is(errorOf(await guarded.set('after', 'refused')).tag, 'access-denied');
  assert.is(errorOf(guarded.get('before')).tag, 'access-denied');
  guarded.resources.release(true);
  await writer.commit({ ...overlay.collect(), writes: [] });
  const later = await begin('later');
  assert.is(text(later.get('before')), 'kept');
  assert.is(later.get('after'), undefined);
  await close();
});

test.run();
