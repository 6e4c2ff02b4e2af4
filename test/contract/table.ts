import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ErrorCode, Problem } from '../../host/base/errors.ts';
import type { Change, Entry, Page, ScanOptions, Table, Value, Write } from '../../host/store/table.ts';

/** Opens an empty table. `bytesMax` is at least 256 KiB. */
export type OpenTable = (options?: { bytesMax?: number }) => Promise<{ table: Table; close(): Promise<void> }>;

/** What every adapter of the `Table` port promises. The caller runs the tests. */
export function tableContract(adapter: string, open: OpenTable): void {
  const check = (behaviour: string, body: (table: Table) => Promise<void>, options?: { bytesMax?: number }) => {
    test(`${adapter}: ${behaviour}`, async () => {
      const { table, close } = await open(options);
      try {
        await body(table);
      } finally {
        await close();
      }
    });
  };
  records(check);
  scans(check);
  conflicts(check);
  races(check);
  watches(check);
  limits(check);
  model(check);
}

type Check = (behaviour: string, body: (table: Table) => Promise<void>, options?: { bytesMax?: number }) => void;

export async function rejects(action: Promise<unknown> | (() => unknown), code: ErrorCode): Promise<void> {
  let thrown: unknown;
  try {
    await (typeof action === 'function' ? action() : action);
  } catch (error) {
    thrown = error;
  }
  assert.is((thrown as Problem | undefined)?.code, code, `expected ${code}, got ${thrown}`);
}

const keysOf = (page: Page): string => page.entries.map(({ key }) => key).join(' ');

async function fill(table: Table, keys: string[]): Promise<void> {
  await table.commit(keys.map((key) => ({ key, put: `value of ${key}` })));
}

function records(check: Check): void {
  check('get: answers undefined for a key that was never put', async (table) => {
    assert.is(await table.get('nothing'), undefined);
  });

  check('get: returns JSON and bytes as they were put', async (table) => {
    const values: Value[] = [
      null,
      true,
      0,
      -1.5,
      '',
      'grüß 🌍',
      [],
      {},
      { a: [1, { b: null }] },
      JSON.parse('{"__proto__":1}'),
      new Uint8Array(0),
      Uint8Array.of(0, 1, 255),
    ];
    const { revision } = await table.commit(values.map((put, index) => ({ key: `k${index}`, put })));
    for (const [index, value] of values.entries()) assert.equal(await table.get(`k${index}`), { key: `k${index}`, value, revision });
  });

  check('get: hands out copies, and commit takes one', async (table) => {
    const bytes = Uint8Array.of(1, 2, 3);
    await table.commit([{ key: 'bytes', put: bytes }]);
    bytes[0] = 9;
    const first = (await table.get<Uint8Array>('bytes')) as Entry<Uint8Array>;
    first.value[1] = 9;
    assert.equal((await table.get<Uint8Array>('bytes'))?.value, Uint8Array.of(1, 2, 3));
  });

  check('commit: puts, overwrites and deletes', async (table) => {
    const one = await table.commit([{ key: 'a', put: 1 }]);
    const two = await table.commit([{ key: 'a', put: 2 }]);
    assert.ok(two.revision > one.revision);
    assert.equal(await table.get('a'), { key: 'a', value: 2, revision: two.revision });
    await table.commit([{ key: 'a', delete: true }]);
    assert.is(await table.get('a'), undefined);
    await table.commit([{ key: 'a', delete: true }]);
  });

  check('commit: gives revisions that grow over delete and recreate', async (table) => {
    let last = 0;
    for (let round = 0; round < 20; round++) {
      const { revision } = await table.commit([{ key: 'phoenix', put: round }]);
      assert.ok(revision > last);
      last = revision;
      if (round % 2) await table.commit([{ key: 'phoenix', delete: true }]);
    }
  });

  check('flush: resolves after commits, and without any', async (table) => {
    await table.flush();
    await table.commit([{ key: 'a', put: 1 }]);
    await table.flush();
  });
}

