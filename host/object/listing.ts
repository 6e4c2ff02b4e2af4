import type { ObjectRecord } from '../capability/object-model.ts';
import type { ObjectReader } from '../capability/object-reader.ts';

export type ListRequest = { prefix: string; delimiter: string | undefined; after: string | undefined; limit: number };
/** `prefixes`: what keys have in common up to the first delimiter after the prefix. `next`: `after` of the next page. */
export type Listing = { objects: { key: string; object: ObjectRecord }[]; prefixes: string[]; next: string | undefined };

const surrogates = { low: 0xd800, high: 0xdfff };

/** The least text above all that begin with `prefix`, in the order of UTF-8; undefined if there is none. */
export const above = (prefix: string): string | undefined => {
  const points = [...prefix].map((character) => character.codePointAt(0) as number);
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last === 0x10ffff) continue;
    const next = last + 1 === surrogates.low ? surrogates.high + 1 : last + 1;
    return String.fromCodePoint(...points, next);
  }
  return undefined;
};

/** Entries read at once at most; behind a common prefix it begins with one, since the next may be passed over just as well. */
const stride = 64;

/** One page: keys and common prefixes together at most `limit`, in the order of their bytes. */
export const listObjects = (reader: ObjectReader, id: string, { prefix, delimiter, after, limit }: ListRequest): Listing => {
  if (delimiter === undefined || delimiter === '') {
    const { objects, next } = reader.list(id, { prefix, after, limit });
    return { objects, prefixes: [], next };
  }
  const listing: Listing = { objects: [], prefixes: [], next: undefined };
  // A page may have ended with a common prefix: all that begins with it is behind us.
  const passed = after?.startsWith(prefix) && after.endsWith(delimiter) && after.length > prefix.length ? after : undefined;
  let from: { after?: string | undefined; start?: string | undefined } | undefined = passed === undefined ? { after } : startAbove(passed);
  let ahead = stride;
  while (from) {
    const page = reader.list(id, { prefix, ...from, limit: Math.min(ahead, limit + 1) });
    ahead = Math.min(ahead * 4, stride);
    from = page.next === undefined ? undefined : { after: page.next };
    for (const entry of page.objects) {
      if (listing.objects.length + listing.prefixes.length === limit) return listing;
      const end = entry.key.indexOf(delimiter, prefix.length);
      if (end < 0) {
        listing.objects.push(entry);
        listing.next = entry.key;
        continue;
      }
      const common = entry.key.slice(0, end + delimiter.length);
      listing.prefixes.push(common);
      listing.next = common;
      from = startAbove(common);
      ahead = 1;
      break;
    }
  }
  listing.next = undefined;
  return listing;
};

const startAbove = (prefix: string): { start: string } | undefined => {
  const start = above(prefix);
  return start === undefined ? undefined : { start };
};
