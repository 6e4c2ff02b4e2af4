/** Histories that clients of both fleets recorded at once, and whether they can be put in order. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isLinearizable, type Recorded, type Step } from './linearizable.ts';
import { cleanUp, startTestNode, type TestNode } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode();
});
test.after(async () => {
  await node.end();
  cleanUp();
});

type RegisterOp = { kind: 'put'; value: string } | { kind: 'get'; value: string | null };
const register: Step<string | null, RegisterOp> = (state, op) => (op.kind === 'put' ? op.value : op.value === state ? state : undefined);

type Transfer = { from: number; to: number; amount: number; left: number; right: number };
type Accounts = readonly number[];
const bank: Step<Accounts, Transfer> = (accounts, { from, to, amount, left, right }) => {
  if (accounts[from] !== left + amount || accounts[to] !== right - amount) return undefined;
  return accounts.map((balance, account) => (account === from ? left : account === to ? right : balance));
};

const record = async <Op>(history: Recorded<Op>[], act: () => Promise<Op>): Promise<void> => {
  const begun = performance.now();
  const op = await act();
  history.push({ begun, ended: performance.now(), op });
};

test('isLinearizable: finds an order if there is one, and none if there is none', () => {
  const put = (value: string, begun: number, ended: number): Recorded<RegisterOp> => ({ begun, ended, op: { kind: 'put', value } });
  const get = (value: string | null, begun: number, ended: number): Recorded<RegisterOp> => ({ begun, ended, op: { kind: 'get', value } });
  const check = (...history: Recorded<RegisterOp>[]) => isLinearizable(history, null, register);
  assert.ok(check(put('a', 0, 10), get(null, 1, 2), get('a', 3, 4)));
  assert.not.ok(check(put('a', 0, 10), get('a', 1, 2), get(null, 3, 4)));
  assert.not.ok(check(put('a', 0, 1), get(null, 2, 3)));
  assert.ok(check(put('a', 0, Number.POSITIVE_INFINITY), get(null, 5, 6), get('a', 7, 8)));
  assert.not.ok(check(put('a', 0, 5), put('b', 0, 5), get('a', 6, 7), get('b', 8, 9)));
  const transfer = (from: number, to: number, left: number, right: number): Recorded<Transfer> => ({
    begun: 0,
    ended: 1,
    op: { from, to, amount: 1, left, right },
  });
  assert.ok(isLinearizable([transfer(0, 1, 9, 11), transfer(1, 2, 10, 11)], [10, 10, 10], bank));
  assert.not.ok(isLinearizable([transfer(0, 1, 9, 11), transfer(1, 2, 9, 11)], [10, 10, 10], bank), 'a write was lost');
  assert.not.ok(isLinearizable([transfer(0, 1, 9, 11), transfer(0, 1, 9, 11)], [10, 10], bank), 'the same read twice');
});

test('keyvalue: reads and writes of single keys are linearizable, whatever threads they are in', async () => {
  for (const fleet of ['resident', 'on-demand'])
    await node.deploy(`register-${fleet}`, 'bucket', { capabilities: { keyvalue: { own: 'registers' } }, capacity: { fleet } });
  const keys = ['a', 'b', 'c', 'd'];
  const histories = new Map(keys.map((key) => [key, [] as Recorded<RegisterOp>[]]));
  const client = async (number: number): Promise<void> => {
    for (let i = 0; i < 40; i++) {
      const key = keys[Math.floor(Math.random() * keys.length)] as string;
      const url = `${node.url}/register-${Math.random() < 0.5 ? 'resident' : 'on-demand'}/own/${key}`;
      const value = `${number}-${i}`;
      await record<RegisterOp>(histories.get(key) as Recorded<RegisterOp>[], async () => {
        if (Math.random() < 0.4) {
          assert.is((await fetch(url, { method: 'PUT', body: value })).status, 204);
          return { kind: 'put', value };
        }
        const response = await fetch(url);
        const text = await response.text();
        return { kind: 'get', value: response.status === 404 ? null : text };
      });
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, number) => client(number)));
  for (const [key, history] of histories) assert.ok(isLinearizable(history, null, register), `${key}: ${JSON.stringify(history)}`);
});

test('guarantee: transfers at once are strictly serialisable, with conflicts and traps among them', async () => {
  const granted = { capabilities: { keyvalue: { '': 'ledger' } }, guarantee: { retries: 5 } };
  for (const fleet of ['resident', 'on-demand']) await node.deploy(`ledger-${fleet}`, 'transfer', { ...granted, capacity: { fleet } });
  const accounts = 4;
  const history: Recorded<Transfer>[] = [];
  let attempts = 0;
  let id = 0;
  const client = async (): Promise<void> => {
    for (let i = 0; i < 12; i++) {
      const from = Math.floor(Math.random() * accounts);
      const to = (from + 1 + Math.floor(Math.random() * (accounts - 1))) % accounts;
      const amount = 1 + Math.floor(Math.random() * 9);
      const query = `from=${from}&to=${to}&amount=${amount}&id=${++id}&trap=${Math.random() < 0.2 ? 1 : 0}`;
      const url = `${node.url}/ledger-${Math.random() < 0.5 ? 'resident' : 'on-demand'}/?${query}`;
      await record(history, async () => {
        const response = await fetch(url, { headers: { 'idempotency-key': `t${id}` } });
        const text = await response.text();
        assert.is(response.status, 200, text);
        const [attempt, left, right] = text.split(' ').map(Number) as [number, number, number];
        attempts += attempt;
        return { from, to, amount, left, right };
      });
    }
  };
  await Promise.all(Array.from({ length: 10 }, client));
  assert.ok(attempts > history.length + 10, `${attempts} attempts at ${history.length} transfers: the test must meet conflicts`);
  assert.ok(isLinearizable(history, Array<number>(accounts).fill(1000), bank), JSON.stringify(history));
});

test.run();