function scans(check: Check): void {
  const keys = ['a', 'a/1', 'a/10', 'a/2', 'b', 'b/\u0000', 'b/~', 'c', '\u0000', '\ufffd', '😀'];

  check('scan: orders keys by their UTF-8 bytes, both ways', async (table) => {
    await fill(table, keys);
    const expected = [...keys].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    assert.is(keysOf(await table.scan()), expected.join(' '));
    assert.is(keysOf(await table.scan({ reverse: true })), [...expected].reverse().join(' '));
  });

  check('scan: keeps to prefix, start and end', async (table) => {
    await fill(table, keys);
    const cases: [ScanOptions, string][] = [
      [{ prefix: 'a/' }, 'a/1 a/10 a/2'],
      [{ prefix: 'a/1' }, 'a/1 a/10'],
      [{ prefix: 'z' }, ''],
      [{ start: 'a/10', end: 'b' }, 'a/10 a/2'],
      [{ start: 'b', end: 'b' }, ''],
      [{ start: 'c', end: 'a' }, ''],
      [{ prefix: 'a/', start: 'a/10' }, 'a/10 a/2'],
      [{ prefix: 'a/', end: 'a/2', reverse: true }, 'a/10 a/1'],
      [{ start: 'a/10', end: 'b', reverse: true }, 'a/2 a/10'],
      [{ prefix: 'a', reverse: true, limit: 2 }, 'a/2 a/10'],
    ];
    for (const [options, expected] of cases) assert.is(keysOf(await table.scan(options)), expected, JSON.stringify(options));
  });

  check('scan: gives values and revisions with the keys', async (table) => {
    const { revision } = await table.commit([
      { key: 'a', put: Uint8Array.of(7) },
      { key: 'b', put: { x: 1 } },
    ]);
    const { entries } = await table.scan();
    assert.equal(entries, [
      { key: 'a', value: Uint8Array.of(7), revision },
      { key: 'b', value: { x: 1 }, revision },
    ]);
  });

  check('scan: goes through pages without gaps or repeats, both ways', async (table) => {
    const all = Array.from({ length: 57 }, (_, index) => `p/${String(index).padStart(3, '0')}`);
    await fill(table, [...all, 'o', 'q']);
    for (const reverse of [false, true]) {
      const seen: string[] = [];
      let pages = 0;
      for (let cursor: string | undefined, more = true; more; pages++) {
        const page: Page = await table.scan({ prefix: 'p/', limit: 10, reverse, ...(cursor === undefined ? {} : { cursor }) });
        seen.push(...page.entries.map(({ key }) => key));
        cursor = page.next;
        more = cursor !== undefined;
      }
      assert.equal(seen, reverse ? [...all].reverse() : all);
      assert.is(pages, 6);
    }
  });

  check('scan: has no next when the page ends with the last key', async (table) => {
    await fill(table, ['a', 'b', 'c']);
    assert.is((await table.scan({ limit: 3 })).next, undefined);
    assert.ok((await table.scan({ limit: 2 })).next);
  });

  check('scan: ends a page that has grown large', async (table) => {
    for (let index = 0; index < 6; index++) await table.commit([{ key: `large/${index}`, put: new Uint8Array(1024 * 1024) }]);
    const page = await table.scan({ limit: 1000 });
    assert.ok(page.entries.length >= 4 && page.entries.length < 6, `got ${page.entries.length} entries`);
    assert.is((await table.scan({ limit: 1000, cursor: page.next as string })).entries.length, 6 - page.entries.length);
  });
}

