import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { componentNew, preview1AdapterReactorPath } from '@bytecodealliance/jco';
import { draft, worldSource } from './wit.ts';

const workspace = new URL('../rust/', import.meta.url);
const target = fileURLToPath(new URL('../build/rust/', import.meta.url));

function cargo(crate: string, triple: string, file: string, directory = workspace): Uint8Array {
  const cwd = fileURLToPath(directory);
  const args = ['build', '--quiet', '--release', '--locked', '--package', crate, '--target', triple, '--target-dir', target];
  const home = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  const env = { ...process.env, RUSTFLAGS: `--remap-path-prefix=${home}=/cargo --remap-path-prefix=${cwd}=/src` };
  execFileSync('cargo', args, { cwd, stdio: 'inherit', env });
  return readFileSync(`${target}${triple}/release/${file}.wasm`);
}

/** A component of one crate of components/rust; `file` is what cargo calls the result. Needs the target wasm32-wasip2. */
export async function componentOfRust(crate: string, file: string): Promise<Uint8Array> {
  return cargo(crate, 'wasm32-wasip2', file);
}

/** The same by WASI preview 1 and its adapter, as older toolchains do it. Needs the target wasm32-wasip1. */
export async function componentOfRustByAdapter(crate: string, file: string): Promise<Uint8Array> {
  const adapter = readFileSync(preview1AdapterReactorPath());
  return componentNew(cargo(crate, 'wasm32-wasip1', file), [['wasi_snapshot_preview1', adapter]]);
}

const SIDECAR_VERSION = '0.2.3';
const LIFECYCLE = 'export nacelle:sidecar/lifecycle@0.1.0;';
const HANDLERS = ['import', 'export'].map((kind) => `${kind} wasi:http/incoming-handler@${SIDECAR_VERSION};`).join(' ');

/** The component of components/`crate`, whose bindings are made of components/build/`crate`.wit. */
function sidecarOfRust(crate: string, world: string): Uint8Array {
  mkdirSync(new URL('../build/', import.meta.url), { recursive: true });
  writeFileSync(new URL(`../build/${crate}.wit`, import.meta.url), worldSource(SIDECAR_VERSION, world, [draft('nacelle-sidecar')]));
  return cargo(crate, 'wasm32-wasip2', crate.replaceAll('-', '_'), new URL(`../${crate}/`, import.meta.url));
}

/** Sidecars in Rust by their crates, each a folder of components/. */
export const rustSidecars: Readonly<Record<'rust-sidecar' | 'rust-companion' | 'rust-asking', () => Promise<Uint8Array>>> = {
  'rust-sidecar': async () => sidecarOfRust('rust-sidecar', `${HANDLERS} ${LIFECYCLE}`),
  'rust-asking': async () => sidecarOfRust('rust-asking', `import wasi:http/outgoing-handler@${SIDECAR_VERSION}; ${LIFECYCLE}`),
  'rust-companion': async () => sidecarOfRust('rust-companion', LIFECYCLE),
};
