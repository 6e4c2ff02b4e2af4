// Builds components/build/starling.wasm for bench/http.ts: js/fetch-event.js in StarlingMonkey by componentize-js. At 12 MB it
// is too big to commit. Usage: node components/starling.ts
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { componentize } from '@bytecodealliance/componentize-js';
import { _addPreopen } from '@bytecodealliance/preview2-shim/filesystem';
import { worldSource } from './toolchain/wit.ts';

/** The version of WASI that the engine itself exports the handler of. */
const ENGINE_WASI = '0.2.10';

const here = new URL('./', import.meta.url);
const world = ['import wasi:http/types', 'import wasi:http/outgoing-handler', 'export wasi:http/incoming-handler']
  .map((line) => `${line}@${ENGINE_WASI};`)
  .join(' ');

_addPreopen('/', '/' as never);
const sourcePath = fileURLToPath(new URL('starling/fetch-event.js', here));
const witPath = fileURLToPath(new URL('build/starling.wit', here));
mkdirSync(new URL('build/', here), { recursive: true });
writeFileSync(witPath, worldSource(ENGINE_WASI, world));
const { component } = await componentize({ sourcePath, witPath, worldName: 'fixture' });
writeFileSync(new URL('build/starling.wasm', here), component);
console.log(`build/starling.wasm: ${component.length} bytes`);
