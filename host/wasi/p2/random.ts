import { randomFillSync } from 'node:crypto';
import type { HostInterface } from '../../component/host.ts';
import type { WasiContext } from '../context.ts';
import { fillSeeded } from '../deterministic.ts';

type C = WasiContext;

/** Largest number of random bytes that a guest gets in one call, so that it does not hold its thread for longer than a few milliseconds. */
export const randomBytesMax = 4 * 1024 * 1024;

const pool = new Uint8Array(8192);
const words = new BigUint64Array(1);
const wordBytes = new Uint8Array(words.buffer);
let used = pool.length;

/** Fills `target` from the pool. What was handed out is wiped, so that nobody finds it there again. */
function fill(target: Uint8Array): void {
  if (used + target.length > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  target.set(pool.subarray(used, used + target.length));
  pool.fill(0, used, used + target.length);
  used += target.length;
}

function randomBytes(context: C, length: bigint): Uint8Array {
  if (length > randomBytesMax) throw new Error(`cannot make ${length} random bytes: at most ${randomBytesMax} at once`);
  const bytes = new Uint8Array(Number(length));
  if (context.grant.deterministic) return fillSeeded(context, bytes);
  if (bytes.length > 256) randomFillSync(bytes);
  else fill(bytes);
  return bytes;
}

function randomWord(context: C): bigint {
  if (context.grant.deterministic) fillSeeded(context, wordBytes);
  else fill(wordBytes);
  return words[0] as bigint;
}

export const random: HostInterface<C> = {
  name: 'wasi:random/random',
  waitless: 'all',
  functions: { 'get-random-bytes': randomBytes, 'get-random-u64': randomWord },
};

export const insecure: HostInterface<C> = {
  name: 'wasi:random/insecure',
  waitless: 'all',
  functions: { 'get-insecure-random-bytes': randomBytes, 'get-insecure-random-u64': randomWord },
};

export const insecureSeed: HostInterface<C> = {
  name: 'wasi:random/insecure-seed',
  waitless: 'all',
  functions: { 'insecure-seed': (context: C) => [randomWord(context), randomWord(context)] },
};
