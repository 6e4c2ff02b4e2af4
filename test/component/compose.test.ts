import { readFileSync } from 'node:fs';
import { print } from '@bytecodealliance/jco';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { prepare } from '../../host/module/prepare.ts';
import { type Captured, poolOf, ports, send } from '../instance/harness.ts';
import { binaryOf } from './wat.ts';

const HANDLER = 'wasi:http/incoming-handler@0.2.3';

/** A fixture as text, and its part before the first core module: the types and imports. */
async function textOf(name: string): Promise<{ whole: string; imports: string; names: string[] }> {
  const whole = await print(new Uint8Array(readFileSync(new URL(`../../fixtures/${name}.wasm`, import.meta.url))));
  const imports = whole.slice('(component'.length, whole.indexOf('\n  (core module'));
  return { whole: whole.trim(), imports, names: [...imports.matchAll(/^ {2}\(import "([^"]+)"/gm)].map((match) => match[1] as string) };
}

/** A component that instantiates another one, passing on its own imports but for those in `instead`. */
async function wrap(name: string, providers = '', instead: Readonly<Record<string, string>> = {}): Promise<Uint8Array> {
  const { whole, imports, names } = await textOf(name);
  const inner = whole.replace('(component', '(component $inner');
  const args = names.map((imported) => `(with "${imported}" (instance ${instead[imported] ?? `$${imported}`}))`);
  const own = Object.keys(instead).reduce((text, imported) => text.replace(new RegExp(`^ {2}\\(import "${imported}".*$`, 'm'), ''), imports);
  return binaryOf(
    `(component ${own} ${inner} ${providers} (instance $x (instantiate $inner ${args.join(' ')})) (alias export $x "${HANDLER}" (instance $h)) (export "${HANDLER}" (instance $h)))`,
  );
}

async function answerOf(bytes: Uint8Array, path = '/'): Promise<{ text: string; status: number; captured: Captured }> {
  const artifact = prepare(bytes);
  const pool = poolOf({ artifact, modules: artifact.modules.map((module) => new WebAssembly.Module(module as BufferSource)), handler: HANDLER });
  const captured: Captured = { stdout: '', records: [] };
  const { answer } = await send(pool, HANDLER, { path }, ports(captured));
  pool.close();
  return { text: answer.text, status: answer.status, captured };
}

const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(`../../fixtures/${name}.wasm`, import.meta.url)));

test('readComponent: a component inside another one answers as it does alone', async () => {
  const alone = await answerOf(fixture('hello'));
  assert.is(alone.status, 200);
  const wrapped = await answerOf(await wrap('hello'));
  assert.equal(wrapped, alone);
});

test('readComponent: wrapping changes nothing of what is imported and called', async () => {
  const alone = prepare(fixture('router')).plan;
  const wrapped = prepare(await wrap('router')).plan;
  assert.equal(
    wrapped.imports.map((imported) => imported.functions.map(({ name }) => name)),
    alone.imports.map((imported) => imported.functions.map(({ name }) => name)),
  );
  assert.equal(
    wrapped.lowers.map((lower) => lower.func),
    alone.lowers.map((lower) => lower.func),
  );
  assert.equal(wrapped.resources, alone.resources);
  assert.is(wrapped.components, alone.components + 1);
});

/** Provides wasi:logging by forgetting what it is told. */
const silence = `(component $silence
  (core module $m (memory (export "mem") 1)
    (func (export "log") (param i32 i32 i32 i32 i32))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $i (instantiate $m))
  (type $level' (enum "trace" "debug" "info" "warn" "error" "critical"))
  (export $level "level" (type $level'))
  (func $log (param "level" $level) (param "context" string) (param "message" string)
    (canon lift (core func $i "log") (memory (core memory $i "mem")) (realloc (core func $i "realloc"))))
  (export "log" (func $log)))
  (instance $quiet (instantiate $silence))`;

test('readComponent: a component inside can stand for an interface of the host', async () => {
  const alone = await answerOf(fixture('printer'));
  assert.ok(alone.captured.records.length > 0);
  const bytes = await wrap('printer', silence, { 'wasi:logging/logging@0.1.0-draft': '$quiet' });
  assert.not(prepare(bytes).imports.some((name) => name.startsWith('wasi:logging')));
  const quiet = await answerOf(bytes);
  assert.equal(quiet.captured.records, []);
  assert.is(quiet.captured.stdout, alone.captured.stdout);
  assert.is(quiet.text, alone.text);
});

test.run();
