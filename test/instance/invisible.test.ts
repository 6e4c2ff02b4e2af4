import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PoolRunner } from '../../host/instance/pool-runner.ts';
import type { Sent } from './harness.ts';
import { ask, type Named, runnerOf } from './sidecars.ts';

const gate: Named = { fixture: 'rust-gate', settings: [['deny', '/denied-and-never-asked-for']], limits: { memoryMib: 16, cpuMs: 10_000 } };
const maintenance: Named = { fixture: 'js-maintenance', limits: { memoryMib: 64, cpuMs: 10_000 } };
const pass: Named = { fixture: 'pass' };
const shared: Named = { fixture: 'pass', scope: 'function', sharedAs: 'pass' };

/** All of them pass on whatever comes, whichever toolchain made them. */
const chains: Named[][] = [[pass], [pass, pass], [shared, pass, pass], [gate], [maintenance], [pass, gate, maintenance, pass, pass]];

const limits = { memoryMib: 64, cpuMs: 10_000, concurrency: 100 };

/** Each function with requests that it answers in a way of its own. */
const functions: Record<string, fc.Arbitrary<Sent>> = (() => {
  const header = fc.tuple(
    fc.constantFrom('content-type', 'x-a', 'x-b'),
    fc.stringMatching(/^[ -~]{0,40}$/).map((text) => text.trim()),
  );
  const headers = fc.array(header, { maxLength: 4 });
  const small = fc.string({ maxLength: 5000 });
  const body = fc.oneof({ weight: 9, arbitrary: small }, { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 400_000 }).map((n) => 'x'.repeat(n)) });
  const path = fc.webPath().map((text) => text || '/');
  const trailers = fc.option(fc.array(fc.tuple(fc.constantFrom('x-end', 'x-sum'), fc.constantFrom('1', 'two')), { maxLength: 2 }), { nil: undefined });
  const method = fc.constantFrom('GET', 'HEAD', 'POST', 'DELETE', 'PURGE');
  const of = (paths: fc.Arbitrary<string>): fc.Arbitrary<Sent> =>
    fc.record({ method, path: paths, headers, body: fc.option(small, { nil: undefined }) }) as fc.Arbitrary<Sent>;
  return {
    // Bodies and trailers that stream through.
    echo: fc.record({ method: fc.constantFrom('POST', 'PUT', 'PATCH'), path, headers, body, trailers }) as fc.Arbitrary<Sent>,
    // Answers before it has read anything.
    hello: of(path),
    // Many headers, and bodies larger than any buffer.
    big: of(fc.tuple(fc.nat(20), fc.nat(300_000)).map(([count, bytes]) => `/?headers=${count}&body=${bytes}`)),
    // Error-codes in place of a response.
    failing: of(fc.nat(38).map((code) => `/?case=${code}`)),
    // Traps, before and after the head of the response.
    trap: of(fc.constantFrom('/unreachable', '/late/unreachable', '/divide-by-zero', '/late/bad-handle', '/fine')),
    // No response, or half of one.
    silent: of(fc.constantFrom('/return', '/drop', '/unfinished', '/headless')),
  };
})();

for (const [name, requests] of Object.entries(functions))
  test(`Group: any chain of middlewares that pass on is invisible to what becomes of ${name}`, async () => {
    const plain = await runnerOf(name, [], { composition: undefined, limits });
    const chained = await Promise.all(chains.map((chain) => runnerOf(name, chain, { limits })));
    await fc.assert(
      fc.asyncProperty(requests, fc.nat(chains.length - 1), async (request, chain) => {
        const expected = await ask(plain, request);
        const { answer, end } = await ask(chained[chain] as PoolRunner, request);
        assert.equal({ ...answer }, { ...expected.answer });
        assert.equal([end.failure?.problem.code, end.response], [expected.end.failure?.problem.code, expected.end.response]);
        assert.equal(
          (end.sidecars ?? []).map(({ code }) => code),
          (end.sidecars ?? []).map(() => undefined),
        );
      }),
      { numRuns: 60 },
    );
    for (const runner of [plain, ...chained]) runner.close();
  });

test.run();
