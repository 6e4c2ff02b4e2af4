import { parse, print } from '@bytecodealliance/jco';
import { COMPONENT, concat, leb, MODULE, replaceFirstModule, section } from './bytes.ts';
import { componentOf, functionWorld } from './wat.ts';

/** How a broken upload is made; most change a whole component that works. */
export type Breaking = { about: string; make: (whole: Uint8Array) => Promise<Uint8Array> | Uint8Array };

const HANDLER = '(func (export "wasi:http/incoming-handler@0.2.3#handle") (param i32 i32))';

/** What the component takes from its first core module beside the handler. */
const REST = '(memory (export "memory") 1) (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)';

/** The whole component, with a core module in place of its first that has `field` beside its handler. */
async function withField(whole: Uint8Array, field: string): Promise<Uint8Array> {
  return replaceFirstModule(whole, await parse(`(module ${field} ${HANDLER} ${REST})`));
}

/** A core module that imports one function of a world that has it. */
async function importing(wit: string, world: string, module: string, name: string, type: string): Promise<Uint8Array> {
  const core = await parse(`(module (import "${module}" "${name}" (func ${type})) (memory (export "memory") 1) ${HANDLER})`);
  return componentOf(core, `${functionWorld('0.2.3', world)}\n${wit}`);
}

/** Tuples of two of the one before, `levels` deep: 2 ** levels values in a few bytes a level. */
function typeBomb(levels: number): Promise<Uint8Array> {
  const types = Array.from({ length: levels }, (_, level) => `(type $t${level + 1} (tuple $t${level} $t${level}))`);
  return parse(`(component (type $t0 (tuple u64 u64)) ${types.join(' ')} (import "bomb" (func (param "all" $t${levels}))))`);
}

function deepTypes(levels: number): Promise<Uint8Array> {
  const types = Array.from({ length: levels }, (_, level) => `(type $t${level + 1} (list $t${level}))`);
  return parse(`(component (type $t0 (list u8)) ${types.join(' ')} (import "deep" (func (param "all" $t${levels}))))`);
}

function nested(levels: number): Uint8Array {
  let inner: Uint8Array = Uint8Array.from(COMPONENT);
  for (let level = 0; level < levels; level++) inner = concat(COMPONENT, section(4, inner));
  return inner;
}

