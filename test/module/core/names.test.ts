import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Writer } from '../../../host/component/binary.ts';
import { rewriteCore } from '../../../host/module/core/rewrite.ts';
import { link, Nacelle, throwTrap, wasmOf } from './harness.ts';

const wat = `(module $guest (import "host" "f" (func $imported)) (memory 1)
  (func $outer (export "run") (param i32) (call $middle (local.get 0)))
  (func $middle (param i32) (drop (memory.grow (i32.const 1))) (call $inner (local.get 0)) (call $imported))
  (func $inner (param i32) (if (local.get 0) (then (unreachable))) (loop $l (br $l))))`;

const stackOf = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    return (error as Error).stack ?? '';
  }
  return '';
};

const wasmFrames = (stack: string): string[] => [...stack.matchAll(/at (\S+) \(wasm:/g)].map((match) => match[1] ?? '');

test('rewriteCore: traps name the functions of the guest after their indices moved', async () => {
  const nacelle = new Nacelle();
  nacelle.onTick = throwTrap;
  const { exports } = link(await wasmOf(wat), { nacelle, imports: { host: { f: () => {} } } });
  assert.equal(wasmFrames(stackOf(() => exports.run?.(1))), ['guest.inner', 'guest.middle', 'guest.outer']);
  const stopped = wasmFrames(stackOf(() => exports.run?.(0)));
  assert.equal(stopped.slice(-5), ['guest.nacelle.refill', 'guest.nacelle.settle', 'guest.inner', 'guest.middle', 'guest.outer']);
});

const custom = (name: string, contents: number[]): Uint8Array => {
  const section = new Writer().name(name).raw(contents);
  return new Writer().section(0, section.bytes).bytes;
};

const stripped = async (): Promise<Uint8Array> => {
  const wasm = await wasmOf('(module (func (export "run") (unreachable)))');
  assert.not.ok(Buffer.from(wasm).includes('name'));
  return wasm;
};

test('rewriteCore: a damaged name section is left out', async () => {
  for (const contents of [[1, 200, 1], [1, 5, 9, 0, 1, 0x61, 2], [0, 1, 50], [1, 3, 0xff, 0xff, 0xff], [7]]) {
    const { exports } = link(Buffer.concat([await stripped(), custom('name', contents)]));
    assert.match(
      stackOf(() => exports.run?.()),
      /unreachable/,
    );
  }
});

test('rewriteCore: drops other custom sections', async () => {
  const { bytes } = rewriteCore(
    Buffer.concat([await stripped(), custom('producers', [0]), custom('.debug_info', [1, 2, 3]), custom('sourceMappingURL', [1, 97])]),
  );
  const module = new WebAssembly.Module(bytes);
  for (const name of ['producers', '.debug_info', 'sourceMappingURL']) assert.equal(WebAssembly.Module.customSections(module, name), []);
});

test.run();
