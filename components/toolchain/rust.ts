import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { componentNew, preview1AdapterReactorPath } from '@bytecodealliance/jco';

const workspace = fileURLToPath(new URL('../rust/', import.meta.url));
const target = fileURLToPath(new URL('../build/rust/', import.meta.url));

function cargo(crate: string, triple: string, file: string): Uint8Array {
  const args = ['build', '--quiet', '--release', '--locked', '--package', crate, '--target', triple, '--target-dir', target];
  const home = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  const env = { ...process.env, RUSTFLAGS: `--remap-path-prefix=${home}=/cargo --remap-path-prefix=${workspace}=/src` };
  execFileSync('cargo', args, { cwd: workspace, stdio: 'inherit', env });
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
