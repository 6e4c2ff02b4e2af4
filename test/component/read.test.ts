import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Reader, Writer } from '../../host/component/binary.ts';
import { readComponent } from '../../host/component/elaborate.ts';
import { threadCpuMs } from '../../host/instance/thread-cpu.ts';
import { assertRefused, binaryOf, planOf, refusalOf } from './wat.ts';

const preamble = [0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0];
const hello = new Uint8Array(readFileSync(new URL('../../fixtures/hello.wasm', import.meta.url)));

/** A component of one section. */
function withSection(id: number, ...contents: number[]): Uint8Array {
  return new Writer().raw(preamble).section(id, Uint8Array.from(contents)).bytes;
}

const text = (name: string): number[] => [name.length, ...Buffer.from(name)];

test('readComponent: tells apart what is no component', async () => {
  assert.match(refusalOf(new Uint8Array()), /it is empty/);
  assert.match(refusalOf(Buffer.from('#!/bin/sh')), /begins with the bytes 00 61 73 6d, this with 23 21 2f 62/);
  assert.match(refusalOf(Uint8Array.from([0, 0x61])), /truncated after 2 bytes/);
  assert.match(refusalOf(Uint8Array.from([0, 0x62])), /this with 00 62/);
  assert.match(refusalOf(Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])), /cannot run a core module: it must be a component/);
  assert.match(refusalOf(Uint8Array.from([0, 0x61, 0x73, 0x6d, 0x0c, 0, 1, 0])), /format version 13 is supported, got 12/);
  assert.match(refusalOf(await binaryOf('(module)')), /cannot run a core module/);
});

test('readComponent: says where a truncated file ends', () => {
  assert.match(refusalOf(hello.subarray(0, 5000)), /at byte \d+: the component is truncated: a [a-z ]+ section of \d+ bytes has \d+/);
});

test('readComponent: a component that is cut off within a section is refused', () => {
  const ends = new Set([8]);
  const reader = new Reader(hello, 8);
  for (const { contents } of reader.sections()) ends.add(contents.end);
  for (let length = 0; length < hello.length; length += 3)
    assert.is(refusalOf(hello.subarray(0, length)) === 'accepted' && !ends.has(length), false, `cut at ${length}`);
});

test('readComponent: reads names of every kind', () => {
  const funcType = [0x01, 0x40, 0x00, 0x01, 0x00];
  const imported = (name: number[]): string => {
    const bytes = new Writer()
      .raw(preamble)
      .section(7, Uint8Array.from([0x01, 0x42, 0x00]))
      .section(10, Uint8Array.from([1, ...name, 0x05, 0])).bytes;
    return readComponent(Uint8Array.from(bytes)).imports[0]?.interface ?? '';
  };
  assert.is(imported([0, ...text('a:b/c@0.2.3')]), 'a:b/c@0.2.3');
  assert.is(imported([1, ...text('a:b/c@0.2.3')]), 'a:b/c@0.2.3', 'as before September 2024');
  assert.is(imported([2, ...text('a:b/c@0.2'), 1, 1, ...text('.3')]), 'a:b/c@0.2.3', 'with a version suffix');
  assert.is(imported([2, ...text('mine'), 1, 0, ...text('a:b/c')]), 'a:b/c', 'by what it implements');
  assert.match(refusalOf(withSection(10, 1, 0, ...text('a\x1b[2J'), 5, 0)), /must be of printable ASCII characters/);
  assert.match(refusalOf(withSection(10, 1, 0, 0, 5, 0)), /must be of printable ASCII characters/);
  assert.match(refusalOf(withSection(10, 1, 3, ...text('x'), 5, 0)), /the kind of a name must be 0, 1 or 2, got 3/);
  assert.is(refusalOf(withSection(7, ...funcType)), 'accepted');
});

test('readComponent: refuses sections and forms that it does not know', () => {
  assert.match(refusalOf(withSection(9, 0, 0, 0)), /a component start section is not supported/);
  assert.match(refusalOf(withSection(12, 0)), /a component value section is not supported/);
  assert.match(refusalOf(withSection(40)), /unknown section 40/);
  assert.match(refusalOf(withSection(7, 1, 0x5a)), /unknown type form 90/);
  assert.match(refusalOf(withSection(7, 1, 0x6e, 0)), /there must be at least one of the flags/);
  assert.match(refusalOf(withSection(7, 1, 0x72, 0)), /a record must have at least one item/);
  assert.match(refusalOf(withSection(7, 1, 0x6d, 2, ...text('a-b'), ...text('A-b'))), /two cases are named "A-b"/);
  assert.match(refusalOf(withSection(7, 1, 0x6d, 1, ...text('__proto__'))), /a label must be in kebab case, got "__proto__"/);
  assert.match(refusalOf(withSection(7, 1, 0x40, 0, 0x01, 0x01, ...text('a'), 0x7f)), /one result without a name, or none/);
  assert.match(refusalOf(withSection(7, 1, 0x3f, 0x7e, 0)), /a resource must be represented as i32/);
  assert.match(refusalOf(withSection(7, 2, 0x7f)), /2 definitions of the type section are announced, 1 bytes are left/);
  assert.match(refusalOf(withSection(7, 1, 0x7f, 0x7f)), /1 bytes are left over after the type section/);
  assert.match(refusalOf(withSection(8, 1, 0x77)), /unknown canonical function 119/);
});

test('readComponent: refuses what only asynchronous components have, but only where it is used', async () => {
  assert.match(refusalOf(withSection(8, 1, 0x1f)), /a task built-in \(asynchronous components, WASI 0\.3\) is not supported yet/);
  assert.match(refusalOf(withSection(8, 1, 0x0e, 0)), /a stream built-in/);
  assert.match(refusalOf(withSection(7, 1, 0x43, 0, 1, 0)), /an async function \(asynchronous components, WASI 0\.3\) is not supported yet/);
  assert.match(refusalOf(withSection(7, 1, 0x66, 0)), /a stream/);
  await assertRefused(
    '(component (import "wasi:http/types@0.3.0" (instance (type (future u8)))))',
    /imports "wasi:http\/types@0\.3\.0": WASI 0\.3 is not supported yet; build it for 0\.2/,
  );
  await planOf('(component (type (instance (type (stream u8)) (export "f" (type (eq 0))))))');
});

test('readComponent: refuses nesting and counts beyond its limits', async () => {
  const nested = (depth: number): string => '(component '.repeat(depth) + ')'.repeat(depth);
  await planOf(nested(32));
  await assertRefused(nested(40), /nesting deeper than 32 is not allowed/);
  await assertRefused(`(component ${'(core module)'.repeat(201)})`, /at most 200 core modules are allowed/);
  assert.match(refusalOf(withSection(7, 0xff, 0xff, 0xff, 0xff, 0x0f)), /at most 1000000 definitions of the type section are allowed, got 4294967295/);
});

test('readComponent: damaged components are refused with a problem, in bounded time', () => {
  const edit = fc.tuple(fc.nat(hello.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 8 }), (edits) => {
      const bytes = Uint8Array.from(hello);
      for (const [at, value] of edits) bytes[at] = value;
      const started = threadCpuMs();
      refusalOf(bytes);
      return threadCpuMs() - started < 1_000;
    }),
    { numRuns: 3_000 },
  );
});

test('readComponent: any bytes behind a preamble are refused with a problem', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(2, 4, 5, 6, 7, 8, 10, 11), (contents, id) => {
      refusalOf(withSection(id, ...contents));
      refusalOf(Uint8Array.from([...preamble, ...contents]));
    }),
    { numRuns: 3_000 },
  );
});

test.run();
