/** Histories that clients of both fleets recorded at once, and whether they can be put in order. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isLinearizable, type Recorded, type Step } from './linearizable.ts';
import { cleanUp, freshDirectory, sleep, startTestNode, type TestNode } from './node.ts';

test.after(cleanUp);

const fleets = ['resident', 'on-demand'] as const;
const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T;

/** A node that is killed and started again while clients go on. */
type Mortal = { url: () => string | undefined; kill: () => Promise<void>; end: () => Promise<void> };
const mortal = async (deploy: (node: TestNode) => Promise<void>): Promise<Mortal> => {
  const data = freshDirectory();
  let node: TestNode | undefined = await startTestNode({ data });
  await deploy(node);
  return {
    url: () => node?.url,
    kill: async () => {
      const killed = node;
      node = undefined;
      await killed?.end('SIGKILL');
      node = await startTestNode({ data });
    },
    end: async () => void (await node?.end()),
  };
};

/** Kills the node whenever so much of the work is done; resolves when the clients are done. */
const withKills = async (kills: number, node: Mortal, clients: Promise<unknown>[], done: () => number): Promise<void> => {
  let going = true;
  const working = Promise.all(clients).finally(() => {
    going = false;
  });
  const killing = async (): Promise<void> => {
    for (let killed = 0; killed < kills && going; ) {
      await sleep(5);
      if (done() < (killed + 1) / (kills + 1)) continue;
      await node.kill();
      killed++;
    }
  };
  await Promise.all([working, killing()]);
};

type Answer = { status: number; text: string };
/** Undefined if nobody knows whether it took place. */
const ask = async (url: string, init: RequestInit = {}): Promise<Answer | undefined> => {
  try {
    const response = await fetch(url, { ...init, headers: { connection: 'close', ...init.headers } });
    return { status: response.status, text: await response.text() };
  } catch {
    return undefined;
  }
};

type RegisterOp =
  | { kind: 'put'; value: string }
  | { kind: 'get'; value: string | null }
  | { kind: 'delete' }
  | { kind: 'append'; value: string }
  /** `sum` is not known if it was not answered. */
  | { kind: 'add'; by: number; sum: string | undefined };
const register: Step<string | null, RegisterOp> = (state, op) => {
  switch (op.kind) {
    case 'put':
      return op.value;
    case 'get':
      return op.value === state ? state : undefined;
    case 'delete':
      return null;
    case 'append':
      return (state ?? '') + op.value;
    case 'add': {
      const sum = String(Number(state ?? 0) + op.by);
      return op.sum === undefined || op.sum === sum ? sum : undefined;
    }
  }
};

/** Of a bucket: accounts with numbers, notes, and how often each transfer took place. */
type Ledger = Readonly<Record<string, string>>;
type Transfer = { kind: 'transfer'; from: number; to: number; amount: number; id: number; left: number; right: number };
type LedgerOp =
  | Transfer
  /** Its sum is that of the moment, and so says nothing. */
  | { kind: 'deposit'; account: number; by: number }
  | { kind: 'put'; key: string; value: string }
  | { kind: 'delete'; key: string }
  | { kind: 'get'; key: string; value: string | null }
  | { kind: 'list'; keys: string };
const changed = (ledger: Ledger, changes: Record<string, string | undefined>): Ledger =>
  Object.fromEntries(
    Object.entries({ ...ledger, ...changes })
      .filter((entry): entry is [string, string] => entry[1] !== undefined)
      .sort(),
  );
const plus = (ledger: Ledger, key: string, by: number): string => String(Number(ledger[key] ?? 0) + by);
const keysOf = (ledger: Ledger): string => Object.keys(ledger).sort().join();
const bank: Step<Ledger, LedgerOp> = (ledger, op) => {
  switch (op.kind) {
    case 'transfer': {
      const [from, to, id] = [`account-${op.from}`, `account-${op.to}`, `transfer-${op.id}`];
      if (plus(ledger, from, -op.amount) !== String(op.left) || plus(ledger, to, op.amount) !== String(op.right)) return undefined;
      return changed(ledger, { [from]: String(op.left), [to]: String(op.right), [id]: plus(ledger, id, 1) });
    }
    case 'deposit':
      return changed(ledger, { [`account-${op.account}`]: plus(ledger, `account-${op.account}`, op.by) });
    case 'put':
      return changed(ledger, { [op.key]: op.value });
    case 'delete':
      return changed(ledger, { [op.key]: undefined });
    case 'get':
      return (ledger[op.key] ?? null) === op.value ? ledger : undefined;
    case 'list':
      return keysOf(ledger) === op.keys ? ledger : undefined;
  }
};

