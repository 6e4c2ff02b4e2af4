import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let root: string | undefined;

/** A new directory that is removed when the test process exits. */
export function temporaryDirectory(): string {
  if (!root) {
    const made = mkdtempSync(join(tmpdir(), 'nacelle-test-'));
    process.on('exit', () => rmSync(made, { recursive: true, force: true }));
    root = made;
  }
  return mkdtempSync(join(root, 'data-'));
}
