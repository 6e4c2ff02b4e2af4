import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ErrorCode } from '../../host/base/errors.ts';
import { Rollbacks } from '../../host/verdict/built-in.ts';
import type { Judgeable, ResultCondition } from '../../host/verdict/model.ts';
import { ruleFor } from '../../host/verdict/rules.ts';

const response = {
  status: 202,
  headers: [['X-State', 'odd']] as [string, string][],
  body: Buffer.from('{"order":{"state":"wrong","items":[{"id":7}],"paid":null}}'),
};
const meets = (when: ResultCondition): boolean => ruleFor([{ when, control: 'c' }], response) !== undefined;

test('ruleFor: compares the status, or its class', () => {
  assert.equal([meets({ status: '202' }), meets({ status: '2xx' }), meets({ status: '200' }), meets({ status: '5xx' })], [true, true, false, false]);
});

test('ruleFor: compares headers by name in any case, and by their whole value', () => {
  assert.equal(
    [meets({ header: { 'x-state': 'odd' } }), meets({ header: { 'x-state': 'od' } }), meets({ header: { 'x-other': 'odd' } })],
    [true, false, false],
  );
});

test('ruleFor: compares fields of JSON by path, through lists too', () => {
  const fields = { 'order.state': 'wrong', 'order.items.0.id': 7, 'order.paid': null };
  assert.ok(meets({ json: fields }));
  for (const json of [{ 'order.state': 'right' }, { 'order.items.0.id': '7' }, { 'order.items.1.id': 7 }, { state: 'wrong' }, { 'order.constructor': 'x' }])
    assert.not.ok(meets({ json }));
});

test('ruleFor: a body that is no JSON meets no condition on JSON', () => {
  const rules = [{ when: { json: { a: null } }, control: 'c' }];
  for (const body of ['', 'nonsense', '{"a":', '\xff']) assert.is(ruleFor(rules, { ...response, body: Buffer.from(body, 'latin1') }), undefined);
});

test('ruleFor: all parts of a condition have to be met, and the first rule counts', () => {
  assert.not.ok(meets({ status: '2xx', header: { 'x-state': 'even' } }));
  const rules = ['a', 'b'].map((control) => ({ when: { status: '2xx' }, control }));
  assert.is(ruleFor(rules, response)?.control, 'a');
  assert.is(ruleFor(rules, null), undefined);
});

const judgeable = (version: number): Judgeable => ({
  tenant: 't',
  function: 'f',
  version,
  limits: { memoryMib: 1, cpuMs: 1, timeMs: 1 },
  onFailure: { verdict: 'rollback', rollback: { failures: 2, of: 3 } },
});

/** What is made of executions of these versions: `failed` as its attempts ended, one after the other. */
const counting = () => {
  const proven = new Set<number>();
  const rollbacks = new Rollbacks({
    isNew: async (_tenant, _name, version) => !proven.has(version),
    prove: async (_tenant, _name, version) => void proven.add(version),
  });
  let executions = 0;
  const attempt = (version: number, execution: string, failed: boolean, code: ErrorCode = 'guest-trap'): Promise<boolean> =>
    rollbacks.count(judgeable(version), { execution, error: failed ? { code, message: '' } : null, response: null });
  const each = async (version: number, outcomes: readonly boolean[]): Promise<boolean[]> => {
    const verdicts: boolean[] = [];
    for (const failed of outcomes) verdicts.push(await attempt(version, `e${executions++}`, failed));
    return verdicts;
  };
  return { rollbacks, proven, attempt, each };
};

test('Rollbacks: so many failures among the first executions of a version', async () => {
  assert.equal(await counting().each(1, [true, false, true]), [false, false, true]);
});

test('Rollbacks: a version that has proven itself is not taken back for what fails later, by whoever counts', async () => {
  const { proven, each } = counting();
  assert.equal(await each(1, [true, false, false, true, true, true]), [false, false, false, false, false, false]);
  assert.equal([...proven], [1]);
  const after = counting();
  after.proven.add(1);
  assert.equal(await after.each(1, [true, true, true]), [false, false, false]);
});

test('Rollbacks: another version begins anew, and one whose executions are still under way does not begin it again', async () => {
  const { each } = counting();
  assert.equal(await each(1, [true]), [false]);
  assert.equal([...(await each(2, [true])), ...(await each(1, [false])), ...(await each(2, [true]))], [false, false, true]);
});

test('Rollbacks: an execution counts once, as its latest attempt ended', async () => {
  const { attempt } = counting();
  for (let i = 0; i < 5; i++) assert.not.ok(await attempt(1, 'poison', true));
  assert.not.ok(await attempt(1, 'poison', false), 'it did not fail in the end');
  assert.not.ok(await attempt(1, 'second', true));
  assert.ok(await attempt(1, 'third', true));
});

test('Rollbacks: conflicts and a lack of room are no failures of the version', async () => {
  const { attempt } = counting();
  for (const code of ['conflict', 'deadlock-victim', 'capacity-exhausted', 'store-full'] as const) assert.not.ok(await attempt(1, `of-${code}`, true, code));
});

test('Rollbacks: a version that was set live again by somebody begins anew', async () => {
  const { rollbacks, each } = counting();
  const live = (version: number): void => rollbacks.keep(new Map([['t/f', [{ version }]]]));
  assert.equal(await each(2, [true, true]), [false, true]);
  live(1);
  assert.equal(await each(2, [true]), [true], 'one that was under way is rescued too');
  live(2);
  assert.equal(await each(2, [true, true]), [false, true]);
});

test.run();
