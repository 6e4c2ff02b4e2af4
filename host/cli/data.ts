import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Context, UsageError } from './command.ts';

/** What `--data TEXT|@FILE` names. @throws UsageError if the file cannot be read */
export function dataOf({ options, directory }: Pick<Context, 'options' | 'directory'>): Uint8Array | string | undefined {
  const data = options.text('data');
  if (!data?.startsWith('@')) return data;
  try {
    return readFileSync(resolve(directory, data.slice(1)));
  } catch (error) {
    throw new UsageError(`cannot read --data ${data}: ${(error as Error).message}`);
  }
}
