import { readdirSync, readFileSync } from 'node:fs';
import { componentOfAssemblyScript } from './toolchain/assemblyscript.ts';
import { breakings } from './toolchain/broken.ts';
import { componentOfC } from './toolchain/c.ts';
import { composedWithGuard, composedWithProvider } from './toolchain/composed.ts';
import { componentOfJavaScript, middlewareOfJavaScript } from './toolchain/javascript.ts';
import { componentOfRust, componentOfRustByAdapter, rustSidecars } from './toolchain/rust.ts';
import { sidecarOfC, sidecars } from './toolchain/sidecars.ts';
import { componentOfWat, functionWorld, messageWorld, withLegacyTry } from './toolchain/wat.ts';

/** How one fixture is made. `name` is its path under fixtures/ without `.wasm`; `sources` are paths under components/. */
export type Recipe = { name: string; about: string; sources: string[]; build: () => Promise<Uint8Array> };

const here = new URL('./', import.meta.url);
/** The text format no longer has this one's instructions. */
const LEGACY = 'wat/stop/catch-all.wat';

const fixtures = new URL('../fixtures/', import.meta.url);

function namesIn(folder: string, ending: string): string[] {
  const files = readdirSync(new URL(folder, here)).filter((name) => name.endsWith(ending));
  return files.map((name) => name.slice(0, -ending.length)).sort();
}

/** The comment lines (`//`) at the head of a source. */
function headOf(file: string): string {
  const lines = readFileSync(new URL(file, here), 'utf8').split('\n');
  const end = lines.findIndex((line) => !line.startsWith('// '));
  return lines
    .slice(0, end)
    .map((line) => line.slice(3))
    .join(' ');
}

/** Those that use nacelle:state. */
const usesState: ReadonlySet<string> = new Set(['region', 'locking', 'session']);

/** What some export beside their handler. */
const exported: Readonly<Record<string, string>> = { watching: 'export wasi:keyvalue/watcher@0.2.0-draft2;' };

const usesBlobs: ReadonlySet<string> = new Set(['arrived', 'generate', 'objects', 'uploads']);

function fromC(name: string): Recipe {
  const source = `c/${name}.c`;
  const world = name === 'message' ? messageWorld() : functionWorld(undefined, exported[name]);
  return {
    name,
    about: headOf(source),
    sources: [source, ...(usesBlobs.has(name) ? ['c/blob.h'] : []), ...(usesState.has(name) ? ['c/state.h'] : []), 'c/guest.h', 'c/wasi.h'],
    build: () => componentOfC(new URL(source, here), world),
  };
}

function fromWat(folder: string, name: string): Recipe {
  const source = `wat/${folder}/${name}.wat`;
  const about = /;; (.*)/.exec(readFileSync(new URL(source, here), 'utf8'))?.[1] ?? '';
  const plain = () => componentOfWat(new URL(source, here));
  const build = source === LEGACY ? async () => withLegacyTry(await plain()) : plain;
  return { name: `${folder}/${name}`, about, sources: [source], build };
}

function fromJavaScript(name: string): Recipe {
  const source = `js/${name}.ts`;
  const runtime = namesIn('../guest/', '.ts').map((module) => `../guest/${module}.ts`);
  return { name: `js-${name}`, about: headOf(source), sources: [source, ...runtime], build: () => componentOfJavaScript(new URL(source, here)) };
}

function fromRust(name: string, crate: string, main: string, make: () => Promise<Uint8Array>): Recipe {
  const manifests = ['rust/Cargo.toml', 'rust/Cargo.lock', `rust/${crate}/Cargo.toml`];
  return { name, about: headOf(`rust/${crate}/src/${main}`), sources: [`rust/${crate}/src/${main}`, ...manifests], build: make };
}

function broken(name: string): Recipe {
  const { about, make } = breakings[name]!;
  const build = async () => make(readFileSync(new URL('hello.wasm', fixtures)));
  return { name: `broken/${name}`, about, sources: ['toolchain/broken.ts'], build };
}

function sidecar(path: string): Recipe {
  const sources = [`${path}.c`, 'c/sidecar.h', 'c/guest.h', 'c/wasi.h', 'toolchain/sidecars.ts'];
  const name = path.startsWith('../') ? path : `sidecar/${path.split('/').at(-1)}`;
  return { name, about: headOf(`${path}.c`), sources, build: () => sidecarOfC(path) };
}

function rustSidecar(name: string, crate: keyof typeof rustSidecars): Recipe {
  const sources = ['src/lib.rs', 'Cargo.toml', 'Cargo.lock'].map((file) => `${crate}/${file}`);
  return { name: `sidecar/${name}`, about: headOf(`${crate}/src/lib.rs`), sources: [...sources, '../wit/nacelle-sidecar.wit'], build: rustSidecars[crate] };
}

const composedSources = ['toolchain/composed.ts', 'c/guest.h', 'c/wasi.h'];

/** Every fixture, in the order in which they are built: broken ones are made of `hello`. */
export const recipes: Recipe[] = [
  ...namesIn('c/', '.c').map(fromC),
  fromRust('rust-std', 'std', 'lib.rs', () => componentOfRust('rust-std', 'rust_std')),
  {
    ...fromRust('rust-adapter', 'std', 'lib.rs', () => componentOfRustByAdapter('rust-std', 'rust_std')),
    about: 'As rust-std, but built for WASI preview 1 and adapted, as older toolchains do it.',
  },
  fromRust('rust-files', 'files', 'lib.rs', () => componentOfRust('rust-files', 'rust_files')),
  fromRust('rust-thumbnail', 'thumbnail', 'main.rs', () => componentOfRust('rust-thumbnail', 'rust-thumbnail')),
  fromRust('rust-wstd', 'wstd', 'main.rs', () => componentOfRust('rust-wstd', 'rust-wstd')),
  fromRust('rust-command', 'command', 'main.rs', () => componentOfRust('rust-command', 'rust-command')),
  ...namesIn('js/', '.ts').map(fromJavaScript),
  {
    name: 'as-hello',
    about: headOf('as/hello.as'),
    sources: ['as/hello.as'],
    build: () => componentOfAssemblyScript(new URL('as/hello.as', here)),
  },
  {
    name: 'composed-guard',
    about: 'Two components in one: middleware that refuses `/private` before hello.',
    sources: ['c/composed/guard.c', ...composedSources, 'c/hello.c'],
    build: composedWithGuard,
  },
  {
    name: 'composed-shop',
    about: 'Two components in one: a handler that uses a resource which the other defines; it lists what it put in, then "destroyed".',
    sources: ['c/composed/shop.c', 'c/composed/basket.c', 'c/composed/shop.wit', ...composedSources],
    build: composedWithProvider,
  },
  ...Object.keys(sidecars).map(sidecar),
  rustSidecar('rust-gate', 'rust-sidecar'),
  rustSidecar('rust-watch', 'rust-companion'),
  rustSidecar('rust-asking', 'rust-asking'),
  {
    name: 'sidecar/js-maintenance',
    about: headOf('js/sidecar/maintenance.ts'),
    sources: ['js/sidecar/maintenance.ts', '../guest/text.ts'],
    build: () => middlewareOfJavaScript(new URL('js/sidecar/maintenance.ts', here)),
  },
  ...namesIn('wat/stop/', '.wat').map((name) => fromWat('stop', name)),
  ...namesIn('wat/state/', '.wat').map((name) => fromWat('state', name)),
  ...Object.keys(breakings).map(broken),
];
