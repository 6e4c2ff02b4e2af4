import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../host/base/errors.ts';
import { Writer } from '../../host/component/binary.ts';
import { decodeArtifact, encodeArtifact } from '../../host/module/artifact.ts';
import type { Implemented } from '../../host/module/check-imports.ts';
import { prepare } from '../../host/module/prepare.ts';
import { Preparer, type PreparerOptions } from '../../host/module/preparer.ts';
import { hostInterfaces } from '../../host/wasi/p2/index.ts';

const implemented: Implemented = new Map([...hostInterfaces].map(([name, { functions }]) => [name, Object.keys(functions)]));
const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(`../../fixtures/${name}.wasm`, import.meta.url)));

async function using(options: Partial<PreparerOptions>, body: (preparer: Preparer) => Promise<void>): Promise<void> {
  const preparer = new Preparer({ implemented, ...options });
  try {
    await body(preparer);
  } finally {
    await preparer.close();
  }
}

const refusalOf = (work: Promise<unknown>): Promise<Problem> =>
  work.then(
    () => assert.unreachable('it is refused') as never,
    (error) => error,
  );

test('Preparer: gives what prepare gives', async () => {
  await using({}, async (preparer) => {
    const artifact = await preparer.prepare('hello', () => fixture('hello'));
    assert.equal(artifact, encodeArtifact(prepare(fixture('hello'), implemented)));
    assert.equal(decodeArtifact(artifact)?.exports, ['wasi:http/incoming-handler@0.2.3']);
  });
});

test('Preparer: the same module asked for by several is prepared once', async () => {
  await using({}, async (preparer) => {
    let loads = 0;
    const load = (): Uint8Array => {
      loads++;
      return fixture('hello');
    };
    const artifacts = await Promise.all([1, 2, 3].map(() => preparer.prepare('a', load)));
    assert.is(loads, 1);
    assert.ok(artifacts.every((artifact) => artifact === artifacts[0]));
    await preparer.prepare('a', load);
    assert.is(loads, 2, 'nothing is kept afterwards');
  });
});

test('Preparer: works on at most so many at once', async () => {
  await using({ workersMax: 2 }, async (preparer) => {
    let [now, most] = [0, 0];
    const two = Promise.withResolvers<void>();
    const load = async (): Promise<Uint8Array> => {
      most = Math.max(most, ++now);
      if (now === 2) two.resolve();
      await two.promise;
      await new Promise((resolve) => setTimeout(resolve, 20));
      now--;
      return fixture('hello');
    };
    await Promise.all(['a', 'b', 'c', 'd', 'e'].map((digest) => preparer.prepare(digest, load)));
    assert.is(most, 2);
  });
});

test('Preparer: a refusal is the same problem, and the next module is not touched by it', async () => {
  await using({}, async (preparer) => {
    const problem = await refusalOf(preparer.prepare('bad', () => fixture('broken/import-function')));
    assert.instance(problem, Problem);
    assert.is(problem.code, 'import-unknown');
    assert.is(problem.problems?.length, 1);
    assert.ok((await preparer.prepare('good', () => fixture('hello'))).length > 0);
  });
});

test('Preparer: what load throws is passed on', async () => {
  await using({ workersMax: 1 }, async (preparer) => {
    const error = await refusalOf(preparer.prepare('a', () => Promise.reject(new Error('no bytes'))));
    assert.is(error.message, 'no bytes');
    assert.ok((await preparer.prepare('a', () => fixture('hello'))).length > 0);
  });
});

test('Preparer: a module that takes too long is given up, and the next one is prepared', async () => {
  await using({ timeMs: 3, workersMax: 1 }, async (preparer) => {
    const problem = await refusalOf(preparer.prepare('slow', () => fixture('js-hono')));
    assert.is(problem.code, 'module-invalid');
    assert.match(problem.message, /takes longer than 3 ms/);
  });
});

test('Preparer: a module that takes too much memory ends its worker only', async () => {
  await using({ heapMib: 24, workersMax: 1 }, async (preparer) => {
    const types = 250_000;
    const contents = new Writer().u32(types).raw(new Uint8Array(types * 2).map((_, index) => (index % 2 === 0 ? 0x70 : 0x7d))).bytes;
    const bomb = new Writer().raw([0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0]).section(7, contents).bytes;
    const problem = await refusalOf(preparer.prepare('bomb', () => Uint8Array.from(bomb)));
    assert.is(problem.code, 'module-invalid');
    assert.match(problem.message, /takes more than 24 MiB of memory/);
    assert.ok((await preparer.prepare('good', () => fixture('hello'))).length > 0);
  });
});

test('Preparer: after close nothing is prepared, and what was under way is refused', async () => {
  const preparer = new Preparer({ implemented });
  preparer.warm();
  const underWay = refusalOf(preparer.prepare('a', () => fixture('js-hono')));
  await new Promise((resolve) => setTimeout(resolve, 20));
  await preparer.close();
  assert.is((await underWay).code, 'unavailable');
  assert.is((await refusalOf(preparer.prepare('b', () => fixture('hello')))).code, 'unavailable');
});

test.run();
