import { Problem } from '../base/errors.ts';

/** Cursors are the last key of a page, encoded since keys may have any characters. */
export const encodeCursor = (after: string): string => Buffer.from(after).toString('base64url');

/** @throws Problem `request-invalid` */
export const decodeCursor = (cursor: string | undefined): string | undefined => {
  if (cursor === undefined) return undefined;
  const after = Buffer.from(cursor, 'base64url').toString();
  if (after === '' || encodeCursor(after) !== cursor) throw new Problem('request-invalid', 'cannot list: "cursor" must be the "next" of an earlier page');
  return after;
};

export const pageOf = <T>(items: T[], next: string | undefined): { items: T[]; next?: string } => ({
  items,
  ...(next !== undefined && { next: encodeCursor(next) }),
});