type BoardOp = { kind: 'bump' | 'get'; value: number } | { kind: 'add'; by: number } | { kind: 'cas'; from: number; to: number; found: number };
const board: Step<number, BoardOp> = (state, op) => {
  switch (op.kind) {
    case 'add':
      return state + op.by;
    case 'get':
      return op.value === state ? state : undefined;
    case 'bump':
      return op.value === state + 1 ? op.value : undefined;
    case 'cas':
      return op.found !== state ? undefined : op.from === state ? op.to : state;
  }
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
  const op = (one: RegisterOp, begun: number, ended: number): Recorded<RegisterOp> => ({ begun, ended, op: one });
  const add = (by: number, sum: string | undefined, begun: number, ended: number) => op({ kind: 'add', by, sum }, begun, ended);
  assert.ok(check(add(1, '3', 0, 9), add(2, '2', 0, 9), op({ kind: 'delete' }, 10, 11), get(null, 12, 13)));
  assert.not.ok(check(add(1, '1', 0, 9), add(2, '2', 0, 9)), 'one of them was lost');
  assert.ok(check(add(1, undefined, 0, Number.POSITIVE_INFINITY), add(2, '2', 0, 1), get('3', 5, 6)));
  assert.not.ok(check(add(1, undefined, 0, Number.POSITIVE_INFINITY), add(2, '2', 0, 1), get('4', 5, 6)), 'it took place twice');
  const append = (value: string, begun: number, ended: number) => op({ kind: 'append', value }, begun, ended);
  assert.ok(check(append('a', 0, 5), append('b', 0, 5), get('ba', 6, 7)));
  assert.not.ok(check(append('a', 0, 5), append('b', 0, 5), get('b', 6, 7)), 'a swap that did not look');
  const transfer = (from: number, to: number, left: number, right: number, id: number): Recorded<LedgerOp> => ({
    begun: 0,
    ended: 1,
    op: { kind: 'transfer', from, to, amount: 1, left, right, id },
  });
  const start = { 'account-0': '10', 'account-1': '10', 'account-2': '10' };
  const ledger = (...history: Recorded<LedgerOp>[]) => isLinearizable(history, start, bank);
  assert.ok(ledger(transfer(0, 1, 9, 11, 1), transfer(1, 2, 10, 11, 2)));
  assert.not.ok(ledger(transfer(0, 1, 9, 11, 1), transfer(1, 2, 9, 11, 2)), 'a write was lost');
  assert.not.ok(ledger(transfer(0, 1, 9, 11, 1), transfer(0, 1, 9, 11, 2)), 'the same read twice');
  const list = (more: string): Recorded<LedgerOp> => ({ begun: 0, ended: 1, op: { kind: 'list', keys: `${Object.keys(start).join()}${more}` } });
  assert.ok(ledger(list(''), transfer(0, 1, 9, 11, 1), list(',transfer-1')));
  assert.not.ok(ledger(list(',transfer-1'), transfer(0, 1, 9, 11, 1), transfer(1, 2, 10, 11, 2), list(',transfer-2')), 'lists that contradict each other');
});

const registerUrl = (base: string, op: RegisterOp, key: string): string => {
  const fleet = pick(fleets);
  return op.kind === 'add' ? `${base}/adding-${fleet}/${key}?by=${op.by}` : `${base}/register-${fleet}/own/${key}`;
};
const methods = { put: 'PUT', get: 'GET', delete: 'DELETE', append: 'POST', add: 'GET' } as const;
/** What the operation is known to have come to; undefined if it may have taken place or not. */
const answered = (op: RegisterOp, answer: Answer | undefined): RegisterOp | undefined => {
  if (op.kind === 'get') {
    if (answer?.status === 200) return { kind: 'get', value: answer.text };
    return answer?.status === 404 && answer.text === 'not there' ? { kind: 'get', value: null } : undefined;
  }
  if (op.kind === 'add') return answer?.status === 200 ? { ...op, sum: answer.text.trim() } : undefined;
  return answer?.status === 204 ? op : undefined;
};

const registerOp = (number: boolean, unique: string): RegisterOp => {
  const kind = pick(['put', 'get', 'get', 'get', 'delete', 'change', 'change'] as const);
  if (kind === 'get') return { kind, value: null };
  if (kind === 'delete') return { kind };
  if (kind === 'put') return { kind, value: number ? String(Math.floor(Math.random() * 1000)) : unique };
  return number ? { kind: 'add', by: 1 + Math.floor(Math.random() * 9), sum: undefined } : { kind: 'append', value: `+${unique}` };
};

