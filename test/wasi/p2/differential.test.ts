import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cli, clocks, filesystem, random, http as shimHttp } from '@bytecodealliance/preview2-shim';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Err } from '../../../host/base/result.ts';
import { beginTeardown } from '../../../host/wasi/p2/index.ts';
import { bytes, call, makeContext, makeGuest, type Value } from '../guest.ts';

/** The same calls against our tables and against preview2-shim, which must answer alike. */

const context = makeContext({ env: Object.entries(process.env) as [string, string][], scratch: true, scratchBytesMax: 1_000_000 });
const { http } = makeGuest(context);

/** A result of ours as the shim gives it: the value, or what it throws. */
const ours = (result: Value): Value => (result instanceof Err ? { error: result.value } : { value: result });

function theirs(run: () => Value): Value {
  try {
    return { value: run() };
  } catch (error) {
    return { error };
  }
}

const name = fc.constantFrom('a', 'A', 'b', 'content-type', 'Content-Type', 'x y', '', 'caf\u00e9', 'host', 'keep-alive', 'Connection');
const value = fc.constantFrom('', '1', 'text/plain', 'a b', 'line\nbreak', '\0').map(bytes);
const step = fc.oneof(
  fc.record({ func: fc.constant('append'), name, value }),
  // After a set to no values at all the shim still says that the name is present.
  fc.record({ func: fc.constant('set'), name, values: fc.array(value, { minLength: 1, maxLength: 3 }) }),
  // The shim checks neither syntax nor permission of a name that is deleted.
  fc.record({ func: fc.constant('delete'), name: fc.constantFrom('a', 'A', 'b', 'Content-Type') }),
  fc.record({ func: fc.constantFrom('get', 'has'), name }),
  fc.record({ func: fc.constant('entries') }),
);

type Step = { func: string; name?: string; value?: Uint8Array; values?: Uint8Array[] };

const parametersOf = ({ name, value, values }: Step) => [name, value, values].filter((parameter) => parameter !== undefined);

/** The shim keeps the case of names; WASI allows both. */
const lower = (outcome: Value): Value =>
  Array.isArray(outcome.value) && Array.isArray(outcome.value[0])
    ? { value: outcome.value.map(([key, val]: [string, Uint8Array]) => [key.toLowerCase(), val]) }
    : outcome;

/** If a pair is wrong in two ways, either may be told. */
const refused = (outcome: Value): Value => ('error' in outcome ? { error: 'refused' } : lower(outcome));

const plain = (outcome: Value) => JSON.stringify(refused(outcome), (_key, val) => (val instanceof Uint8Array ? [...val] : val));

test('fields: answer every sequence of calls as the shim does', () => {
  const Fields = shimHttp.types.Fields as Value;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps: Step[]) => {
      const mine = http('[constructor]fields');
      const other = new Fields();
      for (const current of steps) {
        const mineSays = ours(http(`[method]fields.${current.func}`, mine, ...parametersOf(current)));
        const otherSays = theirs(() => other[current.func](...parametersOf(current)));
        assert.is(plain(mineSays), plain(otherSays), JSON.stringify(current));
      }
    }),
    { numRuns: 500 },
  );
});

test('from-list and clone: give what the shim gives', () => {
  const Fields = shimHttp.types.Fields as Value;
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 5 }), (entries) => {
      const copy = entries.map(([key, val]) => [key, val]);
      const mine = ours(http('[static]fields.from-list', copy));
      const other = theirs(() => Fields.fromList(entries));
      assert.is('error' in mine, 'error' in other);
      if ('error' in mine) return;
      assert.is(plain({ value: http('[method]fields.entries', http('[method]fields.clone', mine.value)) }), plain({ value: other.value.clone().entries() }));
    }),
    { numRuns: 500 },
  );
});

test('setters of outgoing-request: accept what the shim accepts', () => {
  const types = shimHttp.types as Value;
  const cases: [string, string, Value[]][] = [
    ['set-method', 'setMethod', [{ tag: 'get' }, { tag: 'other', val: 'PURGE' }, { tag: 'other', val: 'a b' }, { tag: 'other', val: '' }]],
    ['set-path-with-query', 'setPathWithQuery', ['/', '/a?b=c', '/%20', '/a b', '/\n', undefined]],
    [
      'set-scheme',
      'setScheme',
      [{ tag: 'HTTP' }, { tag: 'HTTPS' }, { tag: 'other', val: 'ftp' }, { tag: 'other', val: '' }, { tag: 'other', val: ' ' }, undefined],
    ],
    ['set-authority', 'setAuthority', ['example.com', 'example.com:80', 'example.com:99999', 'a:b', 'a b', 'user@host', undefined]],
  ];
  for (const [func, method, values] of cases) {
    for (const val of values) {
      const mine = ours(http(`[method]outgoing-request.${func}`, http('[constructor]outgoing-request', http('[constructor]fields')), val));
      const other = theirs(() => new types.OutgoingRequest(new types.Fields())[method](val));
      assert.is('error' in mine, 'error' in other, `${func} ${JSON.stringify(val)}`);
    }
  }
});

