import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hostInterfaces, survivesReset } from '../../../host/wasi/p2/index.ts';
import { call, makeContext, makeGuest } from '../guest.ts';

const builtin = new URL('../../../node_modules/@bytecodealliance/jco/lib/wit/builtin', import.meta.url).pathname;

/** Exported only by guests, or worlds' own. */
const guestInterfaces = new Set(['wasi:http/incoming-handler', 'wasi:cli/run']);

type Declared = { functions: string[]; resources: string[] };

/** The functions and resources that a WIT package declares, by interface; enough of the grammar for the released packages. */
function declarations(source: string): Map<string, Declared> {
  const found = new Map<string, Declared>();
  const packageName = /^package ([a-z:-]+)@/m.exec(source)?.[1] ?? '';
  let current: Declared | undefined;
  let resource = '';
  let depth = 0;
  for (const line of source.split('\n').map((text) => text.trim())) {
    const head = /^(interface|resource|world) ([a-z0-9-]+)/.exec(line);
    if (head?.[1] === 'interface') {
      current = { functions: [], resources: [] };
      found.set(`${packageName}/${head[2]}`, current);
    }
    if (head?.[1] === 'world') current = undefined;
    if (head?.[1] === 'resource') {
      current?.resources.push(head[2] as string);
      if (line.endsWith('{')) resource = head[2] as string;
    }
    const func = /^%?([a-z0-9-]+): (static )?func\(/.exec(line);
    if (func) current?.functions.push(resource === '' ? (func[1] as string) : `[${func[2] ? 'static' : 'method'}]${resource}.${func[1]}`);
    if (line.startsWith('constructor(')) current?.functions.push(`[constructor]${resource}`);
    depth += (line.match(/\{/g)?.length ?? 0) - (line.match(/\}/g)?.length ?? 0);
    if (depth === 1) resource = '';
  }
  return found;
}

for (const version of ['0.2.10', '0.2.12']) {
  for (const folder of readdirSync(join(builtin, version))) {
    test(`hostInterfaces: has every function and resource of ${folder} ${version}`, () => {
      const declared = declarations(readFileSync(join(builtin, version, folder, 'package.wit'), 'utf8').replace(/func\(\n\s*/g, 'func('));
      assert.ok(declared.size > 0);
      for (const [name, { functions, resources }] of declared) {
        if (guestInterfaces.has(name)) continue;
        const table = hostInterfaces.get(name);
        assert.ok(table, name);
        for (const func of functions) assert.type(table?.functions[func], 'function', `${name} ${func}`);
        for (const resource of resources) if (name !== 'wasi:io/error') assert.type(table?.drop?.[resource], 'function', `${name} ${resource}`);
      }
    });
  }
}

test('hostInterfaces: functions that wait are functions of the table', () => {
  for (const table of hostInterfaces.values()) for (const name of table.suspending ?? []) assert.type(table.functions[name], 'function', name);
});

test('survivesReset: standard streams and the scratch root do, what holds state does not', () => {
  const context = makeContext({ scratch: true, scratchBytesMax: 1000 });
  const guest = makeGuest(context);
  const stdout = call(context, 'wasi:cli/stdout', 'get-stdout');
  assert.is(survivesReset(stdout), true);
  assert.is(survivesReset(call(context, 'wasi:cli/stdin', 'get-stdin')), true);
  assert.is(survivesReset(call(context, 'wasi:filesystem/preopens', 'get-directories')[0][0]), true);
  assert.is(survivesReset(guest.http('[constructor]fields')), false);
  guest.streams('[method]output-stream.subscribe', stdout);
  assert.is(survivesReset(stdout), false);
});

test.run();
