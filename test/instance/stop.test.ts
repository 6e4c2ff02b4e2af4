import { readdirSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { threadCpuMs } from '../../host/instance/thread-cpu.ts';
import { load, poolOf, start } from './harness.ts';

const CPU_MS = 60;

/** Fixtures that only end when somebody stops them from outside: they wait, or answer for ever within their limits. */
const waiting = new Set(['poll', 'catch-poll', 'body']);
/** Fixtures that the engine or another limit ends, before CPU time is up. */
const endedOtherwise: Record<string, RegExp> = {
  'recursion-deep': /call stack exhausted/,
  'catch-overflow': /call stack exhausted/,
  handles: /more than \d+ handles|CPU time|more bytes/,
};

const names = readdirSync(new URL('../../fixtures/stop/', import.meta.url)).map((file) => file.replace('.wasm', ''));

for (const name of names.filter((each) => !waiting.has(each)))
  test(`stop: ${name} ends by its limit while other work of the thread goes on`, async () => {
    const { artifact, modules, handler } = await load(`stop/${name}`);
    const pool = poolOf({ artifact, modules, handler }, { limits: { memoryPages: 1024, cpuMs: CPU_MS } });
    let longestMs = 0;
    let last = threadCpuMs();
    const beat = setInterval(() => {
      longestMs = Math.max(longestMs, threadCpuMs() - last);
      last = threadCpuMs();
    }, 1);
    const { running } = start(pool, handler);
    const { ended, meter } = await running.done;
    clearInterval(beat);
    pool.close();
    assert.ok(ended, 'the guest was ended');
    const other = endedOtherwise[name];
    if (other) assert.match(ended?.message ?? '', other);
    else assert.is(ended?.code, 'cpu-limit', ended?.message);
    assert.ok(meter.cpuUs < 2_500_000, `it took ${meter.cpuUs} µs`);
    assert.ok(longestMs < 150, `the event loop stood still for ${longestMs.toFixed(1)} ms`);
  });

for (const name of names)
  test(`stop: ${name} ends at once by a call from outside`, async () => {
    const { artifact, modules, handler } = await load(`stop/${name}`);
    const pool = poolOf({ artifact, modules, handler }, { limits: { memoryPages: 1024, cpuMs: 5000 } });
    const { running } = start(pool, handler);
    await new Promise((resolve) => setTimeout(resolve, 30));
    const asked = threadCpuMs();
    running.stop('client-gone', 'the client went away');
    const { ended } = await running.done;
    const tookMs = threadCpuMs() - asked;
    assert.ok(ended, 'the guest was ended');
    assert.ok(tookMs < 250, `it took ${tookMs.toFixed(1)} ms`);
    assert.equal(pool.stats, { idle: 0, running: 0 }, 'an ended instance is not kept');
    pool.close();
  });

test.run();
