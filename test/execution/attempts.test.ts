import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ErrorCode, Problem } from '../../host/base/errors.ts';
import { type AttemptsOptions, runUntilCommitted } from '../../host/execution/attempts.ts';
import type { ExecutionRecord } from '../../host/execution/record.ts';
import type { StoredEnd } from '../../host/execution/stored-run.ts';

const record = { id: 'x' } as ExecutionRecord;
const answered: StoredEnd = { problem: null, record, response: { status: 200, headers: [], body: new Uint8Array(0) }, effects: { reads: [], effects: [] } };
const failed = (code: ErrorCode): StoredEnd => ({ problem: { code, message: code }, record, response: null, effects: null });

/** Runs with attempts that end one after the other as `ends` says; the last goes on for ever. */
const attempt = async (ends: StoredEnd[], options: Partial<AttemptsOptions> = {}) => {
  const runs: { key: string; attempt: number }[] = [];
  const commits: unknown[] = [];
  const end = await runUntilCommitted({
    function: 'f',
    version: () => ({ key: 'acme/f@1' }),
    run: async (key, attempt) => {
      runs.push({ key, attempt });
      return ends[Math.min(runs.length, ends.length) - 1] as StoredEnd;
    },
    commit: async (effects) => {
      commits.push(effects);
    },
    retries: 3,
    ...options,
  });
  return { end, runs, commits };
};
const codes = ({ success, ...rest }: Awaited<ReturnType<typeof attempt>>['end']) =>
  (success ? success.attempts : (rest as { attempts: { code: string | null }[] }).attempts).map(({ code }) => code);

test('runUntilCommitted: begins again after a failure, and says at which attempt it is', async () => {
  const { end, runs, commits } = await attempt([failed('guest-trap'), failed('isolate-lost'), answered]);
  assert.is(end.success?.response.status, 200);
  assert.equal(
    runs,
    [1, 2, 3].map((number) => ({ key: 'acme/f@1', attempt: number })),
  );
  assert.equal(codes(end), ['guest-trap', 'isolate-lost', null]);
  assert.equal(commits, [{ reads: [], effects: [] }]);
});

test('runUntilCommitted: gives up after its retries, and commits nothing', async () => {
  const { end, runs, commits } = await attempt([failed('guest-trap')], { retries: 2 });
  assert.is(end.success, undefined);
  assert.equal(codes(end), ['guest-trap', 'guest-trap', 'guest-trap']);
  assert.is(runs.length, 3);
  assert.equal(commits, []);
});

test('runUntilCommitted: conflicts do not count as failures', async () => {
  let commits = 0;
  const commit = async () => {
    if (++commits <= 10) throw new Problem('conflict', 'changed');
  };
  const { end } = await attempt([answered], { retries: 0, commit });
  assert.is(end.success?.attempts.length, 11);
});

test('runUntilCommitted: tries in vain no more than once what cannot succeed', async () => {
  const full = await attempt([answered], {
    commit: async () => {
      throw new Problem('store-full', 'full');
    },
  });
  assert.equal(codes(full.end), ['store-full']);
  const gone = await attempt([answered], { version: () => ({ refused: 'function-not-found' }) });
  assert.equal(codes(gone.end), ['function-not-found']);
  assert.is(gone.runs.length, 0);
});

test('runUntilCommitted: goes on counting where an earlier life of the node ended', async () => {
  const before = [{ attempt: 2, startedAt: 0, endedAt: 1, code: 'isolate-lost' as const }];
  const { end, runs } = await attempt([failed('guest-trap')], { retries: 1, before });
  assert.equal(
    runs.map((run) => run.attempt),
    [3],
  );
  assert.equal(codes(end), ['isolate-lost', 'guest-trap']);
});

test.run();