/** Every core name `from` (imports, exports and instantiation arguments) becomes `to`, and nothing else. */
async function renameCore(whole: Uint8Array, from: string, to: string): Promise<Uint8Array> {
  const text = await print(whole);
  const escaped = [...Buffer.from(to)].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
  return parse(
    text
      .replaceAll(`(import "${from}" "`, (found, at: number) =>
        text.slice(at).match(/^\(import "[^"]*" "[^"]*" \((func|memory|table|global)/) ? `(import "${escaped}" "` : found,
      )
      .replaceAll(`(with "${from}" (instance`, `(with "${escaped}" (instance`),
  );
}

const EVIL = `']); globalThis.nacelleWasBroken = 1; (["\n\r\u2028\`\${globalThis.nacelleWasBroken = 2}\\`;

/** Broken uploads by name. Each must be refused with a reason, or be harmless where `about` says so. */
export const breakings: Record<string, Breaking> = {
  'empty': { about: 'a file of no bytes', make: () => new Uint8Array() },
  'text': { about: 'not WebAssembly: a line of text', make: () => new TextEncoder().encode('#!/bin/sh\necho this is not wasm\n') },
  'truncated': { about: 'the first two thirds of a component', make: (whole) => whole.subarray(0, Math.floor((whole.length * 2) / 3)) },
  'core-module': { about: 'a core module, not a component', make: () => parse(`(module ${HANDLER})`) },
  'no-exports': { about: 'a component without anything in it', make: () => Uint8Array.from(COMPONENT) },
  'wrong-world': {
    about: 'it exports wasi:random/insecure-seed, and nothing that it could be called by',
    make: async () =>
      componentOf(
        await parse('(module (memory (export "memory") 1) (func (export "wasi:random/insecure-seed@0.2.3#insecure-seed") (result i32) i32.const 0))'),
        functionWorld('0.2.3', 'export wasi:random/insecure-seed@0.2.3;').replace(/export wasi:http\/incoming-handler@0.2.3;/, ''),
      ),
  },
  'import-interface': {
    about: 'imports an interface that nobody provides, named almost like wasi:logging/logging',
    make: () =>
      importing(
        'package wasi:loging@0.1.0 { interface logging { log: func(); } }',
        'import wasi:loging/logging@0.1.0;',
        'wasi:loging/logging@0.1.0',
        'log',
        '',
      ),
  },
  'import-own': {
    about: 'imports an interface of its own that no other component provides',
    make: () =>
      importing(
        'package acme:cats@1.0.0 { interface purr { purr: func(loud: u32); } }',
        'import acme:cats/purr@1.0.0;',
        'acme:cats/purr@1.0.0',
        'purr',
        '(param i32)',
      ),
  },
  'import-version': {
    about: 'imports wasi:keyvalue/store in a version that does not exist',
    make: () =>
      importing(
        'package wasi:keyvalue@9.9.9 { interface store { open: func(); } }',
        'import wasi:keyvalue/store@9.9.9;',
        'wasi:keyvalue/store@9.9.9',
        'open',
        '',
      ),
  },
  'import-function': {
    about: 'imports a function that a known interface does not have: wasi:clocks/monotonic-clock#noww',
    make: () => parse(`(component (import "wasi:clocks/monotonic-clock@0.2.3" (instance (export "noww" (func (result u64))))))`),
  },
  'import-type': {
    about: 'imports a known function with another type: wasi:clocks/monotonic-clock#now returning a string',
    make: () => parse(`(component (import "wasi:clocks/monotonic-clock@0.2.3" (instance (export "now" (func (result string))))))`),
  },
  'http-0.3': {
    about: 'imports wasi:http of WASI 0.3',
    make: () =>
      parse(
        `(component (import "wasi:http/types@0.3.0" (instance (export "fields" (type (sub resource))))) (import "wasi:http/client@0.3.0" (instance (export "send" (func)))))`,
      ),
  },
  'type-bomb': { about: 'a type with 2^60 numbers in it', make: () => typeBomb(60) },
  'type-deep': { about: 'lists in lists, 5,000 deep', make: () => deepTypes(5000) },
  'nested-deep': { about: 'components in components, 2,000 deep', make: () => nested(2000) },
  'section-too-long': {
    about: 'a section that says it is longer than the file',
    make: (whole) => concat(whole.subarray(0, 8), [1], leb(0xfffffff), whole.subarray(12)),
  },
  'section-overlong-number': {
    about: 'a section size in more bytes than a number may have',
    make: (whole) => concat(whole.subarray(0, 8), [1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], whole.subarray(12)),
  },
  'section-unknown': { about: 'a section with an id that does not exist', make: (whole) => concat(whole, section(99, [1, 2, 3])) },
  'count-huge': { about: 'a type section that says it has 4 billion types', make: () => concat(COMPONENT, section(7, leb(0xffffffff))) },
  'index-out-of-range': { about: 'an instance of a core module that is not there', make: () => concat(COMPONENT, section(2, [1, 0, 7, 0])) },
  'core-invalid': {
    about: 'a core module whose function leaves the wrong type on its stack',
    make: (whole) => withField(whole, '(func (result i32) (i64.const 0))'),
  },
  'core-garbage': {
    about: 'a core module of random bytes',
    make: (whole) =>
      replaceFirstModule(
        whole,
        concat(
          MODULE,
          Array.from({ length: 300 }, (_, i) => (i * 73 + 41) % 256),
        ),
      ),
  },
  'core-missing-export': {
    about: 'a core module without the function that the component lifts',
    make: async (whole) => replaceFirstModule(whole, await parse(`(module ${REST})`)),
  },
  'memory-shared': { about: 'a core module with a shared memory', make: (whole) => withField(whole, '(memory 1 2 shared)') },
  'memory-64': { about: 'a core module with a 64-bit memory', make: (whole) => withField(whole, '(memory i64 1)') },
  'memory-huge': { about: 'a core module that starts with 4 GiB of memory', make: (whole) => withField(whole, '(memory 65536)') },
  'memory-many': { about: 'a core module with 200 memories', make: (whole) => withField(whole, '(memory 1)'.repeat(200)) },
  'table-huge': { about: 'a core module with a table of 4 billion entries', make: (whole) => withField(whole, '(table 4294967295 funcref)') },
  'locals-huge': { about: 'a function with 4 billion locals', make: () => concat(COMPONENT, section(1, hugeLocals())) },
  'start-trap': {
    about: 'a start function that traps: valid, but it cannot be instantiated',
    make: (whole) => withField(whole, '(func $start unreachable) (start $start)'),
  },
  'data-out-of-bounds': {
    about: 'a data segment outside of its memory: valid, but it cannot be instantiated',
    make: (whole) => withField(whole, '(data (i32.const 65530) "too long for here")'),
  },
  'names-hostile': {
    about: 'harmless, answers as hello: core names with quotes, newlines and JavaScript in them',
    make: (whole) => renameCore(whole, 'wasi:http/types@0.2.3', EVIL),
  },
  'names-prototype': {
    about: 'harmless, answers as hello: a core import module called __proto__',
    make: (whole) => renameCore(whole, 'wasi:http/types@0.2.3', '__proto__'),
  },
};

function hugeLocals(): Uint8Array {
  const body = [1, ...leb(0xffffffff), 0x7f, 0x0b];
  return concat(MODULE, section(1, [1, 0x60, 0, 0]), section(3, [1, 0]), section(10, [1, ...leb(body.length), ...body]));
}
