import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bytesOf, parseVerdict, verdictJsonSchema } from '../../host/verdict/schema.ts';

const parse = (value: unknown) => parseVerdict(Buffer.from(JSON.stringify(value)));
const problemOf = (value: unknown): string => {
  const parsed = parse(value);
  return 'problem' in parsed ? parsed.problem : '';
};
const reason = 'because';

test('parseVerdict: takes every verdict with all that goes with it', () => {
  for (const verdict of [
    { verdict: 'retry', reason },
    { verdict: 'retry', reason, limits: { memoryMib: 128, cpuMs: 1, timeMs: 60_000 }, version: 7, input: { base64: 'AAEC', contentType: 'image/png' } },
    { verdict: 'rollback', reason, settings: { limits: { memoryMib: 128 }, fleet: 'resident', prewarm: 3 } },
    { verdict: 'dead-letter', reason },
    { verdict: 'drop', reason },
    { verdict: 'complete', reason, result: { status: 200, headers: { 'x-by': 'me' }, text: 'done' } },
    { verdict: 'default', reason },
  ])
    assert.equal(parse(verdict), { verdict });
  assert.equal(parse({ verdict: 'complete', reason, result: {} }), { verdict: { verdict: 'complete', reason, result: { status: 200 } } });
});

for (const [wrong, verdict, said] of [
  ['no verdict', { reason }, 'verdict:'],
  ['one that there is not', { verdict: 'maybe', reason }, 'verdict:'],
  ['no reason', { verdict: 'drop' }, 'reason:'],
  ['a reason without words', { verdict: 'drop', reason: '' }, 'reason:'],
  ['keys that nobody knows', { verdict: 'drop', reason, when: 'now' }, '"when"'],
  ['limits with another verdict', { verdict: 'drop', reason, limits: { memoryMib: 1 } }, 'limits: only goes with the verdict "retry"'],
  ['an input with another verdict', { verdict: 'rollback', reason, input: { text: '' } }, 'input: only goes with'],
  ['a version with another verdict', { verdict: 'complete', reason, version: 1, result: {} }, 'version: only goes with'],
  ['complete without a result', { verdict: 'complete', reason }, 'result: must be there'],
  ['a limit of nothing', { verdict: 'retry', reason, limits: { memoryMib: 0 } }, 'limits.memoryMib: must be a whole number from 1 to 4096'],
  ['a limit that is no number', { verdict: 'retry', reason, limits: { timeMs: '1s' } }, 'limits.timeMs'],
  ['limits that it has no say in', { verdict: 'retry', reason, limits: { concurrency: 1000 } }, '"concurrency"'],
  ['an input twice', { verdict: 'retry', reason, input: { text: 'a', base64: 'YQ==' } }, 'input: must have "text" or "base64", not both'],
  ['an input that is no base64', { verdict: 'retry', reason, input: { base64: '!' } }, 'input.base64'],
  ['a content type of two lines', { verdict: 'retry', reason, input: { text: '', contentType: 'a\r\nb: c' } }, 'input.contentType'],
  ['a status that is none', { verdict: 'complete', reason, result: { status: 99 } }, 'result.status'],
  ['a header of two lines', { verdict: 'complete', reason, result: { headers: { a: 'b\r\nc: d' } } }, 'result.headers.a'],
  ['a header without a name', { verdict: 'complete', reason, result: { headers: { '': 'b' } } }, 'result.headers'],
  [
    'headers of the connection',
    { verdict: 'complete', reason, result: { headers: { 'Content-Length': '7' } } },
    'result.headers: must not have headers of the connection',
  ],
  ['another fleet', { verdict: 'default', reason, settings: { fleet: 'mine' } }, 'settings.fleet'],
  ['more prewarmed than may be', { verdict: 'default', reason, settings: { prewarm: 65 } }, 'settings.prewarm'],
] as const) {
  test(`parseVerdict: refuses ${wrong}, and says so`, () => {
    assert.match(problemOf(verdict), said);
  });
}

test('parseVerdict: whatever bytes come, it answers with a verdict or with words of bearable length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const parsed = parseVerdict(bytes);
      if ('problem' in parsed) assert.ok(parsed.problem.length > 0 && parsed.problem.length < 2000);
    }),
    { numRuns: 500 },
  );
});

const key = fc.constantFrom('verdict', 'reason', 'limits', 'version', 'input', 'result', 'settings', '__proto__', 'constructor', 'x');
const leaf = fc.oneof(
  fc.constantFrom('retry', 'complete', 'rollback', 'drop', 'default', 'dead-letter', 'text', 'YQ==', ''),
  fc.string({ maxLength: 20 }),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
);
const part = fc.dictionary(
  fc.constantFrom('memoryMib', 'cpuMs', 'timeMs', 'text', 'base64', 'contentType', 'status', 'headers', 'limits', 'fleet', 'prewarm', '__proto__', 'y'),
  fc.oneof(leaf, fc.dictionary(fc.string({ maxLength: 8 }), leaf, { maxKeys: 3 }), fc.array(leaf, { maxLength: 2 })),
  { maxKeys: 4 },
);

test('parseVerdict: what it takes is within what it promises, and is taken again as it is', () => {
  let taken = 0;
  fc.assert(
    fc.property(fc.dictionary(key, fc.oneof(leaf, part), { maxKeys: 5 }), fc.boolean(), (value, helped) => {
      const parsed = parse(helped ? { ...value, verdict: 'retry', reason } : value);
      if ('problem' in parsed) return;
      taken++;
      const { verdict } = parsed;
      assert.ok(['retry', 'rollback', 'dead-letter', 'drop', 'complete', 'default'].includes(verdict.verdict));
      assert.ok(verdict.reason.length >= 1 && verdict.reason.length <= 500);
      for (const limits of [verdict.limits, verdict.settings?.limits])
        for (const limit of Object.values(limits ?? {})) assert.ok(limit === undefined || (Number.isInteger(limit) && limit >= 1));
      if (verdict.input) assert.ok(bytesOf(verdict.input).length <= 700_000);
      assert.equal(parse(verdict), { verdict });
    }),
    { numRuns: 3000 },
  );
  assert.ok(taken > 10, `only ${taken} of 3000 were verdicts`);
});

test('verdict.schema.json: is what the node checks', () => {
  const published = JSON.parse(readFileSync(new URL('../../verdict.schema.json', import.meta.url), 'utf8')) as Record<string, unknown>;
  assert.equal(published, JSON.parse(JSON.stringify(verdictJsonSchema())));
  assert.equal(published.required, ['verdict', 'reason']);
  assert.is(published.additionalProperties, false);
});

test.run();
