import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanUp, startTestNode, type TestNode, until } from './node.ts';

let node: TestNode;
test.before(async () => {
  node = await startTestNode();
});
test.after(async () => {
  await node.end();
  cleanUp();
});

const manifest = (bucket: string, fleet = 'resident', guarantee: Record<string, unknown> = {}) => ({
  capabilities: { keyvalue: { '': bucket, 'own': bucket } },
  capacity: { fleet },
  guarantee,
});

type Answer = { status: number; text: string; execution: string | null; replayed: boolean; headers: Headers };
const send = async (path: string, key?: string, init: RequestInit = {}): Promise<Answer> => {
  const headers = { ...(key === undefined ? {} : { 'idempotency-key': key }), ...(init.headers as Record<string, string>) };
  const response = await fetch(node.url + path, { ...init, headers });
  const text = await response.text();
  return {
    status: response.status,
    text,
    execution: response.headers.get('nacelle-execution'),
    replayed: response.headers.has('idempotent-replayed'),
    headers: response.headers,
  };
};
const codeOf = ({ text }: Answer): string => (JSON.parse(text) as { code: string }).code;
const stored = async (bucket: string, key: string): Promise<string | undefined> => {
  const response = await node.api('GET', `/v1/state/${bucket}/${key}`);
  return response.ok ? response.text() : undefined;
};

/** The status that a request gets which announces a body and does not send it. */
const announce = (path: string, key: string, bytes: number): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const headers = { 'idempotency-key': key, 'content-length': bytes };
    const outgoing = request(node.url + path, { method: 'POST', headers, agent: false }, (incoming) => {
      resolve(incoming.statusCode);
      outgoing.destroy();
    });
    outgoing.on('error', reject);
    outgoing.flushHeaders();
  });

/** Executions that the node has begun, of all functions. */
const executions = async (): Promise<number> => {
  const text = await (await node.api('GET', '/metrics')).text();
  return [...text.matchAll(/^nacelle_executions_total\{[^}]*\} (\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
};

for (const fleet of ['resident', 'on-demand'] as const) {
  const name = `transfer-${fleet}`;
  const bucket = `bank-${fleet}`;
  const path = (query: string): string => `/${name}/?${query}`;

  test(`guarantee: a request with a key takes effect once, and its answer is repeated, ${fleet}`, async () => {
    await node.deploy(name, 'transfer', manifest(bucket, fleet));
    const first = await send(path('id=1&amount=10'), '"key-1"');
    assert.equal([first.status, first.text, first.replayed], [200, '1 990 1010 ', false]);
    for (const key of ['"key-1"', 'key-1']) {
      const again = await send(path('id=1&amount=10'), key);
      assert.equal([again.status, again.text, again.replayed, again.execution], [200, first.text, true, first.execution]);
    }
    assert.is(await stored(bucket, 'transfer-1'), '1');
    const record = await until(async () => {
      const found = await node.execution(first.execution);
      return found.duplicates === 2 ? found : undefined;
    }, 'the duplicates to be counted');
    assert.equal([record.key, record.runs, record.state, record.attempts?.length], ['key-1', 1, 'succeeded', 1]);
    assert.ok(record.timeline.some(({ step }) => step === 'committed'));
    const unkeyed = await send(path('id=2&amount=10'));
    assert.equal([unkeyed.text, unkeyed.replayed], ['0 980 1020 ', false]);
  });

  test(`guarantee: what a trapped attempt wrote is gone, and it is run again, ${fleet}`, async () => {
    const answer = await send(path('from=5&to=6&id=3&trap=2'), 'key-3');
    assert.equal([answer.status, answer.text], [200, '3 999 1001 ']);
    assert.equal([await stored(bucket, 'transfer-3'), await stored(bucket, 'account-5')], ['1', '999']);
    const { attempts } = await node.execution(answer.execution);
    assert.equal(
      attempts?.map(({ attempt, code }) => [attempt, code]),
      [
        [1, 'guest-trap'],
        [2, 'guest-trap'],
        [3, null],
      ],
    );
  });

  test(`guarantee: after the last attempt nothing is kept, and the same key may be tried again, ${fleet}`, async () => {
    await node.deploy(`${name}-once`, 'transfer', manifest(bucket, fleet, { retries: 1 }));
    for (let time = 0; time < 2; time++) {
      const answer = await send(`/${name}-once/?from=7&to=8&id=4&trap=9`, 'key-4');
      assert.equal([answer.status, codeOf(answer)], [502, 'execution-failed']);
      const record = await node.execution(answer.execution);
      assert.equal([record.state, record.code, record.attempts?.map(({ code }) => code)], ['failed', 'execution-failed', ['guest-trap', 'guest-trap']]);
    }
    assert.equal([await stored(bucket, 'transfer-4'), await stored(bucket, 'account-7')], [undefined, undefined]);
  });

  test(`guarantee: many at once on the same accounts all take effect, once, ${fleet}`, async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => send(path(`from=20&to=${21 + (i % 2)}&id=${100 + i}`), `many-${i}`)));
    assert.equal(
      answers.map(({ status }) => status),
      Array(40).fill(200),
    );
    assert.equal(await Promise.all([20, 21, 22].map((account) => stored(bucket, `account-${account}`))), ['960', '1020', '1020']);
  });
}

