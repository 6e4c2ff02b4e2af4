import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { cycleProblems, layerProblems } from './layers.ts';
import { lengthProblems, measure, tighten } from './lengths.ts';
import { parseSource } from './sources.ts';

const source = (path: string, ...lines: string[]) => parseSource(path, lines.join('\n'));

test('layerProblems: a folder may import itself and what stands before it, tests anything', () => {
  const sources = [
    source('host/wasi/a.ts', "import { x } from '../base/x.ts';", "import type { B } from './b.ts';", "import { z } from 'zod';"),
    source('test/a.test.ts', "import { x } from '../host/cli/main.ts';"),
    source('host/cli/serve.ts', "import { startNode } from '../node.ts';"),
  ];
  assert.equal(layerProblems(sources), []);
});

test('layerProblems: names imports that go up, by type, by re-export, at run time and as threads', () => {
  const imports = [
    "import type { X } from '../gateway/x.ts';",
    "export * from '../deploy/x.ts';",
    "const later = await import('../control/x.ts');",
    "const url = new URL('../node.ts', import.meta.url);",
    "import { t } from '../../test/t.ts';",
  ];
  const problems = layerProblems([source('host/wasi/a.ts', ...imports)]);
  assert.equal(problems.sort(), [
    'host/wasi/a.ts → host/control/x.ts: wasi stands before control',
    'host/wasi/a.ts → host/deploy/x.ts: wasi stands before deploy',
    'host/wasi/a.ts → host/gateway/x.ts: wasi stands before gateway',
    'host/wasi/a.ts → host/node.ts: wasi stands before node.ts',
    'host/wasi/a.ts → test/t.ts: host/ imports nothing from outside of itself',
  ]);
});

test('layerProblems: refuses a folder that is no layer', () => {
  assert.match(layerProblems([source('host/utils/a.ts', "import '../base/x.ts';")]).join(), 'utils is not a layer');
});

test('cycleProblems: finds a cycle once', () => {
  const sources = [source('host/a.ts', "import './b.ts';"), source('host/b.ts', "import './c.ts';"), source('host/c.ts', "import './b.ts';")];
  assert.equal(cycleProblems(sources), ['host/b.ts → host/c.ts → host/b.ts']);
  assert.equal(cycleProblems(sources.slice(0, 2)), []);
});

test('cycleProblems: types may refer to one another', () => {
  const sources = [source('host/a.ts', "import type { B } from './b.ts';"), source('host/b.ts', "import { type A } from './a.ts';", "import './c.ts';")];
  assert.equal(cycleProblems(sources), []);
});

test('lengthProblems: names functions and files that are too long, without blank lines', () => {
  const long = source('host/a.ts', 'export const f = () => {', '', ...Array.from({ length: 50 }, (_, index) => `  g(${index});`), '};');
  const limits = { functionLinesMax: 60, fileLinesMax: 60, functionsOver40Lines: 1 };
  assert.equal(lengthProblems([long], limits), []);
  assert.equal(lengthProblems([long], { ...limits, functionLinesMax: 51 }), ['host/a.ts:1: function of 52 lines, at most 51']);
  assert.equal(lengthProblems([long], { ...limits, fileLinesMax: 51 }), ['host/a.ts: file of 52 lines, at most 51']);
  assert.equal(lengthProblems([long], { ...limits, functionsOver40Lines: 0 })[0], '1 functions over 40 lines, at most 0:');
});

test('tighten: only lowers', () => {
  const reached = measure([source('host/a.ts', 'export function f() {', '  g();', '}')]).reached;
  assert.equal(tighten({ functionLinesMax: 70, fileLinesMax: 2, functionsOver40Lines: 5 }, reached), {
    functionLinesMax: 3,
    fileLinesMax: 2,
    functionsOver40Lines: 0,
  });
});

test.run();
