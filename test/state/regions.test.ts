import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Problem } from '../../host/base/errors.ts';
import { Regions } from '../../host/state/regions.ts';
import type { Bucket } from '../../host/wasi/keyvalue-port.ts';

const kib = 1024;
const empty = { list: () => ({ keys: [], cursor: undefined }), get: () => undefined } as unknown as Bucket;

test('regions: many that ask for the same room at once stay within the limit', async () => {
  const regions = new Regions({
    open: () => empty,
    store: async () => undefined,
    shed: async () => undefined,
    onError: () => undefined,
    limits: { tenantBytesMax: 64 * kib, allBytesMax: 256 * kib },
  });
  const thread = {};
  const had = 'acme/state/first';
  await regions.enter(thread, had, 64 * kib);
  const asked = Array.from({ length: 10 }, (_, index) => regions.enter(thread, `acme/state/${index}`, 32 * kib));
  regions.leave(thread, had, 1);
  const codes = (await Promise.allSettled(asked)).map((end) => (end.status === 'fulfilled' ? 'in' : (end.reason as Problem).code));
  assert.is(codes.filter((code) => code === 'in').length, 2);
  assert.is(codes.filter((code) => code === 'capacity-exhausted').length, 8);
  await regions.close();
});

test.run();