test('guarantee: while an execution is under way others with its key are refused, or wait for it', async () => {
  await node.deploy('slow', 'transfer', manifest('slow'));
  const wait = { headers: { prefer: 'respond-async, wait=20' } };
  // Which of them comes first is not known: the one that begins may be the only one that does not wait.
  let tries = 0;
  const answers = await until(async () => {
    const path = `/slow/?id=${++tries}&wait=500`;
    const all = await Promise.all([send(path, `slow-${tries}`, wait), send(path, `slow-${tries}`), send(path, `slow-${tries}`, wait)]);
    return all.some(({ status }) => status === 409) ? all : undefined;
  }, 'a refusal');
  const refused = answers.filter(({ status }) => status === 409);
  assert.equal(
    refused.map((answer) => [codeOf(answer), answer.headers.get('retry-after'), answer.headers.get('content-type')]),
    [['execution-conflict', '1', 'application/problem+json']],
  );
  const ended = answers.filter(({ status }) => status === 200);
  assert.equal(ended.map(({ replayed }) => replayed).sort(), [false, true]);
  assert.is(new Set(answers.map(({ execution }) => execution)).size, 1);
  assert.is(new Set(ended.map(({ text }) => text)).size, 1);
  assert.is(await stored('slow', `transfer-${tries}`), '1');
});

test('guarantee: of many requests with one key at once one is executed, whichever threads they arrive in', async () => {
  const before = await executions();
  for (const id of [2000, 2001, 2002]) {
    const all = Array.from({ length: 30 }, () => send(`/slow/?id=${id}&wait=${id === 2000 ? 300 : 0}`, `burst-${id}`, { headers: { prefer: 'wait=20' } }));
    const answers = await Promise.all(all);
    assert.equal([...new Set(answers.map(({ status }) => status))], [200]);
    assert.is(new Set(answers.map(({ execution }) => execution)).size, 1);
    assert.is(answers.filter(({ replayed }) => !replayed).length, 1);
  }
  assert.is((await executions()) - before, 3);
});

for (const fleet of ['resident', 'on-demand'] as const)
  test(`guarantee: executions that last as long as it takes to tell of them are run once and answered at once, ${fleet}`, async () => {
    await node.deploy(`burn-${fleet}`, 'burn', { capacity: { fleet }, guarantee: { leaseMs: 20_000 } });
    const before = performance.now();
    const answers: Answer[] = [];
    for (let i = 0; i < 60; i++) answers.push(await send(`/burn-${fleet}/?ms=${2 + (i % 4)}`, `burn-${fleet}-${i}`));
    assert.equal([...new Set(answers.map(({ status }) => status))], [200]);
    assert.ok(performance.now() - before < 15_000, 'none waits for the end of a lease');
    const records = await Promise.all(answers.map(({ execution }) => node.execution(execution)));
    assert.equal([...new Set(records.map(({ attempts }) => attempts?.length))], [1]);
  });

test('guarantee: a client that goes away does not end what it began', async () => {
  const leaving = new AbortController();
  const gone = send('/slow/?id=1000&wait=500', 'gone', { signal: leaving.signal }).catch(() => undefined);
  setTimeout(() => leaving.abort(), 150);
  await gone;
  const answer = await send('/slow/?id=1000&wait=500', 'gone', { headers: { prefer: 'wait=10' } });
  assert.is(answer.status, 200);
  assert.is(await stored('slow', 'transfer-1000'), '1');
});

