import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Problem } from '../../host/base/errors.ts';
import { type Candidate, compose, kindsOf } from '../../host/sidecar/compose.ts';
import { compatible, newest } from '../../host/sidecar/version.ts';
import { planOf } from '../component/wat.ts';
import { exporting, importing, priceTwo } from './prices.ts';

const HANDLER = 'wasi:http/incoming-handler@0.2.0';

const part = async (label: string, wat: string, open: string[] = []): Promise<Candidate> => ({ label, plan: await planOf(`(component ${wat})`), open });

const problemOf = (run: () => unknown): Problem => {
  try {
    run();
  } catch (error) {
    return error as Problem;
  }
  throw new Error('it was taken');
};

const bare: Candidate = { label: 'main', plan: await planOf('(component)'), open: [] };

test('compatible: the first number that is not 0 must be the same', () => {
  for (const [wanted, offered, expected] of [
    ['1.0.0', '1.4.2', true],
    ['1.4.2', '1.0.0', true],
    ['1.0.0', '2.0.0', false],
    ['0.2.1', '0.2.9', true],
    ['0.2.0', '0.3.0', false],
    ['0.0.1', '0.0.2', false],
    ['1.0.0-rc.1', '1.0.0', false],
    ['', '', true],
    ['', '1.0.0', false],
  ] as const)
    assert.is(compatible(wanted, offered), expected, `${wanted} ${offered}`);
});

test('newest: a range stands for its newest version, by number', () => {
  const versions = ['1.9.0', '1.10.0', '2.0.0', '1.10.2', '10.0.0'];
  assert.is(newest(versions, '1'), '1.10.2');
  assert.is(newest(versions, '1.9'), '1.9.0');
  assert.is(newest(versions, undefined), '10.0.0');
  assert.is(newest(versions, '3'), undefined);
});

test('compose: an import is linked with whoever exports it, in a compatible version with the same types', async () => {
  const main = await part('main', importing('acme:shop/prices@1.2.0', priceTwo), ['acme:shop/prices@1.2.0']);
  const provider = await part('prices', exporting('acme:shop/prices@1.0.0', priceTwo));
  assert.equal(kindsOf(provider.plan), ['provider']);
  const { composition, unmet } = compose([main, provider]);
  assert.equal(unmet, []);
  assert.equal(composition.links, [{ from: 0, interface: 'acme:shop/prices@1.2.0', to: 1, exported: 'acme:shop/prices@1.0.0' }]);
});

test('compose: what does not fit is named: the version, the function, the field', async () => {
  const main = await part('main', importing('acme:shop/prices@1.0.0', priceTwo), ['acme:shop/prices@1.0.0']);
  const problems = async (name: string, fields: string): Promise<string> =>
    compose([main, await part('prices', exporting(name, fields))]).unmet[0]?.problems.join() ?? 'linked';
  assert.match(await problems('acme:shop/prices@2.0.0', priceTwo), /main imports acme:shop\/prices@1\.0\.0, prices has version 2\.0\.0 of it/);
  assert.match(await problems('acme:shop/prices@1.0.0', '(field "amount" s32) (field "count" u32)'), /of\.amount is u32 here and s32 there/);
  assert.match(await problems('acme:shop/prices@1.0.0', '(field "amount" u32) (field "number" u32)'), /of\.count: number 2 is count here and number there/);
  const other = await part('main', importing('acme:shop/prices@1.0.0', priceTwo).replaceAll('"price"', '"prize"'), ['acme:shop/prices@1.0.0']);
  const { unmet } = compose([other, await part('prices', exporting('acme:shop/prices@1.0.0', priceTwo))]);
  assert.match(unmet[0]?.problems[0] ?? '', /prices has no such function; the nearest is price/);
});

test('compose: several that provide the same are refused by name, unless one is told to', async () => {
  const main = await part('main', importing('acme:shop/prices@1.0.0', priceTwo), ['acme:shop/prices@1.0.0']);
  const one = await part('one', exporting('acme:shop/prices@1.0.0', priceTwo));
  const two = await part('two', exporting('acme:shop/prices@1.1.0', priceTwo));
  const problem = problemOf(() => compose([main, one, two]));
  assert.is(problem.code, 'sidecar-invalid');
  assert.match(problem.message, /provided by one and two/);
  assert.is(compose([main, { ...one, provides: 'acme:shop/other' }, two]).composition.links[0]?.to, 2);
});

test('compose: a circle is refused, with all who are in it', async () => {
  const both = async (label: string, from: string, to: string): Promise<Candidate> =>
    part(label, `${importing(from, priceTwo)} ${exporting(to, priceTwo)}`, [from]);
  const one = await both('one', 'acme:b/prices@1.0.0', 'acme:a/prices@1.0.0');
  const two = await both('two', 'acme:a/prices@1.0.0', 'acme:b/prices@1.0.0');
  const problem = problemOf(() => compose([bare, one, two]));
  assert.is(problem.code, 'sidecar-invalid');
  assert.match(problem.message, /one → two → one/);
});

test('compose: whoever provides starts before whom it provides; a handler import that is no middleware is refused', async () => {
  const user = await part('user', `${importing('acme:b/prices@1.0.0', priceTwo)} ${exporting('acme:a/prices@1.0.0', priceTwo)}`, ['acme:b/prices@1.0.0']);
  const base = await part('base', exporting('acme:b/prices@1.0.0', priceTwo));
  assert.equal(compose([bare, user, base]).composition.order, [2, 1]);
  const problem = problemOf(() => compose([{ ...bare, open: [HANDLER] }]));
  assert.match(problem.message, /is no middleware: nothing comes after it/);
});

test.run();
