import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Access } from './client.ts';
import { type Context, UsageError } from './command.ts';

/** What a running node writes to node.json in its data directory. */
export type NodeFile = { http: string; control: string; pid: number };

const DEFAULT_DATA = './.nacelle';

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UsageError(`cannot read ${file}: ${(error as Error).message}`);
  }
}

function readNodeFile(data: string): NodeFile | undefined {
  const file = join(data, 'node.json');
  const text = readIfThere(file);
  try {
    return text === undefined ? undefined : (JSON.parse(text) as NodeFile);
  } catch {
    throw new UsageError(`cannot read ${file}: it is not JSON`);
  }
}

/**
 * Flags > NACELLE_URL and NACELLE_TOKEN > the data directory. The data directory's admin token goes to its own node only, never to
 * a URL that was named.
 * @throws UsageError if no node or no token is found
 */
export function discover({ options, env, directory }: Pick<Context, 'options' | 'env' | 'directory'>, dataOption: string | undefined): Access {
  const data = resolve(directory, dataOption ?? env.NACELLE_DATA ?? DEFAULT_DATA);
  const own = readNodeFile(data)?.control;
  const url = options.text('url') ?? env.NACELLE_URL ?? own;
  if (url === undefined) throw new UsageError(`found no node: none runs with ${data} (start one with "nacelle serve", or name one with --url or NACELLE_DATA)`);
  if (!URL.canParse(url) || !/^https?:/.test(url)) throw new UsageError(`--url must be a URL of http or https, got "${url}"`);
  const isOwn = own !== undefined && new URL(url).origin === new URL(own).origin;
  const token = options.text('token') ?? env.NACELLE_TOKEN ?? (isOwn ? readIfThere(join(data, 'admin.token')) : undefined);
  if (!token) throw new UsageError(`found no token for ${url}: give one with --token or NACELLE_TOKEN`);
  return { url: new URL(url).origin, token };
}