test('guarantee: runs says how many executions with a key take effect', async () => {
  await node.deploy('thrice', 'transfer', manifest('thrice', 'resident', { runs: 3 }));
  const answers: Answer[] = [];
  for (let i = 0; i < 5; i++) answers.push(await send('/thrice/?id=1', 'same'));
  assert.equal(
    answers.map(({ text }) => text),
    ['1 999 1001 ', '1 998 1002 ', '1 997 1003 ', '1 997 1003 ', '1 997 1003 '],
  );
  assert.equal(
    answers.map(({ replayed }) => replayed),
    [false, false, false, true, true],
  );
  assert.is(await stored('thrice', 'transfer-1'), '3');
});

test('guarantee: a key stands for one request of one caller', async () => {
  await node.deploy('mine', 'transfer', manifest('mine'));
  const post = (body: string, more: Record<string, string> = {}) => send('/mine/?id=1', 'k', { method: 'POST', body, headers: more });
  const first = await post('one');
  assert.is(first.status, 200);
  for (const other of [await post('two'), await send('/mine/?id=1', 'k'), await send('/mine/?id=2', 'k', { method: 'POST', body: 'one' })]) {
    assert.equal([other.status, codeOf(other)], [422, 'execution-mismatch']);
  }
  const someoneElse = await post('two', { authorization: 'Bearer other' });
  assert.equal([someoneElse.status, someoneElse.replayed], [200, false]);
  assert.ok((await post('one')).replayed);
  assert.is(await stored('mine', 'transfer-1'), '2');
});

test('guarantee: keys of wrong form or size are refused, and mean nothing to functions without a guarantee', async () => {
  for (const key of ['two words', '"open', 'a,b', `"${'x'.repeat(256)}"`, '""', '"tab\there"', 'ü']) {
    const answer = await send('/mine/?id=1', key.includes('ü') ? Buffer.from(key).toString('latin1') : key);
    assert.equal([answer.status, codeOf(answer), answer.headers.get('content-type')], [400, 'request-invalid', 'application/problem+json'], key);
  }
  const both = await send('/mine/?id=1', 'a', { headers: { 'nacelle-execution-id': 'b' } });
  assert.is(both.status, 400);
  const escaped = await send('/mine/?id=9', String.raw`"say \"hi\" \\"`);
  assert.is((await node.execution(escaped.execution)).key, String.raw`say "hi" \ `.trim());
  await node.deploy('plain', 'transfer', { capabilities: { keyvalue: { '': 'plain' } }, capacity: { fleet: 'resident' } });
  assert.equal([(await send('/plain/?id=1', 'two words')).text, (await send('/plain/?id=1', 'two words')).text], ['0 999 1001 ', '0 998 1002 ']);
});

test('guarantee: a request with a key is not answered later', async () => {
  await node.deploy('later', 'transfer', manifest('later'));
  const answer = await send('/later/?amount=1', 'key-later', { headers: { prefer: 'respond-async' } });
  assert.equal([answer.status, codeOf(answer)], [400, 'request-invalid']);
  assert.is((await send('/later/?amount=1', 'key-later')).text, '1 999 1001 ', 'and nothing was executed');
});

test('guarantee: an answer is a success, whatever its status', async () => {
  const first = await send('/mine/?id=50&status=500', 'server-error');
  const again = await send('/mine/?id=50&status=500', 'server-error');
  assert.equal([first.status, again.status, again.replayed, again.text], [500, 500, true, first.text]);
  assert.is(await stored('mine', 'transfer-50'), '1');
});

test('guarantee: large requests and responses are kept and repeated whole', async () => {
  const body = 'b'.repeat(300_000);
  const ask = () => send('/mine/?id=60&pad=400000', 'large', { method: 'POST', body });
  const [first, again] = [await ask(), await ask()];
  assert.equal([first.status, first.text.length > 400_000, again.replayed], [200, true, true]);
  assert.ok(again.text === first.text);
  assert.is(await announce('/mine/?id=61', 'too-large', 9 * 1024 * 1024), 413);
  assert.is(await stored('mine', 'transfer-61'), undefined);
});