function conflicts(check: Check): void {
  check('commit: refuses what expects another revision', async (table) => {
    const { revision } = await table.commit([{ key: 'a', put: 1, expectRevision: 0 }]);
    await rejects(table.commit([{ key: 'a', put: 2, expectRevision: 0 }]), 'conflict');
    await rejects(table.commit([{ key: 'a', put: 2, expectRevision: revision - 1 }]), 'conflict');
    await rejects(table.commit([{ key: 'a', delete: true, expectRevision: revision + 1 }]), 'conflict');
    await rejects(table.commit([{ key: 'b', put: 2, expectRevision: revision }]), 'conflict');
    await table.commit([{ key: 'a', put: 2, expectRevision: revision }]);
    await rejects(table.commit([{ key: 'a', put: 3, expectRevision: revision }]), 'conflict');
    assert.is((await table.get('a'))?.value, 2);
  });

  check('commit: writes nothing when one expectation of many fails, wherever it stands', async (table) => {
    const { revision } = await table.commit(['a', 'b', 'c'].map((key) => ({ key, put: 'old' })));
    for (const wrong of ['a', 'b', 'c', 'new']) {
      const writes: Write[] = ['a', 'b', 'c'].map((key) => ({ key, put: 'changed', expectRevision: key === wrong ? 1 : revision }));
      writes.push({ key: 'new', put: 'made', expectRevision: wrong === 'new' ? 1 : 0 });
      await rejects(table.commit(writes), 'conflict');
      assert.equal(
        (await table.scan()).entries.map(({ key, value }) => `${key}=${value}`),
        ['a=old', 'b=old', 'c=old'],
      );
    }
  });

  check('commit: depends on a key that it only checks', async (table) => {
    const { revision } = await table.commit([{ key: 'read', put: 1 }]);
    await table.commit([
      { key: 'read', check: true, expectRevision: revision },
      { key: 'absent', check: true, expectRevision: 0 },
      { key: 'written', put: 1 },
    ]);
    assert.is((await table.get('read'))?.revision, revision);
    assert.is(await table.get('absent'), undefined);
    await table.commit([{ key: 'read', put: 2 }]);
    await rejects(
      table.commit([
        { key: 'written', put: 2 },
        { key: 'read', check: true, expectRevision: revision },
      ]),
      'conflict',
    );
    assert.is((await table.get('written'))?.value, 1);
  });
}

function races(check: Check): void {
  check('commit: lets exactly one of several that start from the same revision through', async (table) => {
    const { revision } = await table.commit([{ key: 'a', put: 'start' }]);
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => table.commit([{ key: 'a', put: index, expectRevision: revision }])));
    const winners = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []));
    assert.is(winners.length, 1);
    assert.is((await table.get('a'))?.value, winners[0]);
  });

  check('commit: lets writes without expectations all through, each with a revision of its own', async (table) => {
    const done = await Promise.all(Array.from({ length: 30 }, (_, index) => table.commit([{ key: 'a', put: index }])));
    const revisions = done.map(({ revision }) => revision);
    assert.is(new Set(revisions).size, 30);
    assert.is((await table.get('a'))?.revision, Math.max(...revisions));
  });

  check('commit: keeps sums over transfers that run at once', async (table) => {
    const accounts = ['a', 'b', 'c', 'd'];
    await table.commit(accounts.map((key) => ({ key, put: 100 })));
    const transfer = async (seed: number): Promise<void> => {
      const from = accounts[seed % 4] as string;
      const to = accounts[(seed + 1 + (seed >> 2)) % 4] as string;
      if (from === to) return;
      for (;;) {
        const [source, target] = [await table.get<number>(from), await table.get<number>(to)] as [Entry<number>, Entry<number>];
        try {
          await table.commit([
            { key: from, put: source.value - 1, expectRevision: source.revision },
            { key: to, put: target.value + 1, expectRevision: target.revision },
          ]);
          return;
        } catch (error) {
          if ((error as Problem).code !== 'conflict') throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: 60 }, (_, seed) => transfer(seed)));
    const { entries } = await table.scan<number>();
    assert.is(
      entries.reduce((sum, { value }) => sum + value, 0),
      400,
    );
  });
}

