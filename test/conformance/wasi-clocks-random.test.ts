import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { call, makeContext, makeGuest, pause } from '../wasi/guest.ts';

/** From the text of wasi:clocks and wasi:random. */

const context = makeContext();
const { poll, clock } = makeGuest(context);
const forever = 0xffff_ffff_ffff_ffffn;

const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

test('monotonic now: a sequence of non-decreasing values', () => {
  let last = 0n;
  for (let i = 0; i < 1000; i++) {
    const now = clock('now');
    assert.ok(now >= last);
    last = now;
  }
  assert.ok(clock('resolution') >= 1n);
});

test('subscribe-duration: ready after the duration and not before', async () => {
  const before = clock('now');
  const timer = clock('subscribe-duration', 20_000_000n);
  assert.is(poll('[method]pollable.ready', timer), false);
  await poll('[method]pollable.block', timer);
  assert.ok(clock('now') - before >= 20_000_000n);
  assert.is(poll('[method]pollable.ready', timer), true);
  assert.is(poll('[method]pollable.block', timer), undefined);
});

test('subscribe-duration: of 0 is ready at once', () => {
  assert.is(poll('[method]pollable.ready', clock('subscribe-duration', 0n)), true);
});

test('subscribe-instant: ready once the instant has occurred', async () => {
  assert.is(poll('[method]pollable.ready', clock('subscribe-instant', 0n)), true);
  const timer = clock('subscribe-instant', clock('now') + 5_000_000n);
  assert.is(poll('[method]pollable.ready', timer), false);
  await poll('poll', [timer]);
});

test('subscribe: the longest durations and instants do not fire early', async () => {
  for (const timer of [clock('subscribe-duration', forever), clock('subscribe-instant', forever), clock('subscribe-duration', 3_000_000_000_000_000n)]) {
    let woken = false;
    void poll('[method]pollable.block', timer).then(() => (woken = true));
    await pause(10);
    assert.is(woken, false);
    poll.drop('pollable', timer);
  }
});

test('subscribe: a timer runs only while somebody waits, and a drop ends it', async () => {
  const before = timers();
  const timer = clock('subscribe-duration', forever);
  assert.is(timers(), before);
  void poll('poll', [timer, timer]);
  assert.is(timers(), before + 1);
  poll.drop('pollable', timer);
  assert.is(timers(), before);
  const other = clock('subscribe-duration', forever);
  await poll('poll', [other, clock('subscribe-duration', 1_000_000n)]);
  assert.is(timers(), before);
});

test('wall clock: seconds since 1970, nanoseconds below 1,000,000,000', () => {
  const now = call(context, 'wasi:clocks/wall-clock', 'now');
  assert.ok(Math.abs(Number(now.seconds) + now.nanoseconds / 1e9 - Date.now() / 1000) < 1);
  assert.ok(now.nanoseconds >= 0 && now.nanoseconds < 1_000_000_000);
  assert.ok(call(context, 'wasi:clocks/wall-clock', 'resolution').nanoseconds < 1_000_000_000);
});

test('timezone: UTC', () => {
  const when = { seconds: 0n, nanoseconds: 0 };
  assert.is(call(context, 'wasi:clocks/timezone', 'utc-offset', when), 0);
  assert.equal(call(context, 'wasi:clocks/timezone', 'display', when), { utcOffset: 0, name: 'UTC', inDaylightSavingTime: false });
});

for (const [name, getBytes, getWord] of [
  ['wasi:random/random', 'get-random-bytes', 'get-random-u64'],
  ['wasi:random/insecure', 'get-insecure-random-bytes', 'get-insecure-random-u64'],
] as const) {
  test(`${name}: gives as many bytes as asked, fresh ones each time`, () => {
    for (const length of [0, 1, 16, 255, 256, 257, 100_000]) assert.is(call(context, name, getBytes, BigInt(length)).length, length);
    const seen = new Set<string>();
    for (let i = 0; i < 2000; i++) seen.add(Buffer.from(call(context, name, getBytes, 16n)).toString('hex'));
    for (let i = 0; i < 2000; i++) seen.add(`${call(context, name, getWord)}`);
    assert.is(seen.size, 4000);
  });

  test(`${name}: an impossible length ends the guest instead of the host`, () => {
    assert.throws(() => call(context, name, getBytes, forever), /at most/);
  });

  test(`${name}: bytes and words are spread evenly`, () => {
    const counts = new Uint32Array(256);
    for (const byte of call(context, name, getBytes, 256_000n)) counts[byte] = (counts[byte] ?? 0) + 1;
    assert.ok(counts.every((count) => count > 800 && count < 1200));
    const word = call(context, name, getWord);
    assert.ok(word >= 0n && word <= forever);
  });
}

test('insecure-seed: two words', () => {
  const seed = call(context, 'wasi:random/insecure-seed', 'insecure-seed');
  assert.is(seed.length, 2);
  assert.is(typeof seed[0], 'bigint');
});

test.run();
