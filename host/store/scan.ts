import { setImmediate as turn } from 'node:timers/promises';
import type { Entry, Table } from './table.ts';

const pageMax = 200;

/** `after`: only keys behind it. `signal`: ends it early. */
export type ScanAllOptions = { after?: string | undefined; signal?: AbortSignal | undefined };

/** All records under a prefix, without holding up the thread: reads need no time that others could use, so it rests after each page. */
export const scanRecords = async function* <T>(
  table: Pick<Table, 'scan'>,
  prefix: string,
  { after, signal }: ScanAllOptions = {},
): AsyncGenerator<Entry<T>, void, void> {
  for (let cursor = after; !signal?.aborted; ) {
    const { entries, next } = await table.scan<T>({ prefix, limit: pageMax, ...(cursor === undefined ? {} : { cursor }) });
    yield* entries;
    if (next === undefined) return;
    cursor = next;
    await turn();
  }
};
