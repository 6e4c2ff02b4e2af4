import { test } from 'uvu';
import * as assert from 'uvu/assert';
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

test('Rollbacks: so many failures among the first executions of a version', () => {
  const rollbacks = new Rollbacks();
  assert.equal(
    [true, false, true].map((failed) => rollbacks.count(judgeable(1), failed)),
    [false, false, true],
  );
});

test('Rollbacks: a version that has proven itself is not taken back for what fails later', () => {
  const rollbacks = new Rollbacks();
  assert.equal(
    [true, false, false, true, true, true].map((failed) => rollbacks.count(judgeable(1), failed)),
    [false, false, false, false, false, false],
  );
});

test('Rollbacks: another version begins anew', () => {
  const rollbacks = new Rollbacks();
  rollbacks.count(judgeable(1), true);
  assert.equal([rollbacks.count(judgeable(2), true), rollbacks.count(judgeable(2), true)], [false, true]);
});

test.run();
