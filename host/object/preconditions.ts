import { Problem } from '../base/errors.ts';
import { etagOf, type ObjectRecord } from '../capability/object-model.ts';

/** Conditions of a request (RFC 9110, section 13.1). Dates are milliseconds since 1970. */
export type Preconditions = {
  ifMatch?: string[] | '*';
  ifNoneMatch?: string[] | '*';
  ifModifiedSince?: number;
  ifUnmodifiedSince?: number;
};

type Get = (name: string) => string | null | undefined;

const tagPattern = /\s*((?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)/y;

/** Entity tags of a header; '*' for any; undefined if there is no such header. What is no tag matches nothing. */
const tagsOf = (text: string | null | undefined): string[] | '*' | undefined => {
  if (text === null || text === undefined) return undefined;
  if (text.trim() === '*') return '*';
  const tags: string[] = [];
  tagPattern.lastIndex = 0;
  for (let found = tagPattern.exec(text); found; found = tagPattern.exec(text)) tags.push(found[1] as string);
  return tags;
};

const dateForms = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? [\dA-Za-z :-]{16,24}( GMT)?$/;

/** An HTTP date in any of its forms; undefined, as if the header were not there, if it is none. */
export const parseHttpDate = (text: string | null | undefined): number | undefined => {
  if (!text || !dateForms.test(text)) return undefined;
  const at = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(at) ? undefined : at;
};

export const readPreconditions = (header: Get): Preconditions => {
  const [ifMatch, ifNoneMatch] = [tagsOf(header('if-match')), tagsOf(header('if-none-match'))];
  const [since, unmodified] = [parseHttpDate(header('if-modified-since')), parseHttpDate(header('if-unmodified-since'))];
  return {
    ...(ifMatch !== undefined && { ifMatch }),
    ...(ifNoneMatch !== undefined && { ifNoneMatch }),
    ...(since !== undefined && { ifModifiedSince: since }),
    ...(unmodified !== undefined && { ifUnmodifiedSince: unmodified }),
  };
};

const matchesStrongly = (tags: string[] | '*', etag: string | undefined): boolean => etag !== undefined && (tags === '*' || tags.includes(etag));
const matchesWeakly = (tags: string[] | '*', etag: string | undefined): boolean =>
  etag !== undefined && (tags === '*' || tags.some((tag) => (tag.startsWith('W/') ? tag.slice(2) : tag) === etag));

/** Dates of HTTP have whole seconds. */
const secondOf = (ms: number): number => Math.floor(ms / 1000) * 1000;

/**
 * What the conditions say of the object that is there now, in the order of RFC 9110, section 13.2.2: `proceed`, `not-modified`
 * (for reads: 304), or `failed` (412).
 */
export const evaluate = (
  { ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince }: Preconditions,
  object: Pick<ObjectRecord, 'digest' | 'createdAt'> | undefined,
  reads: boolean,
): 'proceed' | 'not-modified' | 'failed' => {
  const etag = object && etagOf(object);
  if (ifMatch !== undefined) {
    if (!matchesStrongly(ifMatch, etag)) return 'failed';
  } else if (ifUnmodifiedSince !== undefined && object && secondOf(object.createdAt) > ifUnmodifiedSince) return 'failed';
  if (ifNoneMatch !== undefined) {
    if (matchesWeakly(ifNoneMatch, etag)) return reads ? 'not-modified' : 'failed';
  } else if (reads && ifModifiedSince !== undefined && object && secondOf(object.createdAt) <= ifModifiedSince) return 'not-modified';
  return 'proceed';
};

/** @throws Problem `precondition-failed` when a change must not be made */
export const requireChange = (conditions: Preconditions, key: string, object: ObjectRecord | undefined): void => {
  if (evaluate(conditions, object, false) === 'failed')
    throw new Problem('precondition-failed', `cannot change ${JSON.stringify(key)}: it is ${object ? `at ${etagOf(object)}` : 'not there'}`);
};

/** Whether If-Range allows a part to be sent (RFC 9110, section 13.1.5): only a strong tag or an exact date of the very object does. */
export const allowsRange = (ifRange: string | null | undefined, object: Pick<ObjectRecord, 'digest' | 'createdAt'>): boolean => {
  if (ifRange === null || ifRange === undefined) return true;
  const text = ifRange.trim();
  return text === etagOf(object) || parseHttpDate(text) === secondOf(object.createdAt);
};