test('keyvalue: operations on single keys are linearizable, whatever threads they are in, and over kill -9', async () => {
  const node = await mortal(async (first) => {
    for (const fleet of fleets) {
      await first.deploy(`register-${fleet}`, 'bucket', { capabilities: { keyvalue: { own: 'registers' } }, capacity: { fleet } });
      await first.deploy(`adding-${fleet}`, 'counter', { capabilities: { keyvalue: { '': 'registers' } }, capacity: { fleet } });
    }
  });
  const keys = ['text-a', 'text-b', 'number-a', 'number-b'];
  const histories = new Map(keys.map((key) => [key, [] as Recorded<RegisterOp>[]]));
  const [clients, each] = [8, 50];
  let [done, unanswered] = [0, 0];
  const client = async (number: number): Promise<void> => {
    for (let i = 0; i < each; i++, done++) {
      let base = node.url();
      for (; base === undefined; base = node.url()) await sleep(10);
      const key = pick(keys);
      const op = registerOp(key.startsWith('number'), `${number}-${i}`);
      const begun = performance.now();
      const body = 'value' in op && op.kind !== 'get' ? { body: op.value } : {};
      const answer = await ask(registerUrl(base, op, key), { method: methods[op.kind], ...body });
      const known = answered(op, answer);
      const history = histories.get(key) as Recorded<RegisterOp>[];
      if (known) history.push({ begun, ended: performance.now(), op: known });
      else if (op.kind !== 'get' && !answer?.text.includes('capacity-exhausted')) {
        history.push({ begun, ended: Number.POSITIVE_INFINITY, op });
        unanswered++;
      }
    }
  };
  const running = Array.from({ length: clients }, (_, number) => client(number));
  await withKills(2, node, running, () => done / (clients * each));
  await node.end();
  for (const [key, history] of histories) {
    assert.ok(history.length > each, `${key}: ${history.length} operations`);
    assert.ok(isLinearizable(history, null, register), `${key}: ${JSON.stringify(history)}`);
  }
  assert.ok(unanswered < 100, `${unanswered} unanswered operations say nothing`);
});

/** Asks under one key until it is known what came of it, whatever happens to the node. */
const askUntilDone = async (node: Mortal, path: string, key: string, init: RequestInit, isDone: (answer: Answer) => boolean): Promise<string> => {
  for (;;) {
    const base = node.url();
    const answer = base === undefined ? undefined : await ask(base + path, { ...init, headers: { 'idempotency-key': key } });
    if (answer && isDone(answer)) return answer.text;
    await sleep(10);
  }
};

const accounts = 4;
const notes = ['note-a', 'note-b'];
type Guarded = { path: string; init?: RequestInit; status?: number; op: (text: string) => LedgerOp };
const ledgerOp = (id: number): Guarded => {
  const [fleet, key, account] = [pick(fleets), pick([...notes, 'account-0', 'account-1']), Math.floor(Math.random() * accounts)];
  const by = 1 + Math.floor(Math.random() * 9);
  switch (pick(['transfer', 'transfer', 'transfer', 'deposit', 'deposit', 'put', 'delete', 'get', 'get', 'list'] as const)) {
    case 'transfer': {
      const to = (account + 1 + Math.floor(Math.random() * (accounts - 1))) % accounts;
      const path = `/moving-${fleet}/?from=${account}&to=${to}&amount=${by}&id=${id}&trap=${Math.random() < 0.2 ? 1 : 0}`;
      return {
        path,
        op: (text) => {
          const [, left = 0, right = 0] = text.split(' ').map(Number);
          return { kind: 'transfer', from: account, to, amount: by, id, left, right };
        },
      };
    }
    case 'deposit':
      return { path: `/adding-${fleet}/account-${account}?by=${by}`, op: () => ({ kind: 'deposit', account, by }) };
    case 'put':
      return {
        path: `/noting-${fleet}/own/${notes[id % 2]}`,
        init: { method: 'PUT', body: `${id}` },
        status: 204,
        op: () => ({ kind: 'put', key: notes[id % 2] ?? '', value: `${id}` }),
      };
    case 'delete':
      return {
        path: `/noting-${fleet}/own/${notes[id % 2]}`,
        init: { method: 'DELETE' },
        status: 204,
        op: () => ({ kind: 'delete', key: notes[id % 2] ?? '' }),
      };
    case 'get':
      return { path: `/noting-${fleet}/own/${key}`, op: (text) => ({ kind: 'get', key, value: text === 'not there' ? null : text }) };
    case 'list':
      return { path: `/noting-${fleet}/own/`, op: (text) => ({ kind: 'list', keys: text.trimEnd().split('\n').join() }) };
  }
};

