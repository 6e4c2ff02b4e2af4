import { readFileSync } from 'node:fs';
import { componentEmbed, componentNew, parse } from '@bytecodealliance/jco';
import { draft, worldSource } from './wit.ts';

const VERSION = '0.2.3';

const IMPORTS = [
  'wasi:http/types',
  'wasi:http/outgoing-handler',
  'wasi:io/streams',
  'wasi:io/poll',
  'wasi:clocks/monotonic-clock',
  'wasi:clocks/wall-clock',
  'wasi:random/random',
  'wasi:cli/environment',
  'wasi:cli/exit',
  'wasi:cli/stdout',
  'wasi:cli/stderr',
];

/** The world of a function: all that the host offers it; what the core module does not import is left out of the component. */
export function functionWorld(version = VERSION, extra = '', packages: readonly string[] = []): string {
  return componentWorld(version, `${extra} export wasi:http/incoming-handler@${version};`, packages);
}

/** The world of a handler of messages that sends some itself. */
export function messageWorld(version = VERSION): string {
  const messaging = ['import wasi:messaging/types', 'import wasi:messaging/producer', 'export wasi:messaging/incoming-handler'];
  return componentWorld(version, messaging.map((line) => `${line}@0.2.0-draft;`).join(' '), [draft('messaging')]);
}

/** As `functionWorld`, for a component with other exports: those that `extra` names. */
export function componentWorld(version: string, extra: string, packages: readonly string[] = []): string {
  const imports = IMPORTS.map((name) => `import ${name}@${version};`);
  const drafts = 'import wasi:config/store@0.2.0-rc.1; import wasi:logging/logging@0.1.0-draft;';
  const buckets = ['draft', 'draft2']
    .flatMap((version) => ['store', 'atomics', 'batch'].map((name) => `import wasi:keyvalue/${name}@0.2.0-${version};`))
    .join(' ');
  const objects = ['types', 'container', 'blobstore'].map((name) => `import wasi:blobstore/${name}@0.2.0-draft;`).join(' ');
  const state = ['expiry', 'shared', 'session'].map((name) => `import nacelle:state/${name}@0.1.0;`).join(' ');
  const world = `${imports.join(' ')} ${drafts} ${buckets} ${objects} ${state} ${extra}`;
  const blobstore = draft('blobstore').replaceAll('@0.2.12', `@${version}`);
  return worldSource(version, world, [
    blobstore,
    draft('config'),
    draft('logging'),
    draft('keyvalue'),
    draft('keyvalue-draft'),
    draft('nacelle-state'),
    ...packages,
  ]);
}

/** A component of a core module that imports and exports what `wit` names. */
export async function componentOf(core: Uint8Array, wit = functionWorld()): Promise<Uint8Array> {
  return componentNew(await componentEmbed({ binary: core, witSource: wit, world: 'fixture' }), []);
}

export async function componentOfWat(file: URL, wit?: string): Promise<Uint8Array> {
  return componentOf(await parse(readFileSync(file, 'utf8')), wit);
}

/** Turns the one `block … nop end` of a component into a legacy `try … catch_all end`, which no text format has now. */
export function withLegacyTry(component: Uint8Array): Uint8Array {
  const at = Buffer.from(component).indexOf(Buffer.from([0x02, 0x40, 0x10, 0x00, 0x01, 0x0b]));
  if (at < 0) throw new Error('cannot make a legacy try: there is no block with a call and a nop');
  const out = Uint8Array.from(component);
  out[at] = 0x06;
  out[at + 4] = 0x19;
  return out;
}