function watches(check: Check): void {
  check('watch: tells of puts and deletes below the prefix, and of nothing else', async (table) => {
    await table.commit([{ key: 'w/old', put: 0 }]);
    const changes: Change[] = [];
    const stop = table.watch('w/', (change) => changes.push(change));
    const { revision } = await table.commit([
      { key: 'w/new', put: 1 },
      { key: 'x/new', put: 1 },
    ]);
    await until(() => changes.length === 1);
    await table.commit([{ key: 'w/old', delete: true }]);
    await until(() => changes.length === 2);
    stop();
    await table.commit([{ key: 'w/late', put: 1 }]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(changes, [
      { key: 'w/new', entry: { key: 'w/new', value: 1, revision } },
      { key: 'w/old', entry: undefined },
    ]);
  });

  check('watch: always ends with the newest state', async (table) => {
    const newest = new Map<string, Value | undefined>();
    const stop = table.watch('', ({ key, entry }) => newest.set(key, entry?.value));
    for (let round = 0; round < 50; round++) await table.commit([{ key: `k${round % 3}`, put: round }]);
    await until(() => newest.get('k0') === 48 && newest.get('k1') === 49 && newest.get('k2') === 47);
    stop();
  });

  check('watch: says nothing of a commit that failed or only checked', async (table) => {
    const { revision } = await table.commit([{ key: 'a', put: 1 }]);
    let told = 0;
    const stop = table.watch('', () => told++);
    await rejects(table.commit([{ key: 'a', put: 2, expectRevision: 1 }]), 'conflict');
    await table.commit([{ key: 'a', check: true, expectRevision: revision }]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.is(told, 0);
    stop();
  });
}

function limits(check: Check): void {
  check('commit: refuses keys, values and revisions that are none', async (table) => {
    const refused: Write[] = [
      { key: '', put: 1 },
      { key: 'k'.repeat(1281), put: 1 },
      { key: 'ü'.repeat(641), put: 1 },
      { key: '\ud800', put: 1 },
      { key: 'a', put: undefined as unknown as Value },
      { key: 'a', put: new Uint8Array(1024 * 1024 + 1) },
      { key: 'a', put: 'x'.repeat(1024 * 1024) },
      { key: 'a', put: 1, expectRevision: -1 },
      { key: 'a', put: 1, expectRevision: 1.5 },
    ];
    for (const write of refused) await rejects(table.commit([write]), 'request-invalid');
    await rejects(table.commit([]), 'request-invalid');
    await rejects(
      table.commit([
        { key: 'a', put: 1 },
        { key: 'a', delete: true },
      ]),
      'request-invalid',
    );
    await rejects(table.commit(Array.from({ length: 513 }, (_, index) => ({ key: `k${index}`, put: 1 }))), 'request-invalid');
    await rejects(table.commit(Array.from({ length: 17 }, (_, index) => ({ key: `k${index}`, put: new Uint8Array(1024 * 1024) }))), 'request-invalid');
    assert.equal(await table.scan(), { entries: [] });
  });

  check('get, scan: refuse what is no key or no limit', async (table) => {
    await rejects(() => table.get(''), 'request-invalid');
    await rejects(() => table.scan({ limit: 0 }), 'request-invalid');
    await rejects(() => table.scan({ limit: 1001 }), 'request-invalid');
    await rejects(() => table.scan({ prefix: '\ud800' }), 'request-invalid');
  });

  check('commit: takes the longest key, the largest value and the most writes', async (table) => {
    const key = 'k'.repeat(1280);
    await table.commit([{ key, put: new Uint8Array(1024 * 1024).fill(3) }]);
    assert.is((await table.get<Uint8Array>(key))?.value.length, 1024 * 1024);
    assert.is((await table.get<Uint8Array>(key))?.value[1024 * 1024 - 1], 3);
    const { revision } = await table.commit(
      Array.from({ length: 512 }, (_, index) => ({ key: `${index}`.padStart(1280, '0'), put: index, expectRevision: 0 })),
    );
    assert.is((await table.get(`${511}`.padStart(1280, '0')))?.revision, revision);
    await rejects(
      table.commit(
        Array.from({ length: 512 }, (_, index) => ({ key: `${index}`.padStart(1280, '0'), put: 'x', expectRevision: index === 300 ? 5 : revision })),
      ),
      'conflict',
    );
    assert.is((await table.get(`${0}`.padStart(1280, '0')))?.value, 0);
  });

  check(
    'commit: refuses what the store has no room for, and still deletes',
    async (table) => {
      const put = new Uint8Array(60_000);
      let stored = 0;
      await rejects(async () => {
        for (; stored < 100; stored++) await table.commit([{ key: `f${stored}`, put }]);
      }, 'store-full');
      assert.ok(stored >= 8 && stored <= 17, `stored ${stored} × 60 kB in 1 MiB`);
      assert.is(await table.get(`f${stored}`), undefined);
      await table.commit([{ key: 'f0', put }]);
      await table.commit(Array.from({ length: 5 }, (_, index) => ({ key: `f${index}`, delete: true })));
      await table.commit([{ key: 'again', put }]);
      assert.ok(await table.get('again'));
    },
    { bytesMax: 1024 * 1024 },
  );
}

type Step = { write: 'put' | 'delete' | 'check'; key: string; expect: 'any' | 'right' | 'wrong' | 'absent' };

function model(check: Check): void {
  const key = fc.constantFrom('a', 'b', 'b/1', 'b/2', 'é', '😀');
  const step: fc.Arbitrary<Step> = fc.record({
    write: fc.constantFrom('put', 'delete', 'check'),
    key,
    expect: fc.constantFrom('any', 'right', 'right', 'wrong', 'absent'),
  });
  const commits = fc.array(fc.uniqueArray(step, { minLength: 1, maxLength: 4, selector: (one) => one.key }), { maxLength: 12 });

  check('commit: behaves like a map with revisions, whatever is committed', async (table) => {
    const run = async (history: Step[][]): Promise<void> => {
      const expected = new Map<string, { value: Value; revision: number }>();
      for (const entry of (await table.scan()).entries) expected.set(entry.key, entry);
      for (const steps of history) await replay(table, expected, steps);
      const { entries } = await table.scan();
      const wanted = [...expected].map(([name, { value, revision }]) => ({ key: name, value, revision }));
      wanted.sort((one, other) => Buffer.compare(Buffer.from(one.key), Buffer.from(other.key)));
      assert.equal(entries, wanted);
    };
    await fc.assert(fc.asyncProperty(commits, run), { numRuns: 40 });
  });
}

async function replay(table: Table, expected: Map<string, { value: Value; revision: number }>, steps: Step[]): Promise<void> {
  const writes = steps.map(({ write, key, expect }): Write => {
    const revision = expected.get(key)?.revision ?? 0;
    const expectRevision = { any: write === 'check' ? revision : undefined, right: revision, wrong: revision + 1, absent: 0 }[expect];
    if (write === 'check') return { key, check: true, expectRevision: expectRevision as number };
    return write === 'put' ? { key, put: `${key}${steps.length}`, expectRevision } : { key, delete: true, expectRevision };
  });
  const holds = writes.every(({ key, expectRevision }) => expectRevision === undefined || expectRevision === (expected.get(key)?.revision ?? 0));
  if (!holds) return rejects(table.commit(writes), 'conflict');
  const { revision } = await table.commit(writes);
  for (const write of writes) {
    if ('put' in write) expected.set(write.key, { value: write.put, revision });
    else if ('delete' in write) expected.delete(write.key);
  }
}

export async function until(holds: () => boolean, timeoutMs = 30_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`it did not come true within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
