import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { FuncType, TypeDef, TypeRef } from '../../host/component/plan.ts';
import { HostSignatures } from '../../host/component/wit/signatures.ts';

/** A reference with everything that it refers to. */
function whole(signatures: HostSignatures, type: TypeRef | null): unknown {
  if (type === null || typeof type === 'string') return type;
  const definition = signatures.types[type] as TypeDef;
  if ('resource' in definition) return { [definition.kind]: signatures.resources[definition.resource] };
  return JSON.parse(JSON.stringify(definition), (_, value) => (typeof value === 'number' ? whole(signatures, value) : value));
}

function signature(signatures: HostSignatures, of: string, name: string): unknown {
  const found: FuncType | undefined = signatures.interfaces.get(of)?.get(name);
  if (!found) return undefined;
  const { params, result } = found;
  return [...params.map(([param, type]) => [param, whole(signatures, type)]), whole(signatures, result)];
}

const small = `
  // a comment
  package test:small@1.2.3-draft.4;
  /* another */
  interface later { use types.{thing as item, level}; take: func(item: item, %type: level) -> result<_, own-name>; type own-name = string; }
  @since(version = 0.2.0)
  interface types {
    resource thing {
      constructor(size: u32);
      @unstable(feature = extra)
      name: func() -> option<string>;
      merge: static func(one: thing, two: borrow<thing>,) -> tuple<thing, result>;
    }
    enum level { low, high, }
    flags marks { a, b }
    record pair { left: marks, right: list<pair-item> }
    variant pair-item { none, some-of(char) }
    sum: func(pair: pair);
    resource empty;
  }
  world ignored { import types; export later; include other:world/all@0.1.0; }
`;

test('HostSignatures: resolves uses, renames, aliases and forward references', () => {
  const signatures = new HostSignatures([small]);
  assert.equal(signature(signatures, 'test:small/later', 'take'), [
    ['item', { own: 'test:small/types#thing' }],
    ['type', { kind: 'enum', cases: ['low', 'high'] }],
    { kind: 'result', ok: null, err: 'string' },
  ]);
  assert.is(signatures.versions.get('test:small/later'), '1.2.3-draft.4');
});

test('HostSignatures: names functions of resources as components do', () => {
  const signatures = new HostSignatures([small]);
  assert.equal([...(signatures.interfaces.get('test:small/types')?.keys() ?? [])], ['[constructor]thing', '[method]thing.name', '[static]thing.merge', 'sum']);
  assert.equal(signature(signatures, 'test:small/types', '[constructor]thing'), [['size', 'u32'], { own: 'test:small/types#thing' }]);
  assert.equal(signature(signatures, 'test:small/types', '[method]thing.name'), [
    ['self', { borrow: 'test:small/types#thing' }],
    { kind: 'option', type: 'string' },
  ]);
  assert.equal(signature(signatures, 'test:small/types', '[static]thing.merge'), [
    ['one', { own: 'test:small/types#thing' }],
    ['two', { borrow: 'test:small/types#thing' }],
    { kind: 'tuple', items: [{ own: 'test:small/types#thing' }, { kind: 'result', ok: null, err: null }] },
  ]);
});

test('HostSignatures: reads nested packages', () => {
  const signatures = new HostSignatures([
    'package a:b; package c:d@1.0.0 { interface e { type t = u8; } } interface f { use c:d/e@1.0.0.{t}; g: func() -> t; }',
  ]);
  assert.equal(signature(signatures, 'a:b/f', 'g'), ['u8']);
});

test('HostSignatures: says where it does not understand', () => {
  const refused = (text: string, message: RegExp): void => assert.throws(() => new HostSignatures([text]), message);
  refused('package a:b;\ninterface c {\n d: func(;\n}', /at line 3: a name is wanted/);
  refused('package a:b; interface c { d: func() -> stream<u8>; }', /"stream" is no known type/);
  refused('package a:b; interface c { type d = e; type e = d; f: func() -> d; }', /a:b\/c#[de] is defined by itself/);
  refused('package a:b; interface c { f: func() -> d; }', /a:b\/c#d is not defined/);
  refused('package a:b; interface c { use d.{e}; f: func() -> e; }', /the WIT interface a:b\/d, which a:b\/c uses, is not there/);
  refused('package a:b; interface c {', /ends too early/);
  refused('package a:b; nonsense', /"nonsense" is not known here/);
  refused('package a:b; interface c { ! }', /cannot read the WIT text "! }"/);
});

const builtin = new URL('../lib/wit/builtin/', import.meta.resolve('@bytecodealliance/jco'));
const release = (version: string): string[] =>
  readdirSync(new URL(`${version}/`, builtin)).map((name) => readFileSync(new URL(`${version}/${name}/package.wit`, builtin), 'utf8'));

test('HostSignatures: what an older release of WASI 0.2 has is the same in the newest', () => {
  const newest = new HostSignatures(release('0.2.12'));
  const older = new HostSignatures(release('0.2.10'));
  assert.ok(older.interfaces.size >= 10);
  const inJcoOnly = '[method]network.noop';
  for (const [name, functions] of older.interfaces) {
    for (const func of functions.keys()) if (func !== inJcoOnly) assert.equal(signature(older, name, func), signature(newest, name, func), `${name} ${func}`);
  }
});

test('HostSignatures: knows the whole of wasi:http 0.2', () => {
  const newest = new HostSignatures(release('0.2.12'));
  assert.is(newest.interfaces.get('wasi:http/types')?.size, 52);
  assert.equal(signature(newest, 'wasi:io/streams', '[method]input-stream.blocking-read'), [
    ['self', { borrow: 'wasi:io/streams#input-stream' }],
    ['len', 'u64'],
    {
      kind: 'result',
      ok: { kind: 'list', element: 'u8' },
      err: {
        kind: 'variant',
        cases: [
          ['last-operation-failed', { own: 'wasi:io/error#error' }],
          ['closed', null],
        ],
      },
    },
  ]);
});

test.run();
