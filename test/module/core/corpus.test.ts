import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../../host/base/errors.ts';
import { Reader } from '../../../host/component/binary.ts';
import { rewriteCore } from '../../../host/module/core/rewrite.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const bytesMax = 6_000_000;
const budgetMs = 12_000;

/** The core modules in a file, those nested in components included. */
function* coreModules(bytes: Uint8Array): Generator<Uint8Array> {
  if (bytes[4] === 1 && bytes[6] === 0) return yield bytes;
  for (const { id, contents } of new Reader(bytes, 8).sections()) {
    const inner = bytes.subarray(contents.offset, contents.end);
    if (id === 1) yield inner;
    if (id === 4) yield* coreModules(inner);
  }
}

const files = ['node_modules/**/*.wasm', 'fixtures/*.wasm'].flatMap((pattern) => globSync(pattern, { cwd: root })).sort();

test('rewriteCore: every core module that is installed here is rewritten to a valid one', () => {
  const end = performance.now() + budgetMs;
  let rewritten = 0;
  for (const file of files) {
    if (performance.now() > end) break;
    for (const module of coreModules(new Uint8Array(readFileSync(root + file)))) {
      if (module.length > bytesMax) continue;
      const { bytes, report } = rewriteCore(module);
      assert.ok(WebAssembly.validate(bytes), file);
      assert.ok(bytes.length < module.length * 1.5 + 5_000, `${file} grew from ${module.length} to ${bytes.length} bytes`);
      assert.equal(report.unrestorable, [], file);
      rewritten++;
    }
  }
  assert.ok(rewritten > 10, `${rewritten} modules`);
});

test('rewriteCore: gives the same output for the same input', () => {
  const file = files.find((name) => name.endsWith('wasi_snapshot_preview1.reactor.wasm')) as string;
  const module = new Uint8Array(readFileSync(root + file));
  const [first, second] = [rewriteCore(module), rewriteCore(module.slice())];
  assert.ok(Buffer.from(first.bytes).equals(second.bytes));
  assert.equal(first.report, second.report);
  assert.throws(
    () => rewriteCore(module.subarray(0, -7)),
    (error: unknown) => error instanceof Problem,
  );
});

test.run();
