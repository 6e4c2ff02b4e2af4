import { Problem } from '../../base/errors.ts';
import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';
import { answering, answeringLater, type BucketHandle, bucketIn } from './bucket.ts';

const ttlMsMax = 10 * 365 * 86_400_000;

/** When a value with this time to live is gone, in milliseconds since 1970. @throws Problem `request-invalid` */
export const untilOf = (ttlMs: number): number => {
  if (Number.isSafeInteger(ttlMs) && ttlMs >= 1 && ttlMs <= ttlMsMax) return Date.now() + ttlMs;
  throw new Problem('request-invalid', `cannot set the value: its time to live must be a whole number of milliseconds from 1 to ${ttlMsMax}, got ${ttlMs}`);
};

/** Values of wasi:keyvalue that are gone after a while. */
export const stateExpiry: HostInterface<WasiContext> = {
  name: 'nacelle:state/expiry',
  functions: {
    'set': (context: WasiContext, self: BucketHandle, key: string, value: Uint8Array, ttlMs: bigint) =>
      answeringLater(async () => {
        await bucketIn(context, self).change({ kind: 'put', entries: [[key, value]], until: untilOf(Number(ttlMs)) });
        return undefined;
      }),
    'remaining': (context: WasiContext, self: BucketHandle, key: string) =>
      answering(() => {
        const until = bucketIn(context, self).until(key);
        return until === undefined ? undefined : BigInt(Math.max(0, until - Date.now()));
      }),
  },
  suspending: ['set'],
};