test('guarantee: transfers, increments, lists and notes at once are strictly serialisable, with conflicts, traps and kill -9 among them', async () => {
  const manifest = (grant: string, fleet: string) => ({ capabilities: { keyvalue: { [grant]: 'ledger' } }, guarantee: { retries: 5 }, capacity: { fleet } });
  const node = await mortal(async (first) => {
    for (const fleet of fleets) {
      await first.deploy(`moving-${fleet}`, 'transfer', manifest('', fleet));
      await first.deploy(`adding-${fleet}`, 'counter', manifest('', fleet));
      await first.deploy(`noting-${fleet}`, 'bucket', manifest('own', fleet));
    }
    for (let i = 0; i < accounts; i++) await first.api('PUT', `/v1/state/ledger/account-${i}`, Buffer.from('1000'));
  });
  const history: Recorded<LedgerOp>[] = [];
  const [clients, each] = [8, 15];
  let [ids, attempts, transfers] = [0, 0, 0];
  const client = async (): Promise<void> => {
    for (let i = 0; i < each; i++) {
      const id = ++ids;
      const { path, init = {}, status = 200, op } = ledgerOp(id);
      const begun = performance.now();
      const text = await askUntilDone(
        node,
        path,
        `t${id}`,
        init,
        (answer) => answer.status === status || (answer.status === 404 && answer.text === 'not there'),
      );
      const done = op(text);
      history.push({ begun, ended: performance.now(), op: done });
      if (done.kind === 'transfer') [attempts, transfers] = [attempts + Number(text.split(' ', 1)[0]), transfers + 1];
    }
  };
  await withKills(2, node, Array.from({ length: clients }, client), () => history.length / (clients * each));
  await node.end();
  assert.ok(attempts > transfers, `${attempts} attempts at ${transfers} transfers: the test must meet traps or conflicts`);
  const start = Object.fromEntries(Array.from({ length: accounts }, (_, i) => [`account-${i}`, '1000']));
  assert.ok(isLinearizable(history, start, bank), JSON.stringify(history));
});

const boardOp = (id: number): { path: string; op: (answer: number) => BoardOp } => {
  const [by, from] = [1 + (id % 9), Math.floor(Math.random() * 40)];
  switch (pick(['bump', 'bump', 'add', 'add', 'get', 'cas'] as const)) {
    case 'bump':
      return { path: `bump?hold=1&trap=${Math.random() < 0.2 ? 1 : 0}`, op: (value) => ({ kind: 'bump', value }) };
    case 'add':
      return { path: `add?by=${by}`, op: () => ({ kind: 'add', by }) };
    case 'get':
      return { path: 'get', op: (value) => ({ kind: 'get', value }) };
    case 'cas':
      return { path: `cas?from=${from}&to=${from + 1}`, op: (found) => ({ kind: 'cas', from, to: from + 1, found }) };
  }
};

test('guarantee: reads, writes, adds and swaps of a region are strictly serialisable, with conflicts, traps and kill -9 among them', async () => {
  const shared = [{ resource: 'board', kind: 'region', by: 'tenant' }];
  const node = await mortal(async (first) => {
    for (const fleet of fleets) await first.deploy(`board-${fleet}`, 'region', { shared, guarantee: { retries: 5 }, capacity: { fleet } });
  });
  const history: Recorded<BoardOp>[] = [];
  const [clients, each] = [8, 15];
  let ids = 0;
  const client = async (): Promise<void> => {
    for (let i = 0; i < each; i++) {
      const id = ++ids;
      const { path, op } = boardOp(id);
      const begun = performance.now();
      const text = await askUntilDone(node, `/board-${pick(fleets)}/${path}`, `b${id}`, {}, ({ status }) => status === 200);
      history.push({ begun, ended: performance.now(), op: op(Number(text)) });
    }
  };
  await withKills(2, node, Array.from({ length: clients }, client), () => history.length / (clients * each));
  await node.end();
  assert.ok(isLinearizable(history, 0, board), JSON.stringify(history));
});

test.run();