test('clocks: read the same time', () => {
  const before = clocks.monotonicClock.now();
  const mine = call(context, 'wasi:clocks/monotonic-clock', 'now');
  assert.ok(mine >= before && clocks.monotonicClock.now() >= mine);
  assert.is(call(context, 'wasi:clocks/monotonic-clock', 'resolution'), clocks.monotonicClock.resolution());
  const wall = call(context, 'wasi:clocks/wall-clock', 'now');
  assert.ok(Math.abs(Number(wall.seconds) - Number(clocks.wallClock.now().seconds)) <= 1);
  assert.is(call(context, 'wasi:clocks/wall-clock', 'resolution').nanoseconds, clocks.wallClock.resolution().nanoseconds);
});

test('random: the same shapes', () => {
  for (const length of [0n, 1n, 300n])
    assert.is(call(context, 'wasi:random/random', 'get-random-bytes', length).length, random.random.getRandomBytes(length).length);
  assert.is(typeof call(context, 'wasi:random/random', 'get-random-u64'), typeof random.random.getRandomU64());
  assert.is(call(context, 'wasi:random/insecure-seed', 'insecure-seed').length, random.insecureSeed.insecureSeed().length);
});

test('environment: the same pairs', () => {
  assert.equal(call(context, 'wasi:cli/environment', 'get-environment'), cli.environment.getEnvironment());
});

const path = fc.constantFrom('a', 'b', 'c', 'a/b', 'b/c', 'a/b/c', './a', '..', '/a', '../a');
const command = fc.oneof(
  fc.record({ func: fc.constantFrom('create-directory-at', 'remove-directory-at', 'unlink-file-at', 'stat-at', 'read', 'write'), path }),
  fc.record({ func: fc.constant('rename-at'), path, to: path }),
);

type Command = { func: string; path: string; to?: string };

function runOurs(root: Value, { func, path: at, to }: Command): Value {
  const fs = (name: string, self: Value, ...parameters: Value[]) =>
    ours(call(context, 'wasi:filesystem/types', `[method]descriptor.${name}`, self, ...parameters));
  if (func === 'stat-at') return summary(fs(func, root, 0, at));
  if (func === 'rename-at') return anyError(fs(func, root, at, root, to));
  if (func !== 'read' && func !== 'write') return fs(func, root, at);
  const file = fs('open-at', root, 0, at, func === 'write' ? 9 : 0, func === 'write' ? 2 : 1);
  if ('error' in file) return file;
  if (func === 'write') return { value: Number(fs('write', file.value, bytes(at), 0n).value) };
  const chunk = fs('read', file.value, 100n, 0n);
  return 'error' in chunk ? { error: 'unreadable' } : { value: [...chunk.value[0]] };
}

function runTheirs(root: Value, { func, path: at, to }: Command): Value {
  if (func === 'stat-at') return summary(theirs(() => root.statAt({}, at)));
  if (func === 'rename-at') return anyError(theirs(() => root.renameAt(at, root, to)));
  if (func === 'create-directory-at') return theirs(() => root.createDirectoryAt(at));
  if (func === 'remove-directory-at') return theirs(() => root.removeDirectoryAt(at));
  if (func === 'unlink-file-at') return theirs(() => root.unlinkFileAt(at));
  const file = theirs(() => root.openAt({}, at, func === 'write' ? { create: true, truncate: true } : {}, func === 'write' ? { write: true } : { read: true }));
  if ('error' in file) return file;
  const outcome = func === 'write' ? theirs(() => Number(file.value.write(bytes(at), 0n))) : theirs(() => [...file.value.read(100n, 0n)[0]]);
  file.value[Symbol.dispose]();
  return 'error' in outcome ? { error: 'unreadable' } : outcome;
}

/** Of two bad paths either may be told. */
const anyError = (outcome: Value): Value => ('error' in outcome ? { error: 'some' } : outcome);

function summary(outcome: Value): Value {
  if ('error' in outcome) return outcome;
  return { value: outcome.value.type === 'directory' ? 'directory' : `file of ${outcome.value.size}` };
}

test('filesystem: the scratch directory behaves as a directory of the host does', () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 25 }), (commands: Command[]) => {
      const folder = mkdtempSync(join(tmpdir(), 'nacelle-test-'));
      try {
        beginTeardown(context);
        context.local.clear();
        const [[mine]] = call(context, 'wasi:filesystem/preopens', 'get-directories');
        (filesystem as Value)._setPreopens({ '/': folder });
        const other = filesystem.preopens.getDirectories()[0]?.[0];
        for (const current of commands) assert.equal(runOurs(mine, current), runTheirs(other, current), JSON.stringify(current));
      } finally {
        rmSync(folder, { recursive: true });
      }
    }),
    { numRuns: 100 },
  );
});

test.run();