test('guarantee: an answer to HEAD has no body, first and later', async () => {
  for (let i = 0; i < 2; i++) {
    const answer = await send('/mine/?id=70', 'head', { method: 'HEAD' });
    assert.equal([answer.status, answer.text], [200, '']);
  }
  assert.is(await stored('mine', 'transfer-70'), '1');
});

test('guarantee: an execution that does more than a commit has room for fails, and keeps nothing', async () => {
  const answer = await send('/mine/?id=80&fill=500', 'too-much');
  assert.is(codeOf(answer), 'execution-failed');
  assert.is(await stored('mine', 'transfer-80'), undefined);
  assert.is((await send('/mine/?id=81&fill=300', 'enough')).status, 200);
});

test('guarantee: a function that may send requests is refused unless its manifest takes them out of the guarantee', async () => {
  const http = { capabilities: { http: ['127.0.0.1'] }, guarantee: {} };
  const refused = await node.deploy('sender', 'caller', http).then(
    () => '',
    (error: Error) => error.message,
  );
  assert.match(refused, '422');
  assert.match(refused, 'guarantee-irreversible');
  assert.match(refused, 'wasi:http/outgoing-handler@0.2');
  await node.deploy('sender', 'caller', { ...http, guarantee: { outbound: 'allow' } });
});

test('guarantee: a request that is sent again at the next attempt carries the key that it had before', async () => {
  const keys: (string | undefined)[] = [];
  const service = createServer((incoming, outgoing) => {
    keys.push(incoming.headers['idempotency-key'] as string | undefined);
    if (keys.length > 1) outgoing.end('served');
  });
  await new Promise<void>((listening) => service.listen(0, '127.0.0.1', () => listening()));
  const authority = `127.0.0.1:${(service.address() as AddressInfo).port}`;
  try {
    await node.deploy('again', 'caller', { capabilities: { http: [authority] }, guarantee: { outbound: 'allow' }, limits: { timeMs: 1500 } });
    const answer = await send(`/again/http://${authority}/`, 'outbound');
    assert.equal([answer.status, answer.text], [200, 'served']);
    assert.match(keys[0] as string, new RegExp(`^"${answer.execution}-[\\w-]+-1"$`));
    assert.equal(keys, [keys[0], keys[0]]);
    await send(`/again/http://${authority}/`, 'another');
    assert.is(new Set(keys).size, 2);
  } finally {
    service.closeAllConnections();
    service.close();
  }
});

test('guarantee: what was removed and deployed anew does not know the keys of before', async () => {
  await node.deploy('brief', 'transfer', manifest('brief'));
  assert.is((await send('/brief/?id=1', 'k')).text, '1 999 1001 ');
  await node.api('DELETE', '/v1/functions/brief');
  await node.deploy('brief', 'transfer', manifest('brief'));
  const answer = await send('/brief/?id=1', 'k');
  assert.equal([answer.text, answer.replayed], ['1 998 1002 ', false]);
});

test('guarantee: a store that gets full in between takes an execution whole or refuses it whole', async () => {
  const full = await startTestNode({ args: ['--store-bytes-max', String(3 * 1024 * 1024)] });
  await full.deploy('bank', 'transfer', manifest('bank'));
  const ask = (id: number) => fetch(`${full.url}/bank/?id=${id}&pad=40000`, { headers: { 'idempotency-key': `k${id}` } });
  const statuses: number[] = [];
  while (statuses.length < 200 && statuses.filter((status) => status === 507).length < 3) {
    const response = await ask(statuses.length);
    await response.text();
    statuses.push(response.status);
  }
  assert.equal(statuses.slice(-3), [507, 507, 507]);
  const done = statuses.filter((status) => status === 200).length;
  assert.is(done, statuses.length - 3);
  const { items } = (await (await full.api('GET', '/v1/state/bank?prefix=transfer-&limit=100')).json()) as { items: unknown[] };
  assert.is(items.length, done);
  assert.is(await (await full.api('GET', '/v1/state/bank/account-0')).text(), String(1000 - done));
  assert.is((await ask(0)).headers.get('idempotent-replayed'), 'true');
  await full.end();
});

test.run();
