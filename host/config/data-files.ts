import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ownerOnly = 0o600;

/** Writes a file as a whole or not at all, readable by its owner only. */
const writeWhole = (file: string, content: string | Uint8Array): void => {
  const draft = `${file}.draft`;
  rmSync(draft, { force: true });
  writeFileSync(draft, content, { mode: ownerOnly, flush: true });
  renameSync(draft, file);
};

/** Small files beside the store in a node's data directory. */
export class DataFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  has(name: string): boolean {
    return existsSync(join(this.#directory, name));
  }

  write(name: string, content: string | Uint8Array): void {
    writeWhole(join(this.#directory, name), content);
  }

  /** What the file holds; if it is not there, it is made first. */
  async readOrMake(name: string, make: () => Uint8Array | Promise<Uint8Array>): Promise<Uint8Array> {
    if (!this.has(name)) this.write(name, await make());
    return readFileSync(join(this.#directory, name));
  }

  remove(name: string): void {
    rmSync(join(this.#directory, name), { force: true });
  }
}
