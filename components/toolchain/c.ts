import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { componentOf } from './wat.ts';

const FLAGS = ['--target=wasm32', '-std=c17', '-O2', '-nostdlib', '-Wl,--no-entry', '-Wall', '-Wextra', '-Werror', '-Wno-unused-function'];

/** A component of one C file without a libc, by clang and lld. `wit` is its world, that of a function if not given. */
export async function componentOfC(file: URL, wit?: string): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), 'fixture-'));
  try {
    const out = join(folder, 'core.wasm');
    execFileSync('clang', [...FLAGS, '-o', out, fileURLToPath(file)], { stdio: 'inherit' });
    return await componentOf(readFileSync(out), wit);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
