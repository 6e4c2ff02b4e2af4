import { Problem } from '../base/errors.ts';
import type { Entry, Table } from '../store/table.ts';

/** Which part of a list: at most `limit` items, after those of the page whose `next` is `cursor`. */
export type ListPage = { limit: number; cursor: string | undefined };
export type Listed<T> = { items: T[]; next?: string };

const pageSize = 500;

/** Every entry under a prefix, page after page. */
export async function* scanAll<T>(table: Table, prefix: string): AsyncGenerator<Entry<T>, void, void> {
  let cursor: string | undefined;
  do {
    const page = await table.scan<T>({ prefix, limit: pageSize, ...(cursor === undefined ? {} : { cursor }) });
    yield* page.entries;
    cursor = page.next;
  } while (cursor !== undefined);
}

/** The same, at once: for prefixes that are known to hold few. */
export const scanValues = async <T>(table: Table, prefix: string): Promise<T[]> => {
  const values: T[] = [];
  for await (const { value } of scanAll<T>(table, prefix)) values.push(value);
  return values;
};

const decodeCursor = (cursor: string): string => {
  const text = Buffer.from(cursor, 'base64url').toString('utf8');
  if (text === '' || Buffer.from(text).toString('base64url') !== cursor)
    throw new Problem('request-invalid', 'cannot list: "cursor" must be the "next" of an earlier page');
  return text;
};

/** One page of the values under a prefix; cursors are opaque and cannot leave the prefix. */
export const listPage = async <T>(table: Table, prefix: string, { limit, cursor }: ListPage): Promise<Listed<T>> => {
  const page = await table.scan<T>({ prefix, limit, ...(cursor === undefined ? {} : { cursor: decodeCursor(cursor) }) });
  const items = page.entries.map(({ value }) => value);
  return page.next === undefined ? { items } : { items, next: Buffer.from(page.next).toString('base64url') };
};
